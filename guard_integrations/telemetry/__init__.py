"""Where records and events go: files, OpenTelemetry, anything callable; and a look at who else writes content down."""

from guard_integrations.core.queue import QueuedSink
from guard_integrations.telemetry.jsonl import JsonlSink
from guard_integrations.telemetry.otel import OpenTelemetrySink

__all__ = ["JsonlSink", "OpenTelemetrySink", "QueuedSink"]
