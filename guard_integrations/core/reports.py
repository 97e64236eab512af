"""What a guard found, told to the observers and to the run it was found in: the one way from findings to an event."""

from collections import Counter
from collections.abc import Iterable

from guard_integrations.core.events import EventKind, GuardEvent, emit, observed
from guard_integrations.core.findings import Action, Finding, Stage
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.runs import current
from guard_integrations.errors import GuardBlocked

__all__ = ["report", "report_blocked"]

_GRAVEST_FIRST = (Action.BLOCK, Action.FILTER, Action.FLAG)


def report(stage: Stage, findings: Iterable[Finding], policy: GuardPolicy) -> None:
    """Tells the observers what was found in a text that went on. Nothing found, or nobody there: nothing is told.

    Args:
        stage: where the text stood.
        findings: what was found.
        policy: what was looked for.
    """
    found = tuple(findings)
    if found and (run := current()) is not None:
        run.found(found)
        run.policy = policy.fingerprint
    if not found or not observed():
        return
    actions = {finding.action for finding in found}
    emit(
        GuardEvent(
            kind=EventKind.SCANNED,
            stage=stage,
            rules=Counter(finding.rule for finding in found),
            categories=tuple(sorted({finding.category.value for finding in found})),
            action=next(action for action in _GRAVEST_FIRST if action in actions),
            policy=policy.fingerprint,
        )
    )


def report_blocked(blocked: GuardBlocked, stage: Stage, policy: GuardPolicy) -> None:
    """Tells the observers that a text was refused.

    Args:
        blocked: the refusal.
        stage: where the text stood.
        policy: what was looked for.
    """
    if (run := current()) is not None:
        run.blocked(blocked)
        run.policy = policy.fingerprint
    if observed():
        emit(
            GuardEvent(
                kind=EventKind.BLOCKED,
                stage=stage,
                rules=Counter(blocked.rules),
                categories=tuple(sorted(blocked.categories)),
                action=Action.BLOCK,
                policy=policy.fingerprint,
            )
        )
