"""LlamaIndex's events and spans as records that cannot hold content.

Both handlers read an allow-list of numbers, names and ids; nothing is dumped, and a span's arguments and result are
never looked at. A handler cannot block: LlamaIndex swallows whatever it raises.

    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(MetadataEventHandler())
    dispatcher.add_span_handler(MetadataSpanHandler())
"""

import inspect
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from llama_index.core.bridge.pydantic import ConfigDict, Field
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.agent import AgentToolCallEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatInProgressEvent,
    LLMCompletionInProgressEvent,
)
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index_instrumentation.events.span import SpanDropEvent
from pydantic import SkipValidation

from guard_integrations.core import runs
from guard_integrations.core.forms import class_name, status_of
from guard_integrations.core.records import (
    Operation,
    RecordSink,
    log_record,
    queued,
)
from guard_integrations.llama_index._records import RecordWriter
from guard_integrations.llama_index._work import Work, begun, ended
from guard_integrations.telemetry.exposure import warn_of_exposures

__all__ = ["MetadataEventHandler", "MetadataSpanHandler"]

_MOST_OPEN: Final = 10_000
"""Pieces of work that began and never ended, such as streams nobody read, are forgotten beyond this many."""

_UUID_LENGTH: Final = 36

_PIECES: Final = (LLMChatInProgressEvent, LLMCompletionInProgressEvent)


@dataclass(slots=True)
class _Book:
    """What has begun and not ended, by span and kind of work."""

    open: OrderedDict[tuple[str, Operation], Work] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class MetadataEventHandler(RecordWriter, BaseEventHandler):
    """Writes a record for each model call, embedding, retrieval, synthesis and query.

    Args:
        sink: takes each record, in a thread of its own (`QueuedSink`), so that it may be slow; where none is given, it
            is one JSON line to the logger `guard_integrations`.

    Example:
        ```python
        from guard_integrations.llama_index import MetadataEventHandler
        from llama_index.core.instrumentation import get_dispatcher

        get_dispatcher().add_event_handler(MetadataEventHandler())
        ```
    """

    book: SkipValidation[_Book] = Field(default_factory=_Book, exclude=True, repr=False)
    """What has begun; a field, because pydantic takes a microsecond to find a private attribute."""

    def model_post_init(self, _context: object, /) -> None:
        """Warns of others who would write content or keys down (`guard_integrations.telemetry.exposures`)."""
        warn_of_exposures(stacklevel=3)

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this class by."""
        return "MetadataEventHandler"

    def handle(self, event: BaseEvent, **_: object) -> None:
        """Takes note of one event."""
        if type(event) in _PIECES:  # first, and by the exact type: there is one for each token
            self._progress(event, event.response.delta or "")  # type: ignore[attr-defined] # a piece has a response
            return
        work = begun(event)
        if work is not None:
            self._begin(event, work)
        elif isinstance(event, ExceptionEvent):
            self._fail(event, event.exception)
        elif isinstance(event, SpanDropEvent):
            # The event holds the error's text alone; it is sent while the error is handled.
            self._fail(event, sys.exception())
        elif isinstance(event, AgentToolCallEvent):
            self._write(Work(operation=Operation.TOOL, run=_uuid(event.span_id), input_chars=len(event.arguments)))
        elif (end := ended(event)) is not None:
            operation, said = end
            self._end(event, operation, said)

    def _begin(self, event: BaseEvent, work: Work) -> None:
        if event.span_id is None:
            return
        run_id = _uuid(event.span_id)
        outer = runs.current()
        while outer is not None and (outer.ended or outer.id == run_id):
            outer = outer.outer
        work.parent = outer.id if outer is not None else None
        work.counts = runs.begin(run_id)
        work.counts.has_record = True
        work.run = run_id
        book = self.book
        with book.lock:
            book.open[event.span_id, work.operation] = work
            while len(book.open) > _MOST_OPEN:
                forgotten = book.open.popitem(last=False)[1].counts
                if forgotten is not None:
                    forgotten.end()

    def _progress(self, event: BaseEvent, delta: str) -> None:
        work = self.book.open.get((event.span_id or "", Operation.CHAT))
        if work is None:
            return
        work.streamed = True
        if not delta:
            return
        work.chunks += 1
        work.output_chars += len(delta)
        if work.first_token is None:
            work.first_token = time.monotonic() - work.began

    def _end(self, event: BaseEvent, operation: Operation, said: dict[str, object]) -> None:
        with self.book.lock:
            work = self.book.open.pop((event.span_id or "", operation), None)
        if work is not None:
            self._write(work, **said)

    def _fail(self, event: BaseEvent, error: BaseException | None) -> None:
        with self.book.lock:
            failed = [self.book.open.pop(key) for key in [*self.book.open] if key[0] == event.span_id]
        known = {"error": class_name(error), "status": status_of(error)} if error else {"error": "SpanDropped"}
        for work in failed:
            self._write(work, **known)

    def _write(self, work: Work, **said: object) -> None:
        is_chat = work.operation is Operation.CHAT
        told: dict[str, Any] = {"messages": work.messages, "input_chars": work.input_chars, "model": work.model}
        told |= {name: value for name, value in said.items() if value is not None}
        if is_chat:
            told |= {"streamed": work.streamed, "chunks": work.chunks}
        if work.streamed:
            told["output_chars"] = work.output_chars
        if (counts := work.counts) is not None:
            counts.end()
            told |= {
                "retries": counts.retries if is_chat else None,
                "key": counts.key,
                "status": told.get("status") or counts.status,
                "findings": counts.findings,
                "moderation": counts.moderation,
                "guardrails": counts.guardrails,
                "policy": counts.policy,
            }
        self.write(
            operation=work.operation,
            at=work.at,
            run=work.run,
            parent=work.parent,
            first_token=work.first_token,
            duration=time.monotonic() - work.began,
            **told,
        )


class MetadataSpan(BaseSpan):
    """A span without arguments, result, tags or message.

    Args:
        counts: the run.
        began: by the monotonic clock, in seconds.
        at: when it began, in UTC.
        operation: what kind of work it is.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    counts: SkipValidation[runs.Run] = Field(exclude=True, repr=False)
    began: float = Field(default_factory=time.monotonic)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    operation: Operation


