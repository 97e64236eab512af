"""What is written in place of a finding."""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from guard_integrations.core.findings import Action, Category
from guard_integrations.core.policy import GuardPolicy, Strategy
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.treatment import Treatment
from guard_integrations.errors import PolicyError

__all__ = ["REPLACED", "treatments"]

REPLACED: Final = frozenset({Category.PII, Category.SECRET})
"""Whose values a strategy may replace by something else than their label."""

_MASK: Final = "********"
_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghjkmnpqrs")
"""A hash without digits is not taken for a number of some kind."""


class _Labelled(Protocol):
    """A rule, as far as it is told what to do with what it finds."""

    @property
    def id(self) -> str: ...
    @property
    def category(self) -> Category: ...
    @property
    def label(self) -> str: ...


def treatments(
    policy: GuardPolicy,
    rules: Iterable[_Labelled],
    *,
    vault: PseudonymVault | None = None,
    default: Strategy | None = None,
) -> dict[str, Treatment]:
    """What a policy does with the matches of each rule, by rule id.

    Args:
        policy: names actions and strategies.
        rules: the rules that run.
        vault: where pseudonyms are kept.
        default: the strategy for personal data and secrets where the policy names none.

    Raises:
        PolicyError: values are to be pseudonymised, and there is no vault.
    """
    return {rule.id: _treatment(policy, rule, vault, default or Strategy.REDACT) for rule in rules}


def _treatment(policy: GuardPolicy, rule: _Labelled, vault: PseudonymVault | None, default: Strategy) -> Treatment:
    action = policy.action(rule.category)
    strategy = policy.strategy(rule.id, rule.category, default) if rule.category in REPLACED else Strategy.REDACT
    if action is not Action.FILTER:
        return Treatment(action=action, label=rule.label)
    if strategy is Strategy.BLOCK:
        return Treatment(action=Action.BLOCK, label=rule.label)
    if strategy is Strategy.MASK:
        return Treatment(action=action, label=_MASK)
    replace: Callable[[str], str] | None = None
    if strategy is Strategy.HASH:
        replace = partial(_hashed, policy.effective_hash_key, _kind(rule))
    elif strategy is Strategy.PSEUDONYMISE:
        if vault is None:
            raise PolicyError(f"rule {rule.id}: pseudonymise needs a vault: give the sanitizer vault=PseudonymVault()")
        replace = partial(vault.token, _kind(rule))
    return Treatment(action=action, label=rule.label, replace=replace)


def _kind(rule: _Labelled) -> str:
    return rule.label.strip("[]") or rule.category.value.upper()


def _hashed(key: bytes, kind: str, value: str) -> str:
    """HMAC-SHA256, 64 bits of it: equal values stay equal, and none can be found by trying."""
    digest = hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]
    return f"[{kind}_{digest.translate(_LETTERS)}]"
