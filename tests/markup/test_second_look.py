"""Markup goes last: what the rules make of what is left must not depend on whether they look a second time."""

import pytest

from guard_integrations import GuardBlocked, GuardPolicy, OutputSanitizer

GONE = "https://evil.example/?q=" + "a" * 60
CASES = [
    # The word that speaks against a number goes with the link that it stands in.
    ("pedido " + GONE + "order 54362315K 291652", "balanced"),
    # The word that speaks for a number comes nearer.
    (f"Call me, see {GONE} and {GONE}, on 612345678 or so", "balanced"),
    (f"[phone](https://evil.example/?q={'a' * 60}) at 612345678(//evil.example/?q=1)", "balanced"),
    # A number ends where a link begins.
    (f"NIE X2482300W{GONE} and more", "balanced"),
    (f"NIE X2482300W{GONE} and more", "strict"),
]


@pytest.mark.parametrize("render", ["markdown", "html", "text"])
@pytest.mark.parametrize(("text", "profile"), CASES)
def test_sanitising_again_changes_nothing_and_a_stream_equals_the_batch(text, profile, render):
    sanitizer = OutputSanitizer(GuardPolicy(profile=profile), render=render)
    once = sanitizer.sanitize(text)
    assert sanitizer.sanitize(once.text).text == once.text
    for size in (1, 7, 40):
        stream = sanitizer.stream()
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert "".join([*map(stream.feed, pieces), stream.finish()]) == once.text
        assert stream.findings == once.findings


def test_what_the_second_look_finds_is_hidden_and_said_where_it_stands():
    text = f"Call me, see {GONE} on 612345678 or so"
    done = OutputSanitizer().sanitize(text)
    assert done.text == "Call me, see [link removed] on [PHONE]  or so"
    phone = next(finding for finding in done.findings if finding.rule.startswith("phone"))
    assert text[phone.start : phone.end] == "612345678"
    with pytest.raises(GuardBlocked):
        OutputSanitizer(GuardPolicy(strategies={"pii": "block"})).sanitize(text)


def test_a_label_that_the_second_look_writes_begins_no_link():
    text = f"Call me, see {GONE} on 612345678(//evil.example/?q=1)"
    assert "[PHONE] (" in OutputSanitizer().sanitize(text).text


@pytest.mark.parametrize("render", ["markdown", "html"])
def test_half_a_character_in_a_tag_is_no_failure(render):
    text = '<a href="https://ok.example/a" title="\ud800">x</a> <b title=\udc00>y</b>'
    once = OutputSanitizer(render=render).sanitize(text).text
    assert OutputSanitizer(render=render).sanitize(once).text == once
    assert "x</a>" in once


def test_what_is_flagged_is_not_reported_twice():
    policy = GuardPolicy(actions={"pii": "flag"})
    text = f"See {GONE} or write to john.doe@example.com"
    assert [finding.rule for finding in OutputSanitizer(policy).sanitize(text).findings] == [
        *("markup-link-exfiltration", "email")
    ]
