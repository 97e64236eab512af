"""What is written in place of a finding."""

from collections.abc import Iterable

from guard_integrations.core.findings import Action
from guard_integrations.core.policy import GuardPolicy, Strategy
from guard_integrations.core.scanner.rule import Rule
from guard_integrations.core.scanner.session import Treatment
from guard_integrations.errors import PolicyError

__all__ = ["treatments"]


def treatments(policy: GuardPolicy, rules: Iterable[Rule]) -> dict[str, Treatment]:
    """What a policy does with the matches of each rule, by rule id.

    Raises:
        PolicyError: a strategy is asked for that this version does not have.
    """
    return {rule.id: _treatment(policy, rule) for rule in rules}


def _treatment(policy: GuardPolicy, rule: Rule) -> Treatment:
    action = policy.action(rule.category)
    strategy = policy.strategy(rule.id, rule.category)
    if strategy not in {Strategy.REDACT, Strategy.BLOCK}:
        raise PolicyError(f"strategies: {strategy.value} is not there yet; redact and block are")
    if strategy is Strategy.BLOCK and action is Action.FILTER:
        action = Action.BLOCK
    return Treatment(action=action, label=rule.label)
