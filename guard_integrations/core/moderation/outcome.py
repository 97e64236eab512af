"""From the classifier's answers and errors to a result for each thing that was asked about. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from guard_integrations.core.findings import Action, Category, Finding, Severity
from guard_integrations.core.moderation.decision import Answer, ModerationResult, ModerationRules, join
from guard_integrations.core.moderation.plan import Case
from guard_integrations.errors import GuardError, GuardUnavailable

__all__ = ["SKIPPED_RULE", "UNCHECKED_RULE", "Outcomes", "conclude"]

UNCHECKED_RULE = "moderation-unchecked"
"""Rule id, with the kind behind it, of what the classifier cannot read: images, audio, video, files."""
SKIPPED_RULE = "moderation-skipped"
"""Rule id of text that passed without a verdict, under `on_error="allow"`."""


@dataclass(slots=True)
class Outcomes:
    """What became of the units, by key: an answer or an error each."""

    answers: dict[bytes, Answer] = field(default_factory=dict)
    failures: dict[bytes, GuardError] = field(default_factory=dict)


def conclude(
    cases: Sequence[Case], outcomes: Outcomes, rules: ModerationRules, unchecked: Action
) -> tuple[list[ModerationResult], GuardError | None]:
    """The results, and the first error among them; a text that an error concerns is "safe" with a finding that says so.

    Whether such a result may be used is the caller's decision.
    """
    results: list[ModerationResult] = []
    failure: GuardError | None = None
    for case in cases:
        verdicts = [_media(case, unchecked)]
        for unit, start, end in case.units:
            problem = outcomes.failures.get(unit.key)
            if problem is None:
                try:
                    verdicts.append(rules.decide(outcomes.answers[unit.key], start=start, end=end))
                except GuardUnavailable as error:
                    problem = error
            if problem is not None:
                failure = failure or problem
                verdicts.append(_skipped(start, end))
        results.append(join(verdicts))
    return results, failure


def _media(case: Case, action: Action) -> ModerationResult:
    found = tuple(
        Finding(
            rule=f"{UNCHECKED_RULE}-{kind}",
            category=Category.MODERATION,
            severity=Severity.LOW,
            start=0,
            end=case.length,
            action=action,
        )
        for kind in case.unchecked
    )
    return ModerationResult(safe=not found or action is not Action.BLOCK, findings=found)


def _skipped(start: int, end: int) -> ModerationResult:
    found = Finding(
        rule=SKIPPED_RULE, category=Category.MODERATION, severity=Severity.MEDIUM, start=start, end=end, score=0.0
    )
    return ModerationResult(safe=True, findings=(found,))
