"""The leak hunt, in odd corners: several choices, early ends, caches, pickles, graphs, fallbacks, subgraphs, tools that raise."""

import asyncio
import json
import pickle

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, ToolRetryMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, message_to_dict
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from lc_wire import Script, Wire, guarded, plain
from test_lc_leaks import ANSWER, CANARIES, INPUT_CANARY, PROMPT, RULES, AsyncEverything, Everything, Tracer, dump

from guard_integrations import GuardBlocked, GuardPolicy
from guard_integrations.langchain import (
    DocumentGuard,
    GuardedChatMistralAI,
    GuardMiddleware,
    RunnableInputGuard,
    RunnableOutputSanitizer,
)

MAIL = "canary7@example.com"
KEY = "k3y-" + "C4naryKey" * 3


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    pack = tmp_path_factory.mktemp("rules") / "test.toml"
    pack.write_text(RULES)
    return GuardPolicy(rule_packs=(pack,))


@pytest.fixture
def handlers():
    return (Everything(), AsyncEverything(), Tracer())


def nothing_of(canaries, *places):
    everything = "\n".join(dump(place) for place in places)
    assert len(everything) > 50
    for canary in canaries:
        assert canary not in everything, canary


def heard(handlers):
    return [said for handler in handlers for said in handler.said]


class Choices(Wire):
    """Answers with several choices."""

    def _answer(self):
        answer = super()._answer()
        (choice,) = answer["choices"]
        answer["choices"] = [{**choice, "index": number} for number in range(3)]
        return answer


async def test_every_one_of_several_choices_is_clean(policy, handlers):
    asked = [HumanMessage("Hi")]
    for llm in (guarded(Choices(ANSWER), system_prompt=PROMPT, policy=policy),):
        whole = llm.generate([asked, asked], callbacks=list(handlers), n=3)
        awhole = await llm.agenerate([asked], callbacks=list(handlers), n=3)
        assert [len(each) for each in whole.generations] == [3, 3]
        nothing_of(CANARIES, whole, awhole, heard(handlers))
    assert CANARIES[0] in dump(plain(Choices(["".join(ANSWER)])).generate([asked], n=3))


@pytest.mark.parametrize("taken", [1, 2, 4])
async def test_a_reader_who_stops_early_has_seen_nothing(taken, policy, handlers):
    llm = guarded(Wire(ANSWER), system_prompt=PROMPT, policy=policy)
    config = {"callbacks": list(handlers)}
    stream, astream = llm.stream("Hi", config), llm.astream("Hi", config)
    shown = [*(next(stream) for _ in range(taken)), *[await anext(astream) for _ in range(taken)]]
    stream.close()
    await astream.aclose()
    await asyncio.sleep(0.02)
    nothing_of(CANARIES, shown, heard(handlers))


async def test_a_task_that_is_cancelled_shows_nothing(policy, handlers):
    llm = guarded(Wire(ANSWER), system_prompt=PROMPT, policy=policy)
    shown = []

    async def read():
        async for chunk in llm.astream("Hi", {"callbacks": list(handlers)}):
            shown.append(chunk)
            await asyncio.sleep(60)

    task = asyncio.create_task(read())
    while not shown:  # noqa: ASYNC110 - nothing tells when
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    nothing_of(CANARIES, shown, heard(handlers))


async def test_a_cache_holds_clean_answers_under_clean_questions(policy):
    cache = InMemoryCache()
    llm = guarded(Wire(ANSWER), system_prompt=PROMPT, policy=policy, cache=cache)
    asked = [SystemMessage("Be kind."), HumanMessage(INPUT_CANARY)]
    said = [llm.invoke(asked), await llm.ainvoke(asked)]
    assert cache._cache
    nothing_of((*CANARIES, "Ignore previous"), cache._cache, said)


@pytest.mark.parametrize("return_exceptions", [True, False])
async def test_a_batch_with_bad_items_shows_nothing(return_exceptions, handlers):
    llm = guarded(Wire(["fine"]), policy=GuardPolicy.strict())
    config = {"callbacks": list(handlers)}
    seen = []
    for batch in (
        lambda: llm.batch(["Hi", INPUT_CANARY], config, return_exceptions=return_exceptions),
        lambda: list(llm.batch_as_completed(["Hi", INPUT_CANARY], config, return_exceptions=return_exceptions)),
    ):
        try:
            seen.append(batch())
        except GuardBlocked as error:
            seen.append(error)
    try:
        seen.append(await llm.abatch(["Hi", INPUT_CANARY], config, return_exceptions=return_exceptions))
    except GuardBlocked as error:
        seen.append(error)
    assert "GuardBlocked" in dump(seen)
    nothing_of(("Ignore previous", "c4nary-in"), seen, heard(handlers))


