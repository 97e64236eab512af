"""From what Mistral's classifier says to what the guard does. Pure: no I/O, no clock.

Two taxonomies are read: that of `mistral-moderation-2603` and that of `mistral-moderation-2411`, in which
`dangerous` and `criminal` are one category and `jailbreaking` is none. What is set for one side of that split
holds for the other.

Source: https://docs.mistral.ai/capabilities/guardrailing/
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeGuard, get_args

from guard_integrations.core.choices import require_choice
from guard_integrations.core.findings import Action, Category, Finding, Severity, Stage
from guard_integrations.core.taxonomy import CATEGORIES_2411, CATEGORIES_2603, MERGED, PARTS, SUBJECTS
from guard_integrations.errors import GuardBlocked, GuardUnavailable, PolicyError

__all__ = [
    "CATEGORIES_2411",
    "CATEGORIES_2603",
    "COMPONENT",
    "SUBJECTS",
    "Answer",
    "ModerationResult",
    "ModerationRules",
    "Preset",
    "category_rule",
    "check_thresholds",
    "is_category_name",
    "join",
    "parse_answers",
    "read_score",
]

Preset: TypeAlias = Literal["harm-only", "all"]
"""`harm-only` leaves out `health`, `financial`, `law` and `pii`: subjects, not harm. `all` judges every category."""

COMPONENT = "moderation"
"""Names this part of the package in errors."""
_KNOWN = CATEGORIES_2411 | CATEGORIES_2603
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the classifier said about one text, checked for form: the same categories on both sides.

    Args:
        categories: the classifier's own verdict by category.
        scores: its raw score by category, 0 to 1.
    """

    categories: Mapping[str, bool]
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerationResult:
    """What moderation says about a text. Holds no text.

    Args:
        safe: whether the text may go on.
        flags: every category that hit, those that are only flagged too, sorted.
        scores: the classifier's raw score by category, 0 to 1; the highest one where a text was judged in pieces.
            Empty where nothing was judged: an empty text, or an error under `on_error="allow"`.
        findings: one for each hit, with its action and the piece of the text it stands in, and one for each
            kind of content that the classifier cannot read.
    """

    safe: bool
    flags: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def raise_if_unsafe(self, stage: Stage) -> None:
        """Does nothing for a safe text.

        Raises:
            GuardBlocked: with the categories that were refused, and their scores.
        """
        if self.safe:
            return
        refused = tuple(dict.fromkeys(found.rule for found in self.findings if found.action is Action.BLOCK))
        names = tuple(flag for flag in self.flags if category_rule(flag) in refused)
        raise GuardBlocked(
            stage=stage,
            rules=refused,
            categories=names,
            scores={name: self.scores[name] for name in names if name in self.scores},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerationRules:
    """When a category counts, and what is done then.

    Args:
        preset: which categories are judged at all.
        thresholds: by category, the raw score from which on it counts, 0 to 1. A category without one counts when
            the classifier says so; one that the preset leaves out is judged when it has a threshold.
        ignore: categories that never count.
        flag_only: categories that are reported and do not block.
        unknown: what a category that is in neither taxonomy does when the classifier sets it.

    Raises:
        PolicyError: for a category that does not exist, a threshold outside 0 to 1, or rules that judge nothing.
    """

    preset: Preset = "harm-only"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    flag_only: frozenset[str] = frozenset()
    unknown: Literal["block", "flag", "ignore"] = "block"

    def __post_init__(self) -> None:
        require_choice("preset", self.preset, get_args(Preset))
        require_choice("unknown", self.unknown, ("block", "flag", "ignore"))
        check_thresholds(self.thresholds, _KNOWN)
        if strange := sorted({*self.ignore, *self.flag_only} - _KNOWN):
            raise PolicyError(f"no moderation category is called {', '.join(strange)}; there are {_listed(_KNOWN)}")
        if not any(self.action(name) for name in CATEGORIES_2603):
            raise PolicyError("these moderation rules judge no category: leave one out of `ignore`")

    def action(self, category: str) -> Action | None:
        """What a hit in a category does; None when the category is not judged."""
        if category not in _KNOWN:
            return None if self.unknown == "ignore" else Action(self.unknown)
        if _covers(self.ignore, category):
            return None
        if category in SUBJECTS and self.preset == "harm-only" and category not in self.thresholds:
            return None
        return Action.FLAG if _covers(self.flag_only, category) else Action.BLOCK

    def threshold(self, category: str) -> float | None:
        """The score from which on a category counts; None where the classifier's own verdict does."""
        if category in self.thresholds:
            return self.thresholds[category]
        if category == MERGED:
            return min((self.thresholds[part] for part in PARTS if part in self.thresholds), default=None)
        return self.thresholds.get(MERGED) if category in PARTS else None

    def decide(self, answer: Answer, *, start: int = 0, end: int = 0) -> ModerationResult:
        """Judges one answer about the characters `start` to `end` of the caller's text.

        Raises:
            GuardUnavailable: when the answer leaves out a category that these rules judge.
        """
        self._require_complete(answer)
        hits: list[tuple[str, Action]] = []
        for name, verdict in answer.categories.items():
            action = self.action(name)
            if action is None:
                continue
            threshold = self.threshold(name)
            if verdict if threshold is None else answer.scores[name] >= threshold:
                hits.append((name, action))
        return ModerationResult(
            safe=all(action is not Action.BLOCK for _, action in hits),
            flags=tuple(sorted(name for name, _ in hits)),
            scores=dict(answer.scores),
            findings=tuple(
                Finding(
                    rule=category_rule(name),
                    category=Category.MODERATION,
                    severity=Severity.HIGH if action is Action.BLOCK else Severity.LOW,
                    start=start,
                    end=end,
                    score=answer.scores[name],
                    action=action,
                )
                for name, action in sorted(hits)
            ),
        )

    def _require_complete(self, answer: Answer) -> None:
        taxonomy = CATEGORIES_2411 if MERGED in answer.categories else CATEGORIES_2603
        wanted = {name for name in taxonomy if self.action(name)}
        # A threshold is a wish that somebody wrote down: no model may leave it unanswered in silence.
        for name in self.thresholds:
            other_side = PARTS if name == MERGED else (MERGED,) if name in PARTS else ()
            if self.action(name) and name not in taxonomy and not set(other_side) & taxonomy:
                wanted.add(name)
        if missing := sorted(wanted - answer.categories.keys()):
            raise GuardUnavailable(
                COMPONENT,
                f"the classifier's answer leaves out {', '.join(missing)}: "
                "use a model that judges these categories, or put them into `ignore`",
            )


def check_thresholds(thresholds: Mapping[str, float], known: Iterable[str]) -> None:
    """Refuses thresholds that could never mean what their writer meant.

    Raises:
        PolicyError: for a category that does not exist, or a threshold outside 0 to 1.
    """
    if strange := sorted(set(thresholds) - set(known)):
        raise PolicyError(f"no moderation category is called {', '.join(strange)}; there are {_listed(known)}")
    if wrong := sorted(name for name, value in thresholds.items() if read_score(value) is None):
        raise PolicyError(f"a moderation threshold is a number from 0 to 1: mend {', '.join(wrong)}")


def parse_answers(body: object, expected: int) -> tuple[Answer, ...]:
    """Reads the body of `/v1/moderations` or `/v1/chat/moderations`, one answer for each text asked about.

    Raises:
        GuardUnavailable: when anything in it is missing, null or of another type.
    """
    results = body.get("results") if isinstance(body, Mapping) else None
    if not isinstance(results, list):
        raise GuardUnavailable(COMPONENT, "the classifier's answer has no list of results")
    if len(results) != expected:
        raise GuardUnavailable(COMPONENT, f"the classifier gave {len(results)} results for {expected} texts")
    return tuple(_parse_answer(result) for result in results)


def join(results: Sequence[ModerationResult]) -> ModerationResult:
    """One result for the pieces of one text: unsafe when any piece is, with the highest score of each category."""
    if len(results) == 1:
        return results[0]
    scores: dict[str, float] = {}
    for result in results:
        for name, score in result.scores.items():
            scores[name] = max(score, scores.get(name, 0.0))
    return ModerationResult(
        safe=all(result.safe for result in results),
        flags=tuple(sorted({flag for result in results for flag in result.flags})),
        scores=scores,
        findings=tuple(sorted((f for result in results for f in result.findings), key=lambda f: (f.start, f.rule))),
    )


def _parse_answer(result: object) -> Answer:
    verdicts = result.get("categories") if isinstance(result, Mapping) else None
    scores = result.get("category_scores") if isinstance(result, Mapping) else None
    if not isinstance(verdicts, Mapping) or not isinstance(scores, Mapping) or verdicts.keys() != scores.keys():
        raise GuardUnavailable(COMPONENT, "a result lacks its categories or their scores")
    # Names reach errors and events, so a server that writes anything else there does not get it through.
    if not all(is_category_name(name) for name in verdicts):
        raise GuardUnavailable(COMPONENT, "a result names a category in a way no taxonomy does")
    if not all(isinstance(verdict, bool) for verdict in verdicts.values()):
        raise GuardUnavailable(COMPONENT, "a result has a verdict that is neither true nor false")
    checked = {name: read_score(score) for name, score in scores.items()}
    if any(score is None for score in checked.values()):
        raise GuardUnavailable(COMPONENT, "a result has a score that is no number from 0 to 1")
    return Answer(
        categories=dict(verdicts), scores={name: score for name, score in checked.items() if score is not None}
    )


def is_category_name(name: object) -> TypeGuard[str]:
    """Whether a name can be a category's: a word, and no place for content."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def read_score(value: object) -> float | None:
    """A score, when it is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= 1 else None


def _covers(chosen: frozenset[str], category: str) -> bool:
    if category in chosen:
        return True
    if category == MERGED:
        return chosen.issuperset(PARTS)
    return category in PARTS and MERGED in chosen


def category_rule(category: str) -> str:
    """The rule id of a category's findings."""
    return f"moderation-{category.replace('_', '-')}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
