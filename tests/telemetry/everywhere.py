"""All sinks at once, and all that they have written."""

import logging
from contextlib import contextmanager

from llama_index.core.instrumentation import get_dispatcher
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from guard_integrations.core.events import LOG, add_observer, remove_observer
from guard_integrations.langchain import MetadataCallbackHandler
from guard_integrations.llama_index import MetadataEventHandler, MetadataSpanHandler
from guard_integrations.telemetry import JsonlSink, OpenTelemetrySink, QueuedSink


class Everywhere:
    """Logging, a file, OpenTelemetry and a callable, behind the handlers of both frameworks and as observers."""

    def __init__(self, folder):
        self._folder = folder
        self._lines = []
        self.items = []
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self._tracers, self._meters = TracerProvider(), MeterProvider(metric_readers=[self._metrics])
        self._tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        otel = OpenTelemetrySink(tracer_provider=self._tracers, meter_provider=self._meters)
        self.sink = QueuedSink(JsonlSink(folder / "log.jsonl"), otel, self.items.append)
        self.langchain = [MetadataCallbackHandler(self.sink), MetadataCallbackHandler()]

    @contextmanager
    def listening(self):
        handler = logging.Handler()
        handler.emit = lambda line: self._lines.append(f"{line.getMessage()} {line.__dict__}")
        logger = logging.getLogger("guard_integrations")
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        dispatcher = get_dispatcher()
        events = [MetadataEventHandler(sink=self.sink), MetadataEventHandler()]
        spans = [MetadataSpanHandler(sink=self.sink), MetadataSpanHandler()]
        dispatcher.event_handlers += events
        dispatcher.span_handlers += spans
        add_observer(self.sink)
        try:
            yield self
            assert LOG.flush()
            assert self.sink.flush()
        finally:
            remove_observer(self.sink)
            for each in events:
                dispatcher.event_handlers.remove(each)
            for each in spans:
                dispatcher.span_handlers.remove(each)
            logger.removeHandler(handler)
            logger.setLevel(level)

    def written(self):
        """What each sink has, as text."""
        self.sink.close()
        data = self._metrics.get_metrics_data()
        said = {
            "file": "".join(path.read_text() for path in sorted(self._folder.iterdir())),
            "log": "\n".join(self._lines),
            "spans": "\n".join(span.to_json() for span in self._spans.get_finished_spans()),
            "metrics": data.to_json() if data else "",
            "callable": "\n".join(f"{item!r} {item} {item.as_dict()}" for item in self.items),
        }
        self._tracers.shutdown()
        self._meters.shutdown()
        return said
