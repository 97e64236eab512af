"""The moderation stage in chains with the real model class, over real HTTP."""

import asyncio
import threading
import time

import pytest
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableGenerator, RunnableLambda, RunnableParallel
from langchain_mistralai import ChatMistralAI
from pydantic import ValidationError

from guard_integrations import GuardBlocked, GuardUnavailable, Moderator
from guard_integrations.langchain import RunnableModerationGuard
from guard_integrations.langchain._readable import chunk_text, read
from guard_integrations.testing.faults import Fault

HARMFUL = "I will kill you."
PLAIN = "Good morning to everybody, and a fine day. "


@pytest.fixture
def moderator(mistral_server):
    with Moderator(keys=mistral_server.key, base_url=mistral_server.base_url) as made:
        yield made


@pytest.fixture
def llm(mistral_server):
    return ChatMistralAI(api_key=mistral_server.key, base_url=mistral_server.base_url)


def sync_invoke(chain, value):
    return chain.invoke(value)


def async_invoke(chain, value):
    return asyncio.run(chain.ainvoke(value))


def sync_stream(chain, value):
    out = list(chain.stream(value))
    return out[0] if len(out) == 1 else "".join(piece if isinstance(piece, str) else piece.content for piece in out)


def async_stream(chain, value):
    async def gather():
        return [piece async for piece in chain.astream(value)]

    out = asyncio.run(gather())
    return out[0] if len(out) == 1 else "".join(piece if isinstance(piece, str) else piece.content for piece in out)


WAYS = pytest.mark.parametrize("run", [sync_invoke, async_invoke, sync_stream, async_stream])

VALUES = {
    "text": lambda text: text,
    "message": HumanMessage,
    "messages": lambda text: [SystemMessage("Be kind."), HumanMessage(text)],
    "prompt": lambda text: ChatPromptTemplate.from_messages([("user", "{q}")]).invoke({"q": text}),
    "blocks": lambda text: [HumanMessage([{"type": "text", "text": text}])],
    "tool result": lambda text: [
        HumanMessage("hi"),
        AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "123456789"}]),
        ToolMessage(text, tool_call_id="123456789"),
        ToolMessage("fine", tool_call_id="123456780"),
    ],
    "dictionary": lambda text: {"question": "hi", "history": [HumanMessage(text)], "n": 3},
    "nested": lambda text: {"question": {"deep": [text]}},
    "documents": lambda text: [Document("fine"), Document(text)],
    "tool call": lambda text: AIMessage("", tool_calls=[{"name": "f", "args": {"q": text}, "id": "1"}]),
}


@WAYS
@pytest.mark.parametrize("kind", VALUES)
def test_whatever_a_chain_carries_is_judged_and_handed_on_as_it_is(moderator, run, kind):
    guard = RunnableModerationGuard(moderator=moderator)
    plain = VALUES[kind](PLAIN)
    assert run(guard, plain) == plain
    with pytest.raises(GuardBlocked) as caught:
        run(guard, VALUES[kind](HARMFUL))
    assert caught.value.stage == "input"
    assert caught.value.categories == ("violence_and_threats",)


@WAYS
def test_a_chain_is_guarded_on_both_sides_and_without_the_guard_it_is_not(moderator, llm, run):
    guarded = (
        RunnableModerationGuard(moderator=moderator)
        | llm
        | StrOutputParser()
        | RunnableModerationGuard(stage="output", moderator=moderator)
    )
    assert run(guarded, "Say hello") == run(llm | StrOutputParser(), "Say hello")
    with pytest.raises(GuardBlocked):
        run(guarded, HARMFUL)


def writes(*pieces, pause=0.0):
    def write(_):
        for piece in pieces:
            time.sleep(pause)
            yield piece

    async def awrite(_):
        for piece in pieces:
            await asyncio.sleep(pause)
            yield piece

    return RunnableGenerator(write, awrite)


@WAYS
@pytest.mark.parametrize("as_message", [False, True])
def test_the_output_is_judged_window_by_window(moderator, run, as_message):
    def said(text):
        return AIMessageChunk(text) if as_message else text

    guard = RunnableModerationGuard(stage="output", moderator=moderator)
    plain = [said(f"{PLAIN}{number}. ") for number in range(40)]
    assert str(run(writes(*plain) | guard, "x")) != ""
    if run in (sync_stream, async_stream):
        assert run(writes(*plain) | guard, "x") == "".join(f"{PLAIN}{number}. " for number in range(40))
    with pytest.raises(GuardBlocked) as caught:
        run(writes(*plain, said(HARMFUL), *plain) | guard, "x")
    assert caught.value.stage == "output"


def test_the_first_windows_are_out_before_the_answer_is_written(moderator):
    written = []

    def write(_):
        for number in range(20_000):
            written.append(number)
            time.sleep(0.002)
            yield f"{PLAIN}{number}. "

    guard = RunnableModerationGuard(stage="output", moderator=moderator)
    stream = (RunnableGenerator(write) | guard).stream("x")
    next(stream)
    assert len(written) < 10_000
    stream.close()
    assert len(written) < 10_000


