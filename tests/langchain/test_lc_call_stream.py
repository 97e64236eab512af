"""Tool calls whose arguments come in pieces, as other providers send them: clean, whole when put together, as they come."""

import json
from functools import reduce
from operator import add

import pytest
from chunks import cut, places
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from pydantic import Field

from guard_integrations import GuardPolicy, Moderator, OutputSanitizer, PseudonymVault
from guard_integrations.langchain import GuardMiddleware, RunnableOutputSanitizer

MAIL = "jane.doe@example.com"
CLEAN = OutputSanitizer()
STAGE = RunnableOutputSanitizer()
values = st.dictionaries(
    st.sampled_from(["to", "text", "password"]),
    st.lists(st.sampled_from([MAIL, "jane.", "doe@", "example.com", "hi ", "<script>", '"', "\n", "hunter2x!"])).map(
        "".join
    )
    | st.integers()
    | st.lists(st.sampled_from([MAIL, "x"])),
)


def chunked(calls, *, ends_with_a_piece):
    """The chunks of an answer: first a text, then the calls piece by piece, then the end."""
    yield AIMessageChunk(content="Let me see, ")
    for index, (name, pieces) in enumerate(calls):
        for number, piece in enumerate(pieces or [""]):
            first = number == 0
            call = tool_call_chunk(
                name=name if first else None, args=piece, id=f"call-{index}" if first else None, index=index
            )
            last = ends_with_a_piece and index == len(calls) - 1 and number == len(pieces or [""]) - 1
            yield AIMessageChunk(
                content="", tool_call_chunks=[call], response_metadata={"finish_reason": "tool_calls"} if last else {}
            )
    if not ends_with_a_piece:
        yield AIMessageChunk(content="", response_metadata={"finish_reason": "tool_calls"})


@given(st.lists(st.tuples(values, places), min_size=1, max_size=3), st.booleans())
def test_what_is_put_together_is_what_the_whole_gives(calls, ends_with_a_piece):
    given_calls = [("send", cut(json.dumps(value), at)) for value, at in calls]
    shown = list(STAGE.transform(chunked(given_calls, ends_with_a_piece=ends_with_a_piece)))
    total = reduce(add, shown)
    assert [call["args"] for call in total.tool_calls] == [CLEAN.sanitize_value(value).value for value, _ in calls]
    assert [call["id"] for call in total.tool_calls] == [f"call-{index}" for index in range(len(calls))]
    assert not total.invalid_tool_calls
    assert total.text == "Let me see, "
    assert total.response_metadata["finish_reason"] == "tool_calls"


class Other(BaseChatModel):
    """Another provider's model, which streams its arguments."""

    pieces: list[str]
    turns: list[int] = Field(default_factory=lambda: [0])

    @property
    def _llm_type(self):
        return "other"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Done."))])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self.turns[0] += 1
        if self.turns[0] % 2:
            for chunk in chunked([("send", self.pieces)], ends_with_a_piece=False):
                yield ChatGenerationChunk(message=chunk)
        else:
            yield ChatGenerationChunk(message=AIMessageChunk(content="Done."))

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=tools, **kwargs)


@tool
def send(to: str, text: str = "") -> str:
    """Sends a letter."""
    return f"sent to {to}"


ARGUMENTS = list(json.dumps({"text": "The sun rose over the hills.", "to": MAIL}))


def streamed(graph, asked):
    shown = [part for part, _ in graph.stream(asked, stream_mode="messages") if isinstance(part, AIMessageChunk)]
    return [call for chunk in shown for call in chunk.tool_call_chunks], shown


@pytest.mark.parametrize("streaming", [True, False])
def test_an_agent_of_another_provider_shows_clean_arguments_as_they_come(streaming):
    graph = create_agent(Other(pieces=ARGUMENTS), tools=[send], middleware=[GuardMiddleware()])
    asked = {"messages": [HumanMessage("Hello")]}
    if not streaming:
        assert MAIL not in repr(graph.invoke(asked))
        return
    calls, shown = streamed(graph, asked)
    assert len(calls) > 8
    assert json.loads("".join(call["args"] for call in calls)) == {
        "text": "The sun rose over the hills.",
        "to": "[EMAIL]",
    }
    assert "jane" not in repr(shown)
    unguarded = create_agent(Other(pieces=ARGUMENTS), tools=[send])
    assert MAIL in "".join(call["args"] for call in streamed(unguarded, asked)[0])


def test_a_refused_argument_ends_the_answer_and_calls_nothing():
    policy = GuardPolicy.basic(actions={"pii": "block"})
    graph = create_agent(Other(pieces=ARGUMENTS), tools=[send], middleware=[GuardMiddleware(policy)])
    asked = {"messages": [HumanMessage("Hello")]}
    parts = list(graph.stream(asked, stream_mode=["messages", "values"]))
    state = parts[-1][1]["messages"]
    assert [message.content for message in state] == ["Hello", policy.refusal]
    assert not state[-1].tool_calls
    assert "jane" not in repr(parts)


def test_values_come_back_for_named_tools_only():
    vault = PseudonymVault()
    token = vault.token("EMAIL", MAIL)
    pieces = list(json.dumps({"to": token}))
    for named, expected in ((frozenset(), token), (frozenset({"send"}), MAIL)):
        middleware = GuardMiddleware(vault=vault, restore_tools=named)
        graph = create_agent(Other(pieces=pieces), tools=[send], middleware=[middleware])
        calls, _ = streamed(graph, {"messages": [HumanMessage("Hello")]})
        assert json.loads("".join(call["args"] for call in calls)) == {"to": expected}


def test_harm_in_arguments_that_stream_is_moderated(mistral_server):
    harm = list(json.dumps({"to": "bob", "text": "I will kill you with a knife, you worthless idiot."}))
    with Moderator(keys=mistral_server.key, base_url=mistral_server.base_url) as moderator:
        graph = create_agent(Other(pieces=harm), tools=[send], middleware=[GuardMiddleware(moderator=moderator)])
        calls, _ = streamed(graph, {"messages": [HumanMessage("Hello")]})
    assert "kill" not in "".join(call["args"] for call in calls)
