"""What is done with the matches of each rule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from guard_integrations.core.findings import Action, Finding
from guard_integrations.core.scanner.context import CONTEXT, ContextWords
from guard_integrations.core.scanner.engine import RuleSet
from guard_integrations.core.scanner.utf8 import decode

__all__ = ["MAX_VALUE", "TreatedRules", "Treatment", "whole_value"]

MAX_VALUE: Final = 4096
"""Characters of a value that is replaced as a whole, and of one that may be on the list of allowed texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is done with the matches of a rule.

    Args:
        action: report, replace or refuse.
        label: what is written in place of a match.
        replace: for strategies that need the whole value: what is written for it.
    """

    action: Action
    label: str
    replace: Callable[[str], str] | None = None


class TreatedRules:
    """The rules of a policy at one stage, each with its treatment. Immutable.

    Args:
        rules: the compiled rules.
        treatments: what is done with each rule's matches, by its id.
        allowed: values that are never a finding; compared whole, regardless of case.
    """

    __slots__ = ("allowed", "keep", "rules", "treatments", "words")

    def __init__(self, rules: RuleSet, treatments: Mapping[str, Treatment], allowed: frozenset[str]) -> None:
        self.rules = rules
        self.treatments = tuple(treatments[one.rule.id] for one in rules.compiled)
        self.allowed = frozenset(text.casefold() for text in allowed)
        self.keep = max(CONTEXT + 1, rules.longest_head)
        """Characters of what has been written that a session needs."""
        self.words = tuple(ContextWords.of(one.rule) for one in rules.compiled)

    def finding(self, order: int, start: int, end: int, score: float) -> Finding:
        """A match of the rule with this place among the rules, in characters."""
        rule = self.rules.compiled[order].rule
        return Finding(
            rule=rule.id,
            category=rule.category,
            severity=rule.severity,
            start=start,
            end=end,
            score=score,
            action=self.treatments[order].action,
        )


def whole_value(data: bytes) -> str | None:
    """A value, unless it is too long to be treated as one."""
    text = decode(data) if len(data) <= 4 * MAX_VALUE else ""
    return text if text and len(text) <= MAX_VALUE else None
