"""The metadata handler: every run, once, with the right numbers, whatever happens to it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from kept import Kept
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from lc_wire import Wire, guarded, plain

from guard_integrations import GuardPolicy
from guard_integrations.core.records import FinishReason, Operation
from guard_integrations.langchain import MetadataCallbackHandler
from guard_integrations.langchain import callbacks as module

BASIC = GuardPolicy.basic()


@pytest.fixture
def records():
    return Kept()


@pytest.fixture
def handler(records):
    return MetadataCallbackHandler(records)


def test_a_call_in_numbers(handler, records):
    llm = guarded(Wire(["Write to ", "jane@example.com"]), policy=BASIC)
    llm.invoke("12345", {"callbacks": [handler]})
    (record,) = records
    assert (record.operation, record.messages, record.input_chars) == (Operation.CHAT, 1, 5)
    assert record.output_chars == len("Write to [EMAIL]")
    assert (record.input_tokens, record.output_tokens, record.total_tokens) == (1, 2, 3)
    assert (record.model, record.model_answered) == ("mistral-small", "mistral-small")
    assert record.finish_reason is FinishReason.STOP
    assert record.streamed is False
    assert {rule: sum(counts.values()) for rule, counts in record.findings.items()} == {"basic-email": 1}
    assert record.policy == BASIC.fingerprint


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
async def test_both_versions_of_the_stream_are_counted(handler, records):
    llm = guarded(Wire(["One ", "two ", "three."]))
    list(llm.stream("Hi", {"callbacks": [handler]}))
    [event async for event in llm.astream_events("Hi", {"callbacks": [handler]}, version="v2")]
    list(llm.stream_events("Hi", {"callbacks": [handler]}, version="v3"))
    assert len(records) == 3
    for record in records:
        assert record.streamed
        assert record.chunks >= 2
        assert record.output_chars == len("One two three.")
        assert 0 < record.first_token <= record.duration


def test_a_chain_and_its_parts_are_one_tree(handler, records):
    chain = RunnableLambda(lambda text: text) | guarded(Wire(["Hi"]))
    chain.invoke("Hello", {"callbacks": [handler]})
    by_run = {record.run: record for record in records}
    (root,) = [record for record in records if record.parent is None]
    assert all(record.parent in by_run for record in records if record is not root)
    assert {record.operation for record in records} == {Operation.CHAIN, Operation.CHAT}


def test_tools_and_agents_are_recorded(handler, records):
    @tool
    def clock() -> str:
        """Tells the time."""
        return "noon"

    call = {"id": "abcdefghi", "function": {"name": "clock", "arguments": "{}"}}

    class Script(Wire):
        def __call__(self, request):
            self.calls, self.chunks = ([], ["It is noon."]) if self.sent else ([call], [""])
            return super().__call__(request)

    create_agent(plain(Script()), tools=[clock]).invoke({"messages": [HumanMessage("?")]}, {"callbacks": [handler]})
    (called,) = [record for record in records if record.operation is Operation.TOOL]
    assert called.output_chars == len("noon")
    assert [record.tool_calls for record in records if record.operation is Operation.CHAT] == [1, 0]


def test_retrievers_and_completion_models_are_recorded(handler, records):
    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            return [Document("abc"), Document("de")]

    Shelf().invoke("q?", {"callbacks": [handler]})
    FakeListLLM(responses=["four"]).invoke("Hello", {"callbacks": [handler]})
    found, completed = records
    assert (found.operation, found.input_chars, found.output_chars) == (Operation.RETRIEVAL, 2, 5)
    assert (completed.operation, completed.input_chars, completed.output_chars) == (Operation.CHAT, 5, 4)


def test_a_failure_is_recorded_by_its_class_and_status(handler, records):
    llm = guarded(Wire(status=422, body="a body"), max_retries=1)
    for failing in (llm, RunnableLambda(lambda _: 1 / 0)):
        with pytest.raises(Exception):  # noqa: B017, PT011 - what is raised is another test's matter
            failing.invoke("Hello", {"callbacks": [handler]})
    assert [(record.error, record.status) for record in records] == [
        ("HTTPStatusError", 422),
        ("ZeroDivisionError", None),
    ]


def test_many_threads_at_once(handler, records):
    llm = guarded(Wire(["Hi ", "there"]), callbacks=[handler])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: list(llm.stream("x" * number)), range(64)))
    assert sorted(record.input_chars for record in records) == list(range(64))
    assert not handler._open


async def test_many_tasks_at_once(handler, records):
    llm = guarded(Wire(["Hi ", "there"]), callbacks=[handler])
    await asyncio.gather(*(llm.ainvoke("x" * number) for number in range(64)))
    assert sorted(record.input_chars for record in records) == list(range(64))


def test_runs_that_never_end_do_not_pile_up(handler, monkeypatch):
    monkeypatch.setattr(module, "_MAX_OPEN", 10)
    for _ in range(100):
        handler.on_chain_start({}, {}, run_id=uuid4())
    assert len(handler._open) == 10


def test_an_end_without_a_beginning_is_no_record(handler, records):
    handler.on_chain_end({}, run_id=uuid4())
    assert not records


def test_a_sink_that_fails_takes_nothing_down():
    def broken(record):
        raise RuntimeError

    handler = MetadataCallbackHandler(broken)
    assert guarded(Wire(["Hi"])).invoke("Hello", {"callbacks": [handler]}).content == "Hi"
    assert handler.flush()
    assert handler.dropped == 1


def test_metadata_that_lies_gets_into_no_record(handler, records):
    llm = plain(Wire(["Hi"]), model="tell jane.doe@example.com")
    llm.invoke("Hello", {"callbacks": [handler], "tags": ["jane"], "run_name": "jane", "metadata": {"user": "jane"}})
    (record,) = records
    assert record.model == "other"
    assert "jane" not in repr(record)
