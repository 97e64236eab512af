"""The stream equals the batch for every chunking; what must be hidden is never let out."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_integrations import GuardPolicy, OutputSanitizer

FRAGMENTS = [
    *("john.doe@example.com", "a@b.co", "@", "a", ".", "-", " ", "  ", "\n", "078-05-1120", "078", "-05", "1120"),
    *("4111 1111 1111 1111", "4111", "1", "<script", ">", "</script", "</script >", "</script>", "<", "</", "<scr"),
    *(
        "ipt>",
        "alert(1)",
        "system prompt",
        "system",
        " prompt",
        ":",
        ": ",
        "instructions",
        "é",
        "ß",
        "漢",
        "😀",
        "\u017f",
    ),
    *("\u212a", "\x00", "\r\n", "\t", "\ud800", "\udc00", "\u00a0", "x" * 70),
]
SANITIZERS = {policy.profile: OutputSanitizer(policy) for policy in (GuardPolicy.basic(), GuardPolicy.balanced())}
texts = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=6)), max_size=14).map("".join)


def streamed(sanitizer, chunks):
    stream = sanitizer.stream()
    out = [stream.feed(chunk) for chunk in chunks]
    return "".join([*out, stream.finish()]), stream.findings


def cut(text, places):
    places = sorted({0, len(text), *(place for place in places if place < len(text))})
    return [text[a:b] for a, b in pairwise(places)]


@pytest.mark.parametrize("profile", SANITIZERS)
@settings(max_examples=400, deadline=None)
@given(text=texts, places=st.lists(st.integers(0, 200), max_size=30))
def test_a_stream_equals_the_batch(profile, text, places):
    sanitizer = SANITIZERS[profile]
    batch = sanitizer.sanitize(text)
    assert streamed(sanitizer, cut(text, places)) == (batch.text, batch.findings)
    assert streamed(sanitizer, text) == (batch.text, batch.findings)


@pytest.mark.parametrize("profile", SANITIZERS)
@settings(max_examples=400, deadline=None)
@given(text=texts)
def test_sanitising_twice_equals_once(profile, text):
    sanitizer = SANITIZERS[profile]
    once = sanitizer.sanitize(text).text
    assert sanitizer.sanitize(once).text == once


def test_what_is_left_of_a_removed_script_forms_no_new_one():
    basic = SANITIZERS["basic"]
    assert basic.sanitize("Hello <script>alert(1)</script> world").text == "Hello  world"
    assert "<script" not in basic.sanitize("<scr<script>x</script>ipt>alert(1)</script>").text
    assert basic.sanitize("078-05-<script>x</script>1120").text == "[SSN]"
    assert basic.sanitize("a <script>never closed").text == "a "


@settings(deadline=None)
@given(more=st.integers(0, 30), end=st.sampled_from(["", " ", " and more"]), places=st.lists(st.integers(0, 120)))
def test_what_ends_a_swallowed_value_goes_with_it_wherever_the_text_is_cut(more, end, places):
    sanitizer = SANITIZERS["balanced"]
    text = "PuTTY-User-Key-File-" + "3: Private-MAC: " + "b1" * 20 + "b" * more + end
    joined, _ = streamed(sanitizer, cut(text, places))
    assert joined == sanitizer.sanitize(text).text
    assert "Private" not in joined
