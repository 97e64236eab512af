"""LlamaIndex's events and spans as records that cannot hold content.

Both handlers read an allow-list of numbers, names and ids; nothing is dumped, and a span's arguments and result are
never looked at. A handler cannot block: LlamaIndex swallows whatever it raises.

    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(MetadataEventHandler())
    dispatcher.add_span_handler(MetadataSpanHandler())
"""

import inspect
import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from llama_index.core.bridge.pydantic import Field, PrivateAttr
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

from guard_integrations.core.records import (
    Framework,
    Operation,
    RecordSink,
    RequestRecord,
    log_record,
)
from guard_integrations.llama_index._work import Work, begun, ended

__all__ = ["MetadataEventHandler", "MetadataSpanHandler"]

_MOST_OPEN: Final = 10_000
"""Pieces of work that began and never ended, such as streams nobody read, are forgotten beyond this many."""

_UUID_LENGTH: Final = 36


class MetadataEventHandler(BaseEventHandler):
    """Writes a record for each model call, embedding, retrieval, synthesis and query.

    Args:
        sink: takes each record; where none is given, it is one JSON line to the logger `guard_integrations`.
    """

    sink: RecordSink = Field(default=log_record, exclude=True)
    _open: OrderedDict[tuple[str, Operation], Work] = PrivateAttr(default_factory=OrderedDict)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this class by."""
        return "MetadataEventHandler"

    def handle(self, event: BaseEvent, **_: object) -> None:
        """Takes note of one event."""
        work = begun(event)
        if work is not None:
            self._begin(event, work)
        elif isinstance(event, LLMChatInProgressEvent | LLMCompletionInProgressEvent):
            self._progress(event, event.response.delta or "")
        elif isinstance(event, ExceptionEvent):
            self._fail(event, type(event.exception).__name__)
        elif isinstance(event, SpanDropEvent):
            self._fail(event, "SpanDropped")
        elif isinstance(event, AgentToolCallEvent):
            self._write(event, Work(operation=Operation.TOOL, input_chars=len(event.arguments)))
        elif (end := ended(event)) is not None:
            operation, said = end
            self._end(event, operation, said)

    def _begin(self, event: BaseEvent, work: Work) -> None:
        if event.span_id is None:
            return
        with self._lock:
            self._open[event.span_id, work.operation] = work
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)

    def _progress(self, event: BaseEvent, delta: str) -> None:
        work = self._open.get((event.span_id or "", Operation.CHAT))
        if work is None:
            return
        work.chunks += 1
        work.output_chars += len(delta)
        if delta and work.first_token is None:
            work.first_token = time.monotonic() - work.began

    def _end(self, event: BaseEvent, operation: Operation, said: dict[str, object]) -> None:
        with self._lock:
            work = self._open.pop((event.span_id or "", operation), None)
        if work is not None:
            self._write(event, work, **said)

    def _fail(self, event: BaseEvent, error: str) -> None:
        with self._lock:
            failed = [self._open.pop(key) for key in [*self._open] if key[0] == event.span_id]
        for work in failed:
            self._write(event, work, error=error)

    def _write(self, event: BaseEvent, work: Work, **said: object) -> None:
        streamed = work.chunks > 0
        told: dict[str, Any] = {
            "at": work.at,
            "run": _uuid(event.span_id),
            "model": work.model,
            "messages": work.messages,
            "input_chars": work.input_chars,
            "duration": time.monotonic() - work.began,
            **({"output_chars": work.output_chars, "chunks": work.chunks} if streamed else {}),
            **({"streamed": streamed, "first_token": work.first_token} if work.operation is Operation.CHAT else {}),
        }
        told |= {name: value for name, value in said.items() if not (streamed and name == "output_chars")}
        self.sink(RequestRecord(framework=Framework.LLAMA_INDEX, operation=work.operation, **told))


class MetadataSpan(BaseSpan):
    """A span without arguments, result, tags or message.

    Args:
        began: by the monotonic clock, in seconds.
        at: when it began, in UTC.
        operation: what kind of work it is.
    """

    began: float = Field(default_factory=time.monotonic)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    operation: Operation


class MetadataSpanHandler(BaseSpanHandler[MetadataSpan]):
    """Writes a record for each span: what ran, within what, how long, and the class of the error that ended it.

    Finished spans are not kept, whatever the parent's lists are for.

    Args:
        sink: takes each record; where none is given, it is one JSON line to the logger `guard_integrations`.
    """

    sink: RecordSink = Field(default=log_record, exclude=True)

    def __init__(self, *, sink: RecordSink = log_record) -> None:
        super().__init__(open_spans={}, completed_spans=[], dropped_spans=[], current_span_ids={})
        self.sink = sink

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
        return MetadataSpan(id_=id_, parent_id=parent_span_id, operation=_operation(id_))

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - what must not be read
        instance: object | None = None,  # noqa: ARG002 - as above
        result: object | None = None,  # noqa: ARG002 - as above
        **_: object,
    ) -> MetadataSpan | None:
        """Ends a span."""
        return self._write(id_, error=None)

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - what must not be read
        instance: object | None = None,  # noqa: ARG002 - as above
        err: BaseException | None = None,
        **_: object,
    ) -> MetadataSpan | None:
        """Ends a span that failed."""
        return self._write(id_, error=type(err).__name__ if err is not None else "SpanDropped")

    def _write(self, id_: str, error: str | None) -> MetadataSpan | None:
        span = self.open_spans.get(id_)
        if span is not None:
            self.sink(
                RequestRecord(
                    framework=Framework.LLAMA_INDEX,
                    operation=span.operation,
                    at=span.at,
                    run=_uuid(span.id_),
                    parent=_uuid(span.parent_id),
                    duration=time.monotonic() - span.began,
                    error=error,
                )
            )
        return span


def _operation(span_id: str) -> Operation:
    """What kind of work a span is, by the name of its method: `Class.method-uuid`."""
    name = span_id[: -_UUID_LENGTH - 1].lower()
    for word, operation in _BY_NAME:
        if word in name:
            return operation
    return Operation.CHAIN


_BY_NAME: Final = (
    ("retrieve", Operation.RETRIEVAL),
    ("embedding", Operation.EMBEDDING),
    ("tool", Operation.TOOL),
    ("agent", Operation.AGENT),
    ("chatengine", Operation.QUERY),
    ("query", Operation.QUERY),
    ("chat", Operation.CHAT),
    ("complete", Operation.CHAT),
    ("predict", Operation.CHAT),
)


def _uuid(span_id: str | None) -> UUID | None:
    """The id of a run in the id of a span, `Class.method-uuid`."""
    try:
        return UUID((span_id or "")[-_UUID_LENGTH:])
    except ValueError:
        return None
