"""Records and events as OpenTelemetry spans and metrics, under the semantic conventions for generative AI.

Only what the conventions call required, conditionally required or recommended is written, and none of the opt-in
attributes, which hold messages, instructions, tool arguments and results. What the conventions have no name for stands
under `guard_integrations.`.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/ (`opentelemetry-semantic-conventions`, gen_ai)
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final
from uuid import UUID

from guard_integrations.core import runs
from guard_integrations.core.events import GuardEvent
from guard_integrations.core.queue import Item
from guard_integrations.core.records import Operation, RequestRecord
from guard_integrations.telemetry._attributes import Attributes, metric_attributes, span_attributes, span_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["OpenTelemetrySink"]

_SCOPE: Final = "guard_integrations"
_MOST_HELD: Final = 10_000
"""Records that wait for their parent's."""

# Bounds that the conventions advise, in seconds and in tokens.
_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_CHUNK: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What only the place knows where a record was written.

    Args:
        context: OpenTelemetry's, which holds the application's own span.
        nested: whether a record of the parent run will follow.
    """

    context: "Context"
    nested: bool


class OpenTelemetrySink:
    """Writes a span for each record, and the metrics of the conventions, to the providers of your application.

    Spans: one for each run, nested as the runs are, inside of the span that was current where the run ended; a run's
    span is written when its outermost run has ended. Metrics: `gen_ai.client.operation.duration`,
    `gen_ai.client.token.usage`, `gen_ai.client.operation.time_to_first_chunk`, and of our own
    `guard_integrations.findings`, `.blocked`, `.retries`, `.events` and `.records.dropped`.

    Put it behind a `QueuedSink`, as handlers do; exporters are the providers' own.

    Args:
        tracer_provider: where spans go; the global one where none is given.
        meter_provider: where metrics go; as above.

    Raises:
        ImportError: when OpenTelemetry is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
    ) -> None:
        try:
            from opentelemetry import context, metrics, trace  # noqa: PLC0415 - an extra
        except ImportError:
            trace = None  # type: ignore[assignment] # its absence has a message of its own
        if trace is None:
            raise ImportError("OpenTelemetry is an extra: pip install 'guard-integrations[otel]'")
        self._trace = trace
        self._current_context: Callable[[], Context] = context.get_current
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        histogram = meter.create_histogram
        self._duration = histogram(
            "gen_ai.client.operation.duration", unit="s", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._usage = histogram(
            "gen_ai.client.token.usage", unit="{token}", explicit_bucket_boundaries_advisory=_TOKENS
        )
        self._first_chunk = histogram(
            "gen_ai.client.operation.time_to_first_chunk", unit="s", explicit_bucket_boundaries_advisory=_FIRST_CHUNK
        )
        self._findings = meter.create_counter("guard_integrations.findings", unit="{finding}")
        self._blocked = meter.create_counter("guard_integrations.blocked", unit="{run}")
        self._retries = meter.create_counter("guard_integrations.retries", unit="{request}")
        self._events = meter.create_counter("guard_integrations.events", unit="{event}")
        self._dropped = meter.create_counter("guard_integrations.records.dropped", unit="{record}")
        self._held: OrderedDict[UUID, list[tuple[RequestRecord, _Around]]] = OrderedDict()
        self._count_held = 0
        self._lock = Lock()

    def __call__(self, item: Item) -> None:
        """Writes one record or event, from the place where it was made."""
        self.take(item, self.capture(item))

    def capture(self, item: Item) -> _Around | None:
        """What the queue's thread will not know: the application's span, and whether the record is part of another."""
        if isinstance(item, GuardEvent):
            return None
        run = runs.known(item.run)
        nested = run is not None and run.outer is not None and run.outer.id == item.parent
        return _Around(context=self._current_context(), nested=nested)

    def take(self, item: Item, captured: object) -> None:
        """Writes one record or event."""
        if isinstance(item, GuardEvent):
            self._count_event(item)
            return
        self._measure(item)
        around = captured if isinstance(captured, _Around) else _Around(context=self._current_context(), nested=False)
        with self._lock:
            if around.nested and item.parent is not None:
                self._hold(item.parent, item, around)
                return
            self._write(item, around, around.context)

    def close(self) -> None:
        """Writes the spans that still wait for the end of their outermost run."""
        with self._lock:
            while self._held:
                self._release_oldest()

    # -- spans -------------------------------------------------------------------------------------------------

    def _hold(self, parent: UUID, record: RequestRecord, around: _Around) -> None:
        self._held.setdefault(parent, []).append((record, around))
        self._count_held += 1
        while self._count_held > _MOST_HELD:
            self._release_oldest()

    def _release_oldest(self) -> None:
        """Writes children whose parent has never ended, as if they had none."""
        _, orphans = self._held.popitem(last=False)
        self._count_held -= len(orphans)
        for record, around in orphans:
            self._write(record, around, around.context)

    def _write(self, record: RequestRecord, around: _Around, context: "Context") -> None:
        """A record's span, and in it those of the runs that were part of it."""
        ended = record.at + timedelta(seconds=record.duration or 0)
        is_client = record.operation in (Operation.CHAT, Operation.EMBEDDING)
        span = self._tracer.start_span(
            span_name(record),
            context=context,
            kind=self._trace.SpanKind.CLIENT if is_client else self._trace.SpanKind.INTERNAL,
            attributes=span_attributes(record),
            start_time=int(record.at.timestamp() * 1e9),
        )
        if record.error is not None:
            # Without a description: the conventions would have the error's message there.
            span.set_status(self._trace.StatusCode.ERROR)
        children = self._held.pop(record.run, []) if record.run else []
        self._count_held -= len(children)
        inside = self._trace.set_span_in_context(span, context)
        for child, _ in children:
            self._write(child, around, inside)
        span.end(end_time=int(ended.timestamp() * 1e9))

    # -- metrics -----------------------------------------------------------------------------------------------

    def _measure(self, record: RequestRecord) -> None:
        attributes = metric_attributes(record)
        if record.duration is not None:
            self._duration.record(record.duration, attributes)
        if record.first_token is not None:
            self._first_chunk.record(record.first_token, attributes)
        for kind, tokens in (("input", record.input_tokens), ("output", record.output_tokens)):
            if tokens is not None:
                self._usage.record(tokens, {**attributes, "gen_ai.token.type": kind})
        if record.retries:
            self._retries.add(record.retries, attributes)
        if record.error == "GuardBlocked":
            self._blocked.add(1, attributes)
        for rule, counts in record.findings.items():
            for action, count in counts.items():
                said: Attributes = {"guard_integrations.rule": rule, "guard_integrations.action": action.value}
                self._findings.add(count, said)

    def _count_event(self, event: GuardEvent) -> None:
        if event.count:
            self._dropped.add(event.count)
        said: Attributes = {"guard_integrations.event": event.kind.value}
        if event.stage:
            said["guard_integrations.stage"] = event.stage
        if event.key:
            said["guard_integrations.key"] = event.key
        self._events.add(1, said)
