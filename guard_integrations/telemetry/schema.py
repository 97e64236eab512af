"""What a line of the log may be, as JSON Schema, made from the code that checks each field.

The committed copy, `record.schema.json`, is for programs that read the lines; a test keeps it what this module gives.
"""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

from guard_integrations.core.events import EVENT_FORMS
from guard_integrations.core.forms import Form
from guard_integrations.core.records import RECORD_FORMS

__all__ = ["SCHEMA_FILE", "line_schema"]

SCHEMA_FILE: Final = files("guard_integrations.telemetry") / "record.schema.json"
"""The committed copy."""


def line_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a line: a record, which has an operation, or an event, which has a kind."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of guard-integrations' log: metadata alone",
        "oneOf": [{"$ref": "#/$defs/RequestRecord"}, {"$ref": "#/$defs/GuardEvent"}],
        "$defs": {
            "RequestRecord": _schema(RECORD_FORMS, ("framework", "operation", "at")),
            "GuardEvent": _schema(EVENT_FORMS, ("kind", "at")),
        },
    }


def _schema(forms: Mapping[str, Form], required: Iterable[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _property(form) for name, form in forms.items()},
        "required": list(required),
        "additionalProperties": False,
    }


def _property(form: Form) -> dict[str, Any]:
    return {**form.schema, **({"description": f"unit: {form.unit}"} if form.unit else {})}
