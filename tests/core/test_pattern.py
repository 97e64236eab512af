"""The portable subset: what it stands for, how wide it is, and which texts are live."""

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_samples import sample

from guard_integrations import PolicyError
from guard_integrations.core.scanner.linear import compile_pattern
from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.rule import builtin_rules

PATTERNS = [
    r"ab",
    r"a|bc|bcd",
    r"a?b{2,3}c",
    r"(?:ab|a){1,3}c",
    r"\bfoo\b",
    r"(?:foo\b)?bar",
    r"x(?:y|\bz)?",
    r"[^a-c]{2}d",
    r"\d{3}-\d{2}",
    r"a(?:b(?:c|d){0,2}){1,2}e?",
    r"\Aab",
    r"[\s\-\]]a",
    r"\x{1F600}é",
    r"a.b",
]


def whole(source, text):
    found = compile_pattern(source).match(
        text.encode("utf-8", "surrogatepass"), 0, len(text.encode("utf-8", "surrogatepass"))
    )
    return found is not None and found[1] == len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("source", PATTERNS)
@given(text=st.text(alphabet="abcdefoxyz 1-\n-é😀", max_size=6))
def test_a_pattern_matches_what_the_standard_library_says(source, text):
    ours = whole(Pattern.parse(source).re2, text)
    theirs = re.fullmatch(source.replace(r"\x{1F600}", "😀"), text, re.ASCII)
    assert ours == bool(theirs) or r"\s" in source


@pytest.mark.parametrize("source", PATTERNS)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 12))
def test_every_proper_beginning_of_a_match_is_live(source, seed, cut):
    pattern = Pattern.parse(source)
    word = sample(pattern.root, Random(seed))  # noqa: S311 - no secret
    if not whole(pattern.re2, word):
        return  # an edge in it was not met
    beginning = word[:cut]
    if 0 < len(beginning) < len(word) or (source.endswith(r"\b") and beginning):
        assert pattern.live
        assert whole(pattern.live, beginning)


@pytest.mark.parametrize(
    ("source", "live", "dead"),
    [
        (r"abc", ["a", "ab"], ["", "abc", "b", "abd"]),
        (r"a{2,4}", ["a", "aa", "aaa"], ["aaaa", "b"]),
        (r"foo\b", ["f", "foo"], ["fooo", "x"]),
        (r"a(?:bc)?", ["a", "ab"], ["abc"]),
        (r"(?:ab){1,2}", ["a", "ab", "aba"], ["abab"]),
        (r"[ab]", [], ["a", "b"]),
    ],
)
def test_live_is_exact(source, live, dead):
    pattern = Pattern.parse(source)
    assert all(whole(pattern.live, text) for text in live)
    assert not any(pattern.live and whole(pattern.live, text) for text in dead)


def test_case_folds_as_in_the_standard_library():
    for letter in "abcdefghijklmnopqrstuvwxyz":
        ours = compile_pattern(Pattern.parse(letter, ignore_case=True).re2)
        for code in (*range(0x250), 0x212A, 0x1E9E, 0xFB05):
            char = chr(code).encode()
            assert bool(ours.match(char, 0, len(char))) == bool(re.match(letter, chr(code), re.IGNORECASE))


def test_case_folds_as_unicode_does():
    pattern = Pattern.parse("ks", ignore_case=True)
    for text in ("ks", "KS", "\u212as", "k\u017f"):
        assert whole(pattern.re2, text)
    assert whole(pattern.live, "\u212a")
    assert not whole(Pattern.parse("[^k]", ignore_case=True).re2, "\u212a")


@pytest.mark.parametrize(
    ("source", "width"),
    [(r"\bab?c{2,5}", (3, 7)), (r"a|bcd", (1, 3)), (r"a+", (1, None)), (r"(?:a|b{2}){3}", (3, 6)), (r"\b", (0, 0))],
)
def test_widths(source, width):
    assert Pattern.parse(source).width == width


@pytest.mark.parametrize(
    ("source", "at", "said"),
    [
        ("a(?=b)", 2, "no captures"),
        ("(a)", 1, "no captures"),
        (r"a\1", 2, "not of the portable subset"),
        ("ab*?", 3, "none are lazy"),
        ("a**", 2, "none are lazy"),
        ("a{1,201}", 2, "up to 200"),
        ("a{3,1}", 2, "backwards"),
        ("[b-a]", 1, "not a range"),
        ("[]", 1, "empty class"),
        ("[a", 1, r"has no \]"),
        ("(?:a", 1, r"has no \)"),
        ("a)", 2, "without its"),
        ("^a", 1, r"use \\A"),
        ("a$", 2, "end of text"),
        ("*a", 1, "does not stand for itself"),
        (r"\b?a", 3, "cannot be repeated"),
        (r"\x{110000}", 1, "last code point"),
        (r"\xZZ", 1, "hexadecimal"),
        ("a\\", 3, "pattern ends"),
    ],
)
def test_anything_else_is_refused_with_its_place(source, at, said):
    with pytest.raises(PolicyError, match=said) as caught:
        Pattern.parse(source)
    assert f"character {at} " in str(caught.value)


@settings(max_examples=300)
@given(st.text(max_size=20))
def test_no_source_crashes_the_parser(source):
    try:
        pattern = Pattern.parse(source)
    except PolicyError:
        return
    assert compile_pattern(pattern.re2).search(b"", 0, 0) in {None, (0, 0)}


@pytest.mark.parametrize("rule", builtin_rules(), ids=lambda rule: rule.id)
def test_what_is_sampled_from_a_rule_matches_it(rule):
    chance = Random(1)  # noqa: S311 - no secret
    pattern = Pattern.parse(rule.pattern)
    assert any(whole(pattern.re2, sample(pattern.root, chance)) for _ in range(50))