async def test_the_exception_that_a_fallback_is_given_holds_nothing():
    given = []
    fallback = RunnableLambda(lambda value: given.append(value["error"]) or "I cannot.")
    strict = RunnableLambda(lambda value: value["q"]) | guarded(Wire(["never"]), policy=GuardPolicy.strict())
    chain = strict.with_fallbacks([fallback], exception_key="error")
    assert chain.invoke({"q": INPUT_CANARY}) == "I cannot."
    assert await chain.ainvoke({"q": INPUT_CANARY}) == "I cannot."
    failing = guarded(Wire(status=422, body=json.dumps({"detail": INPUT_CANARY})), max_retries=1)
    assert (RunnableLambda(lambda value: value["q"]) | failing).with_fallbacks(
        [fallback], exception_key="error"
    ).invoke({"q": "Hello"}) == "I cannot."
    assert [type(error).__name__ for error in given] == ["GuardBlocked", "GuardBlocked", "HTTPStatusError"]
    nothing_of(("Ignore previous", "c4nary-in"), given)


async def test_pieces_of_broken_tool_calls_show_nothing(policy, handlers):
    """Arguments that are no JSON, a name that holds a secret, an unknown tool."""
    text = "".join(ANSWER)
    secret = "ghp_" + "C4nary" * 3 + "Xy9Zw8Vu7Ts6Rq5Po4"
    calls = [
        {"id": "abcdefgh1", "function": {"name": "Answer", "arguments": json.dumps({"text": text})[:-2]}},
        {"id": "abcdefgh2", "function": {"name": secret, "arguments": f"{{'text': '{text}'}}"}},
        {"id": "abcdefgh3", "function": {"name": "Answer", "arguments": f"[{json.dumps(text)}] {text}"}},
    ]
    llm = guarded(Wire([""], calls=calls), system_prompt=PROMPT, policy=policy)
    config = {"callbacks": list(handlers)}
    shown = [
        llm.invoke("Hi", config),
        await llm.ainvoke("Hi", config),
        list(llm.stream("Hi", config)),
        [chunk async for chunk in llm.astream("Hi", config)],
    ]
    assert shown[0].invalid_tool_calls
    nothing_of(CANARIES, shown, heard(handlers))


def test_nothing_of_key_or_prompt_is_in_any_drawing_or_dump(policy):
    llm = GuardedChatMistralAI(api_key=KEY, policy=policy, system_prompt=PROMPT, moderation="both")
    chain = (
        ChatPromptTemplate([("human", "{q}")])
        | RunnableInputGuard(policy=policy)
        | llm
        | RunnableOutputSanitizer(policy=policy, system_prompt=PROMPT)
    )
    bound = llm.bind_tools([lookup]).with_retry().with_fallbacks([llm])
    shown = []
    for one in (llm, chain, bound, llm.with_structured_output({"title": "x", "type": "object", "properties": {}})):
        shown += [
            repr(one), str(one), dumps(one), dumpd(one), one.get_graph().draw_mermaid(), one.get_graph().to_json(with_schemas=True),
            one.get_input_jsonschema(), one.get_output_jsonschema(), one.get_config_jsonschema(), one.get_name(),
        ]  # fmt: skip
    shown += [llm.model_dump(), llm.model_dump_json(), llm._identifying_params, llm._get_llm_string(), llm._serialized]
    shown += [vars(llm).get("mistral_api_key"), llm.lc_attributes, llm._get_ls_params(), llm._get_invocation_params()]
    nothing_of(("C4naryKey", "Lighthouse", "project Bluebird"), shown)


def test_what_can_be_pickled_holds_nothing(policy, handlers):
    llm = guarded(Wire(ANSWER), system_prompt=PROMPT, policy=policy)
    refusing = guarded(Wire(["x"]), policy=GuardPolicy.strict())
    with pytest.raises(GuardBlocked) as caught:
        refusing.invoke(INPUT_CANARY)
    said = llm.invoke(INPUT_CANARY, {"callbacks": list(handlers)})
    chunks = list(llm.stream(INPUT_CANARY))
    things = [
        said,
        chunks,
        caught.value,
        message_to_dict(said),
        RunnableInputGuard(policy=policy),
        DocumentGuard(policy=policy),
    ]
    for thing in things:
        again = pickle.dumps(thing)
        for canary in (*CANARIES, "Ignore previous"):
            assert canary.encode() not in again
        assert type(pickle.loads(again)) is type(thing)  # noqa: S301 - our own bytes
    with pytest.raises(TypeError):
        pickle.dumps(GuardedChatMistralAI(api_key=KEY, moderation="off"))


