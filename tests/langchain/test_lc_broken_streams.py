"""Streams that end in the middle: an error frame without `choices`, which LangChain skips, is an error that says so."""

import json

import pytest
from langchain.agents import create_agent
from langchain_mistralai import ChatMistralAI
from lc_wire import Wire, guarded, plain

from guard_integrations import GuardUnavailable
from guard_integrations.langchain import GuardedChatMistralAI, GuardMiddleware
from guard_integrations.testing.faults import Fault

SAY = 'Reply with: "The sun rose over the hills, and nobody said a word about it."'


@pytest.fixture
def mistral(mistral_server, monkeypatch):
    monkeypatch.setenv("MISTRAL_API_KEY", mistral_server.key)
    monkeypatch.setenv("MISTRAL_BASE_URL", mistral_server.base_url)
    return mistral_server


async def way(llm, how):
    if how == "stream":
        return list(llm.stream(SAY))
    if how == "astream":
        return [chunk async for chunk in llm.astream(SAY)]
    streaming = llm.model_copy(update={"streaming": True})
    return streaming.invoke(SAY) if how == "invoke" else await streaming.ainvoke(SAY)


WAYS = ("stream", "astream", "invoke", "ainvoke")


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("moderation", ["off", "output"])
async def test_an_error_frame_is_an_error(mistral, how, moderation):
    mistral.faults.add(Fault(path="/v1/chat/completions", error_frame_after=3))
    llm = GuardedChatMistralAI(moderation=moderation)
    with pytest.raises(GuardUnavailable, match=r"ended in the middle of the answer.*ask again") as caught:
        await way(llm, how)
    assert "Internal server error" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert await way(llm, how)


@pytest.mark.parametrize("how", WAYS)
async def test_an_unguarded_model_takes_the_half_for_the_whole(mistral, how):
    mistral.faults.add(Fault(path="/v1/chat/completions", error_frame_after=3))
    assert await way(ChatMistralAI(), how)


@pytest.mark.parametrize("how", WAYS)
async def test_a_frame_without_choices_that_is_no_error_is_passed_over(mistral, how):
    mistral.faults.add(Fault(path="/v1/chat/completions", without_choices_after=2))
    said = await way(GuardedChatMistralAI(moderation="off"), how)
    text = "".join(chunk.text for chunk in said) if isinstance(said, list) else said.text
    assert text == "The sun rose over the hills, and nobody said a word about it."


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("fault", [{"cut_after": 3}, {"malformed": True}])
async def test_a_stream_that_is_cut_is_an_error_too(mistral, how, fault):
    mistral.faults.add(Fault(path="/v1/chat/completions", **fault))
    with pytest.raises(Exception, match=r"RemoteProtocolError|not JSON") as caught:
        await way(GuardedChatMistralAI(moderation="off"), how)
    assert "sun rose" not in repr(caught.value)


class Cut(Wire):
    """Ends without saying that it is over, with or without an error frame."""

    frame = ""

    def _events(self):
        events = [event for event in super()._events().split(b"\n\n") if b'"stop"' not in event and event]
        error = [f"data: {self.frame}".encode()] if self.frame else []
        return b"\n\n".join([*events[:-1], *error, events[-1]]) + b"\n\n"


@pytest.mark.parametrize("frame", ["", json.dumps({"object": "error", "message": "C4nary body"})])
async def test_nothing_of_what_was_held_or_of_the_frame_comes_out(frame):
    wire = Cut(["Write to jane", "@exam"])
    wire.frame = frame
    llm = guarded(wire)
    shown = []
    with pytest.raises(GuardUnavailable) as caught:
        shown.extend(chunk.text for chunk in llm.stream("Hi"))
    assert "C4nary" not in repr(caught.value)
    assert "jane" not in repr(shown)
    with pytest.raises(GuardUnavailable):
        [chunk async for chunk in llm.astream("Hi")]


def test_an_agent_hears_of_it_too():
    agent = create_agent(plain(Cut(["Half an an"])), middleware=[GuardMiddleware()])
    with pytest.raises(GuardUnavailable, match="ended in the middle"):
        list(agent.stream({"messages": [("user", "Hi")]}, stream_mode="messages"))
