"""Attack success in query engines over poisoned documents, with and without the guard, and answers over clean ones.

`python tests/llama_index/poisoned.py` prints the whole table; the fast tests ask the local server's gullible model.
"""

import pytest
from poisoned import OWN, OWN_CLEAN, SETS, ask, line, measure, rows, sample

from guard_integrations.llama_index import InjectionGuardNodePostprocessor


@pytest.mark.parametrize("case", OWN[:6], ids=lambda case: case.planted[-7:])
def test_planted_instructions_are_obeyed_without_the_guard_and_not_with_it(plain_llm, case):
    spotlit = InjectionGuardNodePostprocessor(on_injection="flag", spotlight=True)
    assert "owned" in ask(plain_llm, case.node)
    assert "owned" in ask(plain_llm, case.node, spotlit), "spotlighting alone helps against no model that obeys"
    assert "owned" not in ask(plain_llm, case.node, InjectionGuardNodePostprocessor())


@pytest.mark.parametrize("case", OWN_CLEAN[:4], ids=lambda case: case.text[:12])
@pytest.mark.parametrize("mode", ["drop", "filter", "block"])
def test_answers_over_clean_documents_are_unchanged(plain_llm, case, mode):
    guarded = ask(plain_llm, case.node, InjectionGuardNodePostprocessor(on_injection=mode))
    assert guarded == ask(plain_llm, case.node)


def check(done):
    """Success falls at least as far as the scanner sees, and answers over what it does not see stay as they are."""
    print(f"\n{line(done)}")  # noqa: T201 - the figures are what this is for
    assert done.obeyed["none"] == done.attacks
    assert done.obeyed["spotlight"] == done.attacks, "claimed for nothing"
    for guard, spare in (("drop", 0), ("filter", done.attacks // 50)):  # an order may stand before what gives it away
        assert done.attacks - done.obeyed[guard] >= done.recall - spare, guard
        assert done.unchanged[guard] >= done.quiet, guard


def test_our_own_poisoned_documents_succeed_only_where_the_scanner_is_blind():
    done = measure("own", (*OWN, *OWN_CLEAN))
    check(done)
    assert done.unchanged["drop"] == done.clean


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_attack_success_falls_as_far_as_the_scanner_sees(name):
    cases = rows(name)
    planted, clean = [case for case in cases if case.planted], [case for case in cases if not case.planted]
    check(measure(name, [*sample(planted, 100), *sample(clean, 40)]))