def test_a_stage_that_was_pickled_still_knows_what_may_not_come_out(policy):
    stage = RunnableOutputSanitizer(policy=policy, system_prompt=PROMPT)
    again = pickle.loads(pickle.dumps(stage))  # noqa: S301 - our own bytes
    nothing_of(CANARIES, again.invoke("".join(ANSWER)), repr(again), again.invoke(AIMessage("".join(ANSWER))))


# -- agents ----------------------------------------------------------------------------------------------------


@tool
def lookup(query: str) -> str:
    """Looks something up."""
    raise RuntimeError(f"no answer to {query}; {INPUT_CANARY}")


CALL = {"id": "abcdefghi", "function": {"name": "lookup", "arguments": json.dumps({"query": MAIL})}}
WRONG = {"id": "abcdefghj", "function": {"name": "lookup", "arguments": json.dumps({"qurey": MAIL})}}
ODD = {"id": "abcdefghk", "function": {"name": f"find {MAIL}", "arguments": "{}"}}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("call", [CALL, WRONG, ODD])
async def test_what_a_failing_tool_says_is_a_tools_result(mode, call, policy, handlers):
    wire = Script(call, ANSWER)
    graph = create_agent(
        plain(wire),
        tools=[lookup],
        middleware=[
            GuardMiddleware(policy, system_prompt=PROMPT),
            ToolRetryMiddleware(max_retries=0, on_failure="continue"),
        ],
        checkpointer=InMemorySaver(),
    )
    config = {"callbacks": list(handlers), "configurable": {"thread_id": mode}}
    asked = {"messages": [HumanMessage("Hello")]}
    if mode == "sync":
        out = list(graph.stream(asked, config, stream_mode=["values", "messages", "updates"]))
    else:
        out = [part async for part in graph.astream(asked, config, stream_mode=["values", "messages", "updates"])]
    state = list(graph.get_state_history(config))
    assert out[-1][1]["messages"][-1].text
    nothing_of(CANARIES, out, state)
    assert "canary7" not in dump(wire.sent)
    assert "Ignore previous" not in dump([wire.sent, state, out])


async def test_a_subgraph_is_guarded_as_its_parent_sees_it(policy, handlers):
    def outer(turns):
        inner = create_agent(
            plain(Script(*turns)), middleware=[GuardMiddleware(policy, system_prompt=PROMPT)], name="inner"
        )
        graph = StateGraph(MessagesState)
        graph.add_node("inner", inner)
        graph.add_edge(START, "inner")
        graph.add_edge("inner", END)
        return graph.compile(checkpointer=InMemorySaver())

    modes = ["messages", "updates", "values", "custom", "debug", "tasks"]
    config = {"callbacks": list(handlers), "configurable": {"thread_id": "1"}}
    asked = {"messages": [HumanMessage("Hello")]}
    one, other = outer([ANSWER]), outer([ANSWER])
    out = [
        list(one.stream(asked, config, stream_mode=modes, subgraphs=True)),
        [part async for part in other.astream(asked, config, stream_mode=modes, subgraphs=True)],
        [event async for event in outer([ANSWER]).astream_events(asked, config, version="v2")],
    ]
    nothing_of(CANARIES, out, list(one.get_state_history(config)), heard(handlers))
    assert any(isinstance(part[2][0], AIMessage) for part in out[0] if part[1] == "messages")


async def test_what_a_human_is_asked_and_what_is_kept_meanwhile_is_clean(policy, handlers):
    wire = Script(CALL, ANSWER)
    saver = InMemorySaver()
    graph = create_agent(
        plain(wire),
        tools=[lookup],
        middleware=[
            GuardMiddleware(policy, system_prompt=PROMPT),
            HumanInTheLoopMiddleware(interrupt_on={"lookup": True}),
        ],
        checkpointer=saver,
    )
    config = {"callbacks": list(handlers), "configurable": {"thread_id": "1"}}
    stopped = await graph.ainvoke({"messages": [HumanMessage("Hello")]}, config)
    assert stopped["__interrupt__"]
    rejected = {"type": "reject", "message": f"No. {INPUT_CANARY}"}
    state = await graph.ainvoke(Command(resume={"decisions": [rejected]}), config)
    nothing_of(CANARIES, stopped, state, saver.storage, saver.blobs, saver.writes, heard(handlers))
    # What the human wrote in the tool's stead is read as a tool's result before the model reads it.
    assert "Ignore previous" not in dump([wire.sent, state["messages"]])


def test_the_hunt_finds_what_an_unguarded_agent_keeps():
    wire = Script(CALL, ANSWER)
    graph = create_agent(
        plain(wire), tools=[lookup], middleware=[ToolRetryMiddleware(max_retries=0, on_failure="continue")]
    )
    state = graph.invoke({"messages": [HumanMessage("Hello")]})
    for canary in ("canary7", "C4naryC4nary", "project Bluebird", "Ignore previous"):
        assert canary in dump([state, wire.sent])