class MetadataSpanHandler(BaseSpanHandler[MetadataSpan], RecordWriter):
    """Writes a record for each span: what ran, within what, how long, and the class of the error that ended it.

    Work that a `MetadataEventHandler` writes a record of gets no second one. Finished spans are not kept, whatever the
    parent's lists are for.

    Args:
        sink: takes each record, in a thread of its own (`QueuedSink`), so that it may be slow; where none is given, it
            is one JSON line to the logger `guard_integrations`.

    Example:
        ```python
        from guard_integrations.llama_index import MetadataSpanHandler
        from llama_index.core.instrumentation import get_dispatcher

        get_dispatcher().add_span_handler(MetadataSpanHandler())
        ```
    """

    def __init__(self, *, sink: RecordSink = log_record) -> None:
        super().__init__(open_spans={}, completed_spans=[], dropped_spans=[], current_span_ids={})
        self.sink = queued(sink)
        warn_of_exposures(stacklevel=2)

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this class by."""
        return "MetadataSpanHandler"

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - what must not be read
        instance: object | None = None,  # noqa: ARG002 - as above
        parent_span_id: str | None = None,
        tags: dict[str, object] | None = None,  # noqa: ARG002 - as above: tags are the caller's own words
        **_: object,
    ) -> MetadataSpan:
        """Opens a span."""
        counts = runs.begin(_uuid(id_), _uuid(parent_span_id))
        operation = _operation(id_)
        outer = self.open_spans.get(parent_span_id or "")
        if outer is not None and outer.operation is operation is Operation.TOOL:
            outer.operation = Operation.CHAIN  # an agent's step that calls a tool: the tool has a span of its own
        return MetadataSpan(id_=id_, parent_id=parent_span_id, operation=operation, counts=counts)

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - what must not be read
        instance: object | None = None,  # noqa: ARG002 - as above
        result: object | None = None,  # noqa: ARG002 - as above
        **_: object,
    ) -> MetadataSpan | None:
        """Ends a span."""
        return self._close(id_, error=None)

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - what must not be read
        instance: object | None = None,  # noqa: ARG002 - as above
        err: BaseException | None = None,
        **_: object,
    ) -> MetadataSpan | None:
        """Ends a span that failed."""
        return self._close(id_, error=class_name(err) if err is not None else "SpanDropped")

    def _close(self, id_: str, error: str | None) -> MetadataSpan | None:
        span = self.open_spans.get(id_)
        if span is None:
            return None
        counts = span.counts
        counts.end()
        if counts.has_record:  # an event handler knows more of it
            return span
        self.write(
            operation=span.operation,
            at=span.at,
            run=_uuid(span.id_),
            parent=_uuid(span.parent_id),
            duration=time.monotonic() - span.began,
            error=error,
            key=counts.key,
            status=counts.status,
            findings=counts.findings,
            moderation=counts.moderation,
            guardrails=counts.guardrails,
            policy=counts.policy,
        )
        return span


def _operation(span_id: str) -> Operation:
    """What kind of work a span is, by its class and method: `Class.method-uuid`. What others consist of is a chain."""
    kind, _, method = span_id[: -_UUID_LENGTH - 1].lower().rpartition(".")
    operation = _BY_METHOD.get(method.removeprefix("_guarded_"), Operation.CHAIN)
    if operation is Operation.CHAT and "engine" in kind:
        return Operation.QUERY
    if operation is Operation.AGENT and "agent" not in kind:
        return Operation.CHAIN
    if operation is Operation.TOOL and "tool" not in kind and "agent" not in kind:
        return Operation.CHAIN
    return operation


_BY_METHOD: Final = {
    **dict.fromkeys(
        ("chat", "achat", "stream_chat", "astream_chat", "fill_in_middle", "afill_in_middle"), Operation.CHAT
    ),
    **dict.fromkeys(("query", "aquery"), Operation.QUERY),
    **dict.fromkeys(("retrieve", "aretrieve"), Operation.RETRIEVAL),
    **dict.fromkeys(("call", "acall", "_run", "_arun", "call_tool"), Operation.TOOL),
    **dict.fromkeys(("run", "run_step"), Operation.AGENT),
    **dict.fromkeys(
        ("get_query_embedding", "aget_query_embedding", "get_text_embedding", "aget_text_embedding",
         "get_text_embedding_batch", "aget_text_embedding_batch"),
        Operation.EMBEDDING,
    ),
}  # fmt: skip


def _uuid(span_id: str | None) -> UUID | None:
    """The id of a run in the id of a span, `Class.method-uuid`."""
    try:
        return UUID((span_id or "")[-_UUID_LENGTH:])
    except ValueError:
        return None
