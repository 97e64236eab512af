"""JSON that a model streams: valid, safe value by value, and shown as it comes; and what a parser makes of it."""

import json
from copy import deepcopy

import pytest
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser
from lc_wire import Wire, guarded, plain
from pydantic import BaseModel

from guard_integrations import GuardPolicy, GuardUnavailable, OutputSanitizer, PseudonymVault

MAIL = "ann@example.org"
TEXT = json.dumps({"city": "Paris, the capital", "mail": f"write to {MAIL} today", "notes": ["[1] a note", 3]})
CLEAN = json.dumps({"city": "Paris, the capital", "mail": "write to [EMAIL] today", "notes": ["[1] a note", 3]})
JSON = {"type": "json_object"}


class Note(BaseModel):
    """A note."""

    city: str = ""
    mail: str = ""
    notes: list[str | int] = []


def pieces(text, size):
    return [text[at : at + size] for at in range(0, len(text), size)]


def in_blocks(chunks):
    return [[{"type": "text", "text": chunk}] for chunk in chunks]


def thinking_first(chunks):
    return [[{"type": "thinking", "thinking": [{"type": "text", "text": f"Hm {MAIL} "}]}], *chunks]


async def both(runnable, asked="Hi"):
    """What comes out in pieces, sync and async."""
    # Copies, for LangChain's older versions write what comes later into the first chunk.
    return [
        [deepcopy(piece) for piece in runnable.stream(asked)],
        [deepcopy(piece) async for piece in runnable.astream(asked)],
    ]


@pytest.mark.parametrize("size", [1, 4, 17, 1000])
@pytest.mark.parametrize("shape", [list, in_blocks, thinking_first])
@pytest.mark.parametrize("settings", [{}, {"output_version": "v1"}])
async def test_a_stream_of_json_is_the_whole(size, shape, settings):
    llm = guarded(Wire(shape(pieces(TEXT, size))), **settings).bind(response_format=JSON)
    assert llm.invoke("Hi").text == CLEAN
    assert (await llm.ainvoke("Hi")).text == CLEAN
    for chunks in await both(llm):
        assert "".join(chunk.text for chunk in chunks) == CLEAN
        assert MAIL not in repr(chunks)
        assert size > 17 or len(chunks) > 5


async def test_the_first_value_is_shown_before_the_last_has_come():
    read = []

    class Slow(Wire):
        def _events(self):
            read.clear()
            return super()._events()

    llm = guarded(Slow(pieces(TEXT, 1))).bind(response_format=JSON)
    for chunks in await both(llm):
        texts = [chunk.text for chunk in chunks]
        shown = next(place for place in range(len(texts)) if "Paris" in "".join(texts[:place]))
        # A third of the pieces have come by then.
        assert shown < len(texts) / 2


@pytest.mark.parametrize("size", [1, 5])
async def test_behind_a_json_parser_each_snapshot_leaves_out_what_is_held(size):
    chain = guarded(Wire(pieces(TEXT, size))).bind(response_format=JSON) | JsonOutputParser()
    for shown in await both(chain):
        assert shown[-1] == json.loads(CLEAN)
        assert len(shown) > 10
        for snapshot in shown:
            assert "ann" not in repr(snapshot)
            assert json.loads(CLEAN)["mail"].startswith(snapshot.get("mail", ""))


@pytest.mark.parametrize("method", ["json_mode", "json_schema"])
async def test_structured_output_streams(method):
    asked = guarded(Wire(pieces(TEXT, 3)))
    as_dict = asked.with_structured_output(Note.model_json_schema(), method=method)
    for shown in await both(as_dict):
        assert shown[-1] == json.loads(CLEAN)
        assert len(shown) > 10
        assert "ann" not in repr(shown)
    for shown in await both(asked.with_structured_output(Note, method=method)):
        assert shown[-1] == Note.model_validate_json(CLEAN)
        assert len(shown) > 3
        assert "ann" not in repr(shown)


async def test_an_unguarded_stream_shows_what_the_guard_leaves_out():
    chain = plain(Wire(pieces(TEXT, 5))).bind(response_format=JSON) | JsonOutputParser()
    for shown in await both(chain):
        assert MAIL in repr(shown)


async def test_json_that_was_cut_off_stays_what_it_was():
    text = TEXT[: TEXT.index("today")]
    for chunks in await both(guarded(Wire(pieces(text, 6))).bind(response_format=JSON)):
        assert "".join(chunk.text for chunk in chunks) == CLEAN[: CLEAN.index("today")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Sure! Write to {MAIL}", "Sure! Write to [EMAIL]"),
        (f'{{"a": 1}}\nP.S. Write to {MAIL}', '{"a": 1}\nP.S. Write to [EMAIL]'),
        (f'{{"a": {MAIL}}}', '{"a": [EMAIL]}'),
    ],
)
async def test_what_is_no_json_is_sanitised_as_text(text, expected):
    llm = guarded(Wire(pieces(text, 3))).bind(response_format=JSON)
    assert llm.invoke("Hi").content == expected
    for chunks in await both(llm):
        assert "".join(chunk.text for chunk in chunks) == expected


async def test_what_would_change_what_has_been_shown_is_an_error():
    llm = guarded(Wire(pieces(f'{{"{MAIL}": "x"}} and more', 4))).bind(response_format=JSON)
    with pytest.raises(GuardUnavailable, match="stopped being JSON") as caught:
        llm.invoke("Hi")
    assert caught.value.__context__ is None
    with pytest.raises(GuardUnavailable, match="stopped being JSON"):
        list(llm.stream("Hi"))
    with pytest.raises(GuardUnavailable, match="stopped being JSON"):
        [chunk async for chunk in llm.astream("Hi")]


async def test_pseudonyms_come_back_in_values_and_json_stays_json():
    vault = PseudonymVault()
    token = vault.token("person", 'Ann "the" O\'Neill')
    text = json.dumps({"to": f"Dear {token}, hello"})
    llm = guarded(Wire(pieces(text, 4)), vault=vault).bind(response_format=JSON)
    expected = {"to": 'Dear Ann "the" O\'Neill, hello'}
    assert json.loads(llm.invoke("Hi").content) == expected
    for chunks in await both(llm):
        assert json.loads("".join(chunk.text for chunk in chunks)) == expected


async def test_a_refusal_in_the_middle_of_json_is_all_that_state_keeps():
    policy = GuardPolicy.basic(actions={"pii": "block"})
    llm = guarded(Wire(pieces(TEXT, 4)), policy=policy, on_block="refuse").bind(response_format=JSON)
    for chunks in await both(llm):
        text = "".join(chunk.text for chunk in chunks)
        assert text.endswith(policy.refusal)
        assert "ann@" not in text
    assert llm.invoke("Hi").content == policy.refusal


def test_the_whole_is_what_the_core_says():
    sanitizer = OutputSanitizer()
    said = guarded(Wire([TEXT])).bind(response_format=JSON).invoke("Hi")
    assert isinstance(said, AIMessage)
    assert said.content == sanitizer.sanitize_value(TEXT).value == CLEAN
