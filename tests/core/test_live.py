"""What is held back: never less than what any one rule says by itself, and nothing of a text that no rule can begin in."""

from random import Random

import pytest
from rule_samples import fragment, hostile, sample

from guard_integrations import GuardPolicy
from guard_integrations.core.scanner.linear import compile_pattern
from guard_integrations.core.scanner.live import Live
from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.rule import rules_of
from guard_integrations.core.scanner.utf8 import character_length, encode

RULES = rules_of(GuardPolicy(), "output")
LIVE = Live(RULES)


def by_itself(rule):
    """The first byte where a rule is live, each end of the text compared with all beginnings of its head."""
    lead = "(?s:.)" if rule.lead is None else Pattern.parse(rule.lead, ignore_case=rule.ignore_case).re2
    first = compile_pattern(rf"{rule.head.live}\z").match
    later = compile_pattern(rf"{lead}{rule.head.live}\z").search

    def hold(data):
        if first(data, 0, len(data)):
            return 0
        found = later(data, 0, len(data))
        return len(data) if found is None else found[0] + character_length(data[found[0]])

    return hold


ALONE = [by_itself(rule) for rule in RULES if rule.head.live]


@pytest.mark.parametrize("seed", range(60))
def test_what_a_rule_holds_back_by_itself_is_held_back(seed):
    chance = Random(seed)  # noqa: S311 - no secret
    text = hostile(RULES, chance, pieces=3) + fragment(RULES, chance)
    data = encode(text[: chance.randint(1, len(text))] if text else " ")
    assert LIVE.hold(data, 0) <= min(hold(data) for hold in ALONE)


def test_prose_is_held_back_to_its_last_word_at_most():
    data = encode(
        "The committee met on Tuesday; responsibilities were discussed, and nobody could say what it would cost"
    )
    assert LIVE.hold(data, 0) == data.rindex(b" ") + 1
    assert LIVE.hold(data + b". ", 0) == len(data) + 2


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_match_begins_with_its_beginning(rule):
    chance = Random(rule.id)  # noqa: S311 - no secret
    texts = [sample(rule.head.root, chance) for _ in range(20)]
    for length in (2, 5):
        begins = compile_pattern(Pattern("", rule.head.beginning(length).root, ignore_case=rule.ignore_case).re2).match
        for text in texts:
            if not any(edge in rule.pattern for edge in (r"\b", r"\A")):
                assert begins(encode(text), 0, len(encode(text[:length]))) == (0, len(encode(text[:length])))
