from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_integrations import GuardBlocked, GuardPolicy, InputSanitizer, OutputSanitizer, PolicyError
from guard_integrations.core.policy import HASH_KEY_VARIABLE

TEXT = "Mail ann@example.org or 078-05-1120 now"


def sanitizer(**settings):
    return OutputSanitizer(GuardPolicy(**settings))


def test_strategies_are_chosen_by_rule_and_by_category():
    assert sanitizer().sanitize(TEXT).text == "Mail [EMAIL] or [SSN] now"
    masked = sanitizer(strategies={"pii": "mask"}).sanitize(TEXT).text
    assert masked == "Mail ******** or ******** now"
    mixed = sanitizer(strategies={"pii": "mask", "us-ssn": "redact"}).sanitize(TEXT).text
    assert mixed == "Mail ******** or [SSN] now"


def test_a_hash_is_keyed_stable_and_free_of_digits(monkeypatch):
    hashed = sanitizer(strategies={"pii": "hash"}, hash_key="a" * 16).sanitize(TEXT).text
    assert hashed == sanitizer(strategies={"pii": "hash"}, hash_key="a" * 16).sanitize(TEXT).text
    assert hashed != sanitizer(strategies={"pii": "hash"}, hash_key="b" * 16).sanitize(TEXT).text
    assert not any(char.isdigit() for char in hashed)
    monkeypatch.setenv(HASH_KEY_VARIABLE, "a" * 16)
    assert hashed == sanitizer(strategies={"pii": "hash"}).sanitize(TEXT).text


@settings(max_examples=100, deadline=None)
@given(places=st.lists(st.integers(0, 60), max_size=10), name=st.sampled_from(["hash", "mask", "redact"]))
def test_every_strategy_streams(places, name):
    made = sanitizer(strategies={"pii": name}, hash_key="k" * 16)
    places = sorted({0, len(TEXT), *(place for place in places if place < len(TEXT))})
    stream = made.stream()
    out = [stream.feed(TEXT[a:b]) for a, b in pairwise(places)]
    assert "".join([*out, stream.finish()]) == made.sanitize(TEXT).text


@pytest.mark.parametrize("setting", [{"strategies": {"pii": "block"}}, {"actions": {"pii": "block"}}])
def test_block_refuses_and_lets_nothing_more_out(setting):
    made = sanitizer(**setting)
    with pytest.raises(GuardBlocked) as caught:
        made.sanitize(TEXT)
    assert caught.value.categories == ("pii",)
    stream = made.stream()
    assert stream.feed("Mail ") == "Mail "
    with pytest.raises(GuardBlocked):
        stream.feed("ann@example.org ")
    for more in (stream.finish, lambda: stream.feed("x")):
        with pytest.raises(GuardBlocked):
            more()


def test_allowed_texts_are_no_finding():
    made = sanitizer(allow=("Ann@Example.org",))
    assert made.sanitize(TEXT).text == "Mail ann@example.org or [SSN] now"


def test_input_keeps_personal_data_unless_it_is_asked_not_to():
    assert InputSanitizer().sanitize(TEXT).text == TEXT
    assert InputSanitizer(GuardPolicy(redact_input=True)).sanitize(TEXT).text == "Mail [EMAIL] or [SSN] now"


def test_a_strategy_for_nothing_is_a_mistake():
    with pytest.raises(PolicyError, match="'e-mail'"):
        sanitizer(strategies={"e-mail": "hash"})
