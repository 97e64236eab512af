"""Where records and events go: files, OpenTelemetry, anything callable; and a look at who else writes content down."""

from guard_integrations.core.queue import QueuedSink
from guard_integrations.telemetry.exposure import (
    ContentExposedWarning,
    Exposure,
    exposures,
    hide_tracing,
    warn_of_exposures,
)
from guard_integrations.telemetry.jsonl import JsonlSink
from guard_integrations.telemetry.otel import OpenTelemetrySink

__all__ = [
    "ContentExposedWarning",
    "Exposure",
    "JsonlSink",
    "OpenTelemetrySink",
    "QueuedSink",
    "exposures",
    "hide_tracing",
    "warn_of_exposures",
]
