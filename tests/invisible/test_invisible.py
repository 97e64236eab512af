import re

import pytest
from chunks import cut, places, whole
from chunks import pieces as in_pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_integrations import GuardPolicy, OutputSanitizer
from guard_integrations.core.findings import Action
from guard_integrations.core.scanner.invisible import InvisibleDetector, strip_invisible

ESC = "\x1b"
DETECTOR = InvisibleDetector()


def tags(code):
    return "".join(chr(0xE0000 + ord(char)) for char in code)


FLAG = "\U0001f3f4"
WALES = f"{FLAG}{tags('gbwls')}\U000e007f"
FRAGMENTS = [
    *("a", "1", "[", "]", "m", ";", ESC, "\x9b", "\x9d", "\x07", "\\", "\n", "\r", "(", "B", "\x00", "\x18", " "),
    *("\u200d", "\u200c", "\u200b", "\U0001f469", "\u2764", "\ufe0f", "\ufe0e", FLAG, "\U000e007f", "\u20e3"),
    *tags("gbengsctwl"),
    *("\u200f", "\u05e9", "\u0646", "\u0915", "\u094d", "\u6f22", "\U000e0101", "\u202e", "\ufeff", "\u0e01", "\xad"),
]
texts = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.characters()), max_size=20).map("".join)
plain = st.text(alphabet=[*map(chr, range(0x20, 0x7F)), "\t", "\n", "\r"], max_size=200)


@given(texts, places)
@settings(max_examples=300)
def test_a_stream_equals_the_batch(text, cuts):
    shown, findings = in_pieces(DETECTOR, cut(text, cuts))
    assert ("".join(shown), findings) == whole(DETECTOR, text)


@given(texts)
@settings(max_examples=300)
def test_a_second_pass_changes_nothing(text):
    once = strip_invisible(text)
    assert strip_invisible(once) == once


@given(plain)
def test_plain_text_comes_back_as_it_is(text):
    assert whole(DETECTOR, text) == (text, ())


@given(texts)
def test_nothing_that_a_terminal_obeys_is_left(text):
    clean = strip_invisible(text)
    assert re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]", clean) is None


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family",
        "\u2764\ufe0f\u200d\U0001f525 and 1\ufe0f\u20e3 and \u2708\ufe0e",
        "\U0001f3f3\ufe0f\u200d\U0001f308",
        "\U0001f469\U0001f3fd\u200d\U0001f4bb",
        f"Wales {WALES} plays",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: ZWNJ inside a word
        "\u0915\u094d\u200d\u0937",  # Devanagari: ZWJ after a virama
        "\u0d28\u0d4d\u200d x",  # Malayalam: an old chillu at the end of a word
        "\u05e9\u05dc\u05d5\u05dd\u200f!",  # Hebrew with a direction mark
        "\u0e01\u200b\u0e02",  # Thai: a place to break the line
        "\u845b\U000e0100\u98fe",  # an ideograph's variant
        "Z\u0308a\u0300lgo, na\xefve, \u6f22\u5b57, \u041f\u0440\u0438\u0432\u0435\u0442",
        "caf\xe9\x85next",
    ],
)
def test_what_a_script_or_an_emoji_needs_stays(text):
    assert whole(DETECTOR, text) == (text, ())


@pytest.mark.parametrize(
    ("text", "clean", "rules"),
    [
        (f"{ESC}[31mred{ESC}[0m", "red", ["terminal-escape"] * 2),
        (f"{ESC}]8;;http://x.example{chr(7)}link{ESC}]8;;{ESC}\\ after", "link after", ["terminal-escape"] * 2),
        (f"a{ESC}]0;a secret that is never closed\nnext", "a\nnext", ["terminal-escape"]),
        (f"{ESC}{ESC}[0m[31m", "[31m", ["terminal-escape"]),
        ("x\x9b31my", "xy", ["terminal-escape"]),
        (f"charset {ESC}(B done", "charset  done", ["terminal-escape"]),
        ("ring\x07 over\x08\x08", "ring over", ["control-character", "control-character"]),
        ("hi" + tags("obey"), "hi", ["invisible-tags"]),
        (f"{FLAG}{tags('usny')}\U000e007f", FLAG, ["invisible-tags"]),
        ("a\u200b\u200c\u200db", "ab", ["zero-width"]),
        ("a\u202eb\u202c", "ab", ["bidi-control", "bidi-control"]),
        ("a\u200eb", "ab", ["bidi-control"]),
        ("\U0001f600\ufe0f\ufe0f\ufe01", "\U0001f600\ufe0f", ["variation-selector"]),
        ("x\U000e0130\U000e0131", "x", ["variation-selector"]),
        ("\ufeffstart", "start", ["zero-width"]),
    ],
)
def test_what_hides_goes(text, clean, rules):
    shown, findings = whole(DETECTOR, text)
    assert shown == clean
    assert [finding.rule for finding in findings] == rules


def test_a_stream_holds_back_no_more_than_a_sequence():
    shown, _ = in_pieces(DETECTOR, ["plain ", "text", ESC, "[3", "1mred", f" fla{FLAG}", "g"])
    assert shown == ["plain ", "text", "", "", "red", f" fla{FLAG}", "g", ""]


def test_an_endless_control_string_is_not_kept():
    session = DETECTOR.start()
    session.feed(f"{ESC}]8;;")
    for _ in range(100):
        step = session.feed("x" * 1000)
    assert step.decided == 100_005


def test_flag_reports_and_changes_nothing():
    text = f"a{ESC}[31mb"
    shown, findings = whole(InvisibleDetector(action=Action.FLAG), text)
    assert shown == text
    assert [finding.action for finding in findings] == [Action.FLAG]


def test_a_disabled_rule_does_not_run():
    text = f"a\u200bb{ESC}[1m"
    assert whole(InvisibleDetector(disabled=frozenset({"zero-width"})), text)[0] == "a\u200bb"


def test_the_output_sanitizer_runs_it():
    text = f"mail jo\u200bhn@example.com {ESC}[8mhidden"
    assert OutputSanitizer().sanitize(text).text == "mail [EMAIL] hidden"
    assert "\u200b" in OutputSanitizer(GuardPolicy.basic()).sanitize(text).text
