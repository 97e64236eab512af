"""Makes the model's answer safe to show."""

from collections.abc import Iterable
from functools import lru_cache

from guard_integrations.core.findings import Category, Sanitized
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.redaction import treatments
from guard_integrations.core.sanitizer.stream import OutputStream
from guard_integrations.core.scanner.engine import RuleSet
from guard_integrations.core.scanner.rule import Rule, rules_of
from guard_integrations.core.scanner.session import RuleDetector
from guard_integrations.errors import PolicyError

__all__ = ["OutputSanitizer", "compiled", "detector_of"]

_CLEANED_FIRST = frozenset({Category.MARKUP, Category.INVISIBLE})
"""What may go without a trace goes in a pass of its own, so that the rest is searched for in what is left."""


@lru_cache(maxsize=32)
def compiled(rules: tuple[Rule, ...]) -> RuleSet:
    """The rules, compiled; once for all that share them."""
    return RuleSet(rules)


def detector_of(policy: GuardPolicy, rules: Iterable[Rule]) -> RuleDetector:
    """The rules as a detector that does what the policy says."""
    chosen = tuple(rules)
    return RuleDetector(compiled(chosen), treatments(policy, chosen), allowed=frozenset(policy.allow))


class OutputSanitizer:
    """Takes out of an answer what must not reach the reader. Immutable, and safe to share between threads.

    Sanitising twice equals sanitising once, and a stream equals the batch however it is cut into chunks.

    Args:
        policy: what to look for and what to do about it.

    Raises:
        PolicyError: the policy leaves nothing to look for, or one of its rule packs is not valid.
    """

    def __init__(self, policy: GuardPolicy | None = None) -> None:
        self.policy = policy or GuardPolicy()
        rules = rules_of(self.policy, "output")
        if not rules:
            raise PolicyError("the policy leaves no rule for output: enable one, or leave the sanitizer out")
        parts = (
            [rule for rule in rules if rule.category in _CLEANED_FIRST],
            [rule for rule in rules if rule.category not in _CLEANED_FIRST],
        )
        self._passes = tuple((detector_of(self.policy, part),) for part in parts if part)

    def sanitize(self, text: str) -> Sanitized:
        """Makes a whole answer safe.

        Raises:
            GuardBlocked: a rule refuses the answer.
        """
        stream = self.stream()
        clean = stream.feed_last(text)
        return Sanitized(text=clean, findings=stream.findings)

    def stream(self) -> OutputStream:
        """A session for one answer that arrives in pieces."""
        return OutputStream(self._passes)
