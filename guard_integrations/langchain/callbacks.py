"""Metadata-only records of what LangChain runs."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from time import perf_counter
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from guard_integrations.core import runs
from guard_integrations.core.forms import class_name, is_count, model_name, status_of
from guard_integrations.core.records import (
    FinishReason,
    Framework,
    Operation,
    RecordSink,
    RequestRecord,
    flushed,
    log_record,
    queued,
)
from guard_integrations.langchain._messages import text_of
from guard_integrations.langchain._metadata import policy_of
from guard_integrations.telemetry.exposure import warn_of_exposures

__all__ = ["MetadataCallbackHandler"]

# Runs that never end (a worker killed, a stream nobody finished) are let go of from this many on, oldest first.
_MAX_OPEN: Final = 10_000

# What `create_agent` writes into the metadata of its runs; a subagent inside a tool is part of the outer one.
_AGENT: Final = "langchain_create_agent"
_DEEPEST: Final = 100


@dataclass(slots=True, kw_only=True)
class _Open:
    """A run that has begun. Counts and clocks, never content."""

    operation: Operation
    parent: UUID | None
    counts: runs.Run
    at: datetime
    began: float
    model: str | None = None
    messages: int | None = None
    input_chars: int | None = None
    output_chars: int = 0
    streamed: bool = False
    chunks: int = 0
    first_token: float | None = None
    retries: int = 0
    policy: str | None = None


class MetadataCallbackHandler(BaseCallbackHandler):
    """Writes one `RequestRecord` for each run: model, chain, tool or retriever. No content, key or user id can get in.

    Serves sync and async alike, `invoke`, `stream`, `batch` and both versions of `astream_events`. It observes and
    never blocks: LangChain swallows what a handler raises, so a handler cannot be a guard.

    Warns of others who would write content or keys down (`guard_integrations.telemetry.exposures`).

    Args:
        sink: takes each record, in a thread of its own (`QueuedSink`), so that it may be slow; by default one JSON line
            to the logger `guard_integrations`.

    Example:
        ```python
        from guard_integrations.langchain import GuardedChatMistralAI, MetadataCallbackHandler
        from guard_integrations.telemetry import JsonlSink

        llm = GuardedChatMistralAI(callbacks=[MetadataCallbackHandler(JsonlSink("guard.jsonl"))])
        ```
    """

    # In the caller's own thread or loop, so that a token is not counted before its run has begun.
    run_inline = True

    def __init__(self, sink: RecordSink = log_record) -> None:
        self.sink = queued(sink)
        """What takes the records: the given one, behind a queue."""
        self._open: OrderedDict[UUID, _Open] = OrderedDict()
        self._lock = Lock()
        self._unwritten = 0
        warn_of_exposures(stacklevel=2)

    @property
    def dropped(self) -> int:
        """How many records were lost: the sink had no room, or raised."""
        return self._unwritten + getattr(self.sink, "dropped", 0)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits for the sink, `timeout` seconds at most; gives whether it has taken every record."""
        return flushed(self.sink, timeout)

    # -- models ------------------------------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is asked."""
        run = self._begin(Operation.CHAT, run_id, parent_run_id)
        run.messages = sum(map(len, messages))
        run.input_chars = sum(len(text_of(message.content)) for turn in messages for message in turn)
        self._asked(run, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A completion model is asked."""
        run = self._begin(Operation.CHAT, run_id, parent_run_id)
        run.messages = len(prompts)
        run.input_chars = sum(map(len, prompts))
        self._asked(run, kwargs)

    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any) -> None:
        """A piece of the answer has come."""
        if (run := self._open.get(run_id)) is not None:
            run.streamed = True
            if token:
                self._piece(run, len(token) if isinstance(token, str) else len(text_of(token)))

    def on_stream_event(self, event: Mapping[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        """An event of the third version of the stream."""
        if (run := self._open.get(run_id)) is None:
            return
        run.streamed = True
        delta = event.get("delta") if event.get("event") == "content-block-delta" else None
        if delta:
            self._piece(run, len(delta.get("text") or ""))

    @staticmethod
    def _piece(run: _Open, chars: int) -> None:
        run.chunks += 1
        run.output_chars += chars
        if run.first_token is None:
            run.first_token = perf_counter() - run.began

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """The answer is whole."""
        generation = next((each for turn in response.generations for each in turn), None)
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
            self._end(run_id, **_answer(generation.message))
        else:
            self._end(run_id, output_chars=len(generation.text) if generation else 0)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """The model's run has failed."""
        self._end(run_id, **_failure(error))

    # -- chains, tools, retrievers -----------------------------------------------------------------------------

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A chain, a graph, an agent or a stage begins."""
        self._begin(Operation.CHAIN, run_id, parent_run_id)
        if (kwargs.get("metadata") or {}).get("ls_integration") == _AGENT:
            self._agent(run_id)

    def _agent(self, run_id: UUID) -> None:
        """What is an agent's, is an agent where its parent is none."""
        run = self._open.get(run_id)
        if run is not None and not self._is_inside_agent(run.parent):
            run.operation = Operation.AGENT

    def _is_inside_agent(self, run_id: UUID | None) -> bool:
        for _ in range(_DEEPEST):
            run = self._open.get(run_id) if run_id else None
            if run is None:
                return False
            if run.operation is Operation.AGENT:
                return True
            run_id = run.parent
        return True

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It has ended."""
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It has failed."""
        self._end(run_id, **_failure(error))

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool is called."""
        self._begin(Operation.TOOL, run_id, parent_run_id).input_chars = len(input_str)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It has answered."""
        content = output.content if isinstance(output, BaseMessage) else output
        self._end(run_id, output_chars=len(text_of(content)) if isinstance(content, (str, list)) else None)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It has failed."""
        self._end(run_id, **_failure(error))

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A retriever is asked."""
        self._begin(Operation.RETRIEVAL, run_id, parent_run_id).input_chars = len(query)

    def on_retriever_end(self, documents: Sequence[Document], *, run_id: UUID, **kwargs: Any) -> None:
        """It has found what it found."""
        self._end(run_id, output_chars=sum(len(each.page_content) for each in documents))

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It has failed."""
        self._end(run_id, **_failure(error))

    def on_retry(self, retry_state: object, *, run_id: UUID, **kwargs: Any) -> None:
        """A request is sent again."""
        if (run := self._open.get(run_id)) is not None:
            run.retries += 1

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _begin(self, operation: Operation, run_id: UUID, parent: UUID | None) -> _Open:
        counts = runs.begin(run_id, parent)
        run = _Open(operation=operation, parent=parent, counts=counts, at=datetime.now(UTC), began=perf_counter())
        with self._lock:
            self._open[run_id] = run
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)[1].counts.end()
        return run

    def _asked(self, run: _Open, kwargs: Mapping[str, Any]) -> None:
        asked = kwargs.get("invocation_params") or {}
        run.model = model_name(asked.get("model") or asked.get("model_name"))
        run.policy = policy_of(asked)

    def _end(self, run_id: UUID, **known: Any) -> None:
        with self._lock:
            run = self._open.pop(run_id, None)
        if run is None:
            return
        counts = run.counts
        counts.end()
        is_chat = run.operation is Operation.CHAT
        if run.streamed and not known.get("output_chars"):
            known["output_chars"] = run.output_chars
        if known.get("status") is None:
            known["status"] = counts.status
        try:
            record = RequestRecord(
                framework=Framework.LANGCHAIN,
                operation=run.operation,
                at=run.at,
                run=run_id,
                parent=run.parent,
                model=run.model,
                messages=run.messages,
                input_chars=run.input_chars,
                streamed=run.streamed if is_chat else None,
                first_token=run.first_token,
                duration=perf_counter() - run.began,
                chunks=run.chunks if is_chat else None,
                retries=run.retries + counts.retries if is_chat else None,
                key=counts.key,
                findings=counts.findings,
                moderation=counts.moderation,
                guardrails=counts.guardrails,
                policy=counts.policy or run.policy,
                **known,
            )
            self.sink(record)
        except Exception:  # noqa: BLE001 - a log never takes a request down
            self._unwritten += 1


def _answer(message: AIMessage) -> dict[str, Any]:
    """What a record may say of an answer: allow-listed, each value checked or counted."""
    said = message.response_metadata
    usage = message.usage_metadata
    reason = FinishReason.of(said.get("finish_reason"))
    known: dict[str, Any] = {
        "output_chars": len(text_of(message.content)),
        "finish_reason": reason,
        "tool_calls": len(message.tool_calls) + len(message.invalid_tool_calls),
    }
    if reason is FinishReason.CONTENT_FILTER:  # a guard's own words: no model said them
        return known
    known["model_answered"] = model_name(said.get("model_name") or said.get("model"))
    counts: Mapping[str, Any] = usage or {}
    return known | {name: counts[name] for name in _TOKENS if is_count(counts.get(name))}


_TOKENS: Final = ("input_tokens", "output_tokens", "total_tokens")


def _failure(error: BaseException) -> dict[str, Any]:
    return {"error": class_name(error), "status": status_of(error)}