def test_tool_calls_in_chunks_are_read():
    chunk = AIMessageChunk("a", tool_call_chunks=[{"name": "f", "args": '{"q": "b', "id": "1", "index": 0}])
    assert chunk_text(chunk) == 'af{"q": "b'


def test_snapshots_and_dictionaries_of_a_stream_are_judged_before_any_of_it_is_shown(moderator):
    guard = RunnableModerationGuard(stage="output", moderator=moderator)
    snapshots = writes('{"a": "Good', ' morning"', ', "b": 1}') | JsonOutputParser() | guard
    assert list(snapshots.stream("x"))[-1] == {"a": "Good morning", "b": 1}
    assert snapshots.invoke("x") == {"a": "Good morning", "b": 1}
    harmful = writes('{"a": "I will', ' kill you."', ', "b": "I am nice"}') | JsonOutputParser() | guard
    out = []
    with pytest.raises(GuardBlocked):
        out.extend(harmful.stream("x"))
    assert out == []
    both = RunnableParallel(a=writes("I will ", "kill ", "you."), b=writes("Good ", "morning.")) | guard
    with pytest.raises(GuardBlocked):
        out.extend(both.stream("x"))
    assert out == []


def test_nothing_in_a_value_goes_unread():
    class Odd:
        def __str__(self):
            return HARMFUL

    assert read({"a": [1, None, Odd()], "b": {"c": ("x",)}}).texts == [HARMFUL, "x"]


@WAYS
def test_an_error_of_the_classifier_blocks(moderator, mistral_server, run):
    guard = RunnableModerationGuard(moderator=moderator)
    mistral_server.faults.add(Fault(path="/v1/moderations", malformed=True))
    with pytest.raises(GuardUnavailable):
        run(guard, PLAIN)


@WAYS
def test_moderation_beside_the_generation(moderator, llm, mistral_server, run):
    guard = RunnableModerationGuard(moderator=moderator, concurrent=True)
    chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | (guard | llm | StrOutputParser())
    assert run(chain, {"q": "Say hello"}) == run(llm | StrOutputParser(), "Say hello")
    mistral_server.faults.add(Fault(path="/v1/chat/moderations", latency=0.05, times=None))
    with pytest.raises(GuardBlocked) as caught:
        run(chain, {"q": HARMFUL})
    assert caught.value.stage == "input"
    mistral_server.faults.clear()
    mistral_server.faults.add(Fault(path="/v1/chat/moderations", nulls=True))
    with pytest.raises(GuardUnavailable):
        run(chain, {"q": "Say something else"})


def test_both_really_run_at_once(moderator, mistral_server):
    began = []

    def answer(_):
        began.append(len(mistral_server.requests))
        return "answer"

    mistral_server.faults.add(Fault(path="/v1/moderations", latency=0.2))
    chain = RunnableModerationGuard(moderator=moderator, concurrent=True) | RunnableLambda(answer)
    started = time.monotonic()
    assert chain.invoke(PLAIN) == "answer"
    assert time.monotonic() - started >= 0.2
    assert len(began) == 1


async def test_a_hit_cancels_the_generation(moderator):
    stopped = asyncio.Event()

    async def endless(_):
        try:
            while True:
                await asyncio.sleep(0.001)
                yield "more "
        finally:
            stopped.set()

    chain = RunnableModerationGuard(moderator=moderator, concurrent=True) | RunnableGenerator(endless)
    with pytest.raises(GuardBlocked):
        await anext(chain.astream(HARMFUL))
    await asyncio.wait_for(stopped.wait(), 5)


def test_a_hit_in_the_output_stops_the_model(moderator):
    stopped = threading.Event()

    def endless(_):
        try:
            yield HARMFUL * 30
            while True:
                time.sleep(0.001)
                yield "more "
        finally:
            stopped.set()

    chain = RunnableGenerator(endless) | RunnableModerationGuard(stage="output", moderator=moderator)
    with pytest.raises(GuardBlocked):
        list(chain.stream("x"))
    assert stopped.wait(5)


def test_pipe_is_the_same_as_the_operator(moderator):
    guard = RunnableModerationGuard(moderator=moderator, concurrent=True)
    model = GenericFakeChatModel(messages=iter([AIMessage("a"), AIMessage("b")]))
    assert guard.pipe(model).invoke(PLAIN).content == "a"
    assert guard.pipe(model, StrOutputParser()).invoke(PLAIN) == "b"


def test_a_guard_with_nothing_to_run_beside_says_so_and_guards_all_the_same(moderator, llm):
    guard = RunnableModerationGuard(moderator=moderator, concurrent=True)
    chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | guard | llm
    with pytest.warns(UserWarning, match="prompt | "), pytest.raises(GuardBlocked):
        chain.invoke({"q": HARMFUL})


def test_settings(moderator):
    with pytest.warns(UserWarning, match="before its verdict"):
        RunnableModerationGuard(stage="output", mode="after", moderator=moderator)
    with pytest.raises(ValidationError):
        RunnableModerationGuard(stage="output", concurrent=True, moderator=moderator)
    with pytest.raises(ValidationError):
        RunnableModerationGuard(colour="red", moderator=moderator)
    assert "test-key" not in repr(RunnableModerationGuard(moderator=moderator))
