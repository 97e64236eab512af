"""The forms that a field of an event or of a record may have. Each is closed: none of them can hold a sentence.

A form checks a value when the event or the record is made, and says as JSON Schema what it lets through.
"""

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeGuard
from uuid import UUID

from guard_integrations.core.findings import Action
from guard_integrations.core.taxonomy import CATEGORIES_2411, CATEGORIES_2603

__all__ = [
    "CLASS_NAME", "COUNT", "FINDINGS", "FINGERPRINT", "FLAG", "KEY_LABEL", "MODEL", "MODERATION", "OTHER", "RULES",
    "RULE_COUNTS", "RUN", "SECONDS", "STATUS", "WHEN", "Form", "check", "class_name", "frozen", "is_count",
    "model_name", "moderation_names", "one_of", "rule_id", "status_of", "told",
]  # fmt: skip

OTHER: Final = "other"
"""Stands for a model's or a category's name that does not have the form of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a field may hold.

    Args:
        holds: whether a value may be held.
        schema: the JSON Schema of what is written.
        unit: what a number counts; empty where nothing is counted.
    """

    holds: Callable[[object], bool]
    schema: Mapping[str, Any]
    unit: str = ""

    def of(self, unit: str) -> "Form":
        """The same form with a unit."""
        return Form(holds=self.holds, schema=self.schema, unit=unit)


def _word(pattern: str, longest: int) -> Form:
    compiled = re.compile(pattern)

    def holds(value: object) -> bool:
        # The exact type: a subclass of `str` may say one thing here and another when it is written.
        return type(value) is str and len(value) <= longest and compiled.fullmatch(value) is not None

    return Form(holds=holds, schema={"type": "string", "pattern": f"^(?:{pattern})$", "maxLength": longest})


def one_of(kind: type[StrEnum] | Iterable[str]) -> Form:
    """A form with these values and no other."""
    if isinstance(kind, type):
        return Form(holds=lambda value: isinstance(value, kind), schema={"enum": [each.value for each in kind]})
    words = frozenset(kind)
    return Form(holds=lambda value: type(value) is str and value in words, schema={"enum": sorted(words)})


def _tuple_of(form: Form) -> Form:
    return Form(
        holds=lambda value: type(value) is tuple and all(map(form.holds, value)),
        schema={"type": "array", "items": form.schema, "uniqueItems": True},
    )


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a number of things."""
    return type(value) is int and value >= 0


def _is_seconds(value: object) -> bool:
    return (type(value) is float or type(value) is int) and math.isfinite(value) and value >= 0


COUNT: Final = Form(holds=is_count, schema={"type": "integer", "minimum": 0})
SECONDS: Final = Form(holds=_is_seconds, schema={"type": "number", "minimum": 0}, unit="seconds")
FLAG: Final = Form(holds=lambda value: isinstance(value, bool), schema={"type": "boolean"})
WHEN: Final = Form(
    holds=lambda value: type(value) is datetime and value.tzinfo is UTC,
    schema={"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}\+00:00$"},
    unit="ISO 8601, UTC",
)
RUN: Final = Form(
    holds=lambda value: type(value) is UUID,
    schema={"type": "string", "pattern": "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
)
STATUS: Final = Form(
    holds=lambda value: type(value) is int and 100 <= value <= 999,  # noqa: PLR2004 - three digits, as HTTP says
    schema={"type": "integer", "minimum": 100, "maximum": 999},
)
# Parts no longer than 24 characters: an API key that somebody gives as a model is no model's name.
MODEL: Final = _word(r"[a-z0-9]{1,24}(?:[._:-][a-z0-9]{1,24}){0,11}", 96)
RULE: Final = _word(r"[a-z0-9][a-z0-9_.-]{0,63}", 64)
KEY_LABEL: Final = _word(r"key-[0-9]{1,6}", 10)
CLASS_NAME: Final = _word(r"[A-Za-z_][A-Za-z0-9_]{0,63}", 64)
FINGERPRINT: Final = _word(r"[0-9a-f]{16,64}", 64)
RULES: Final = _tuple_of(RULE)
_CATEGORIES: Final = frozenset({*CATEGORIES_2411, *CATEGORIES_2603, OTHER})
MODERATION: Final = _tuple_of(one_of(_CATEGORIES))


def _are_counts(value: object) -> bool:
    return isinstance(value, Mapping) and all(RULE.holds(rule) and is_count(count) for rule, count in value.items())


def _are_findings(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        RULE.holds(rule)
        and isinstance(counts, Mapping)
        and all(isinstance(action, Action) and is_count(count) for action, count in counts.items())
        for rule, counts in value.items()
    )


RULE_COUNTS: Final = Form(
    holds=_are_counts,
    schema={"type": "object", "propertyNames": RULE.schema, "additionalProperties": COUNT.schema},
    unit="findings, by rule id",
)
FINDINGS: Final = Form(
    holds=_are_findings,
    schema={
        "type": "object",
        "propertyNames": RULE.schema,
        "additionalProperties": {
            "type": "object",
            "propertyNames": one_of(Action).schema,
            "additionalProperties": COUNT.schema,
        },
    },
    unit="findings, by rule id and action",
)


def check(thing: object, forms: Iterable[tuple[str, Callable[[object], bool]]]) -> None:
    """Looks at every field; one that is None does not apply.

    Raises:
        ValueError: for a field that does not have its form; the message names the field, not the value.
    """
    for name, holds in forms:
        value = getattr(thing, name)
        if value is not None and not holds(value):
            kind = type(thing).__name__
            raise ValueError(f"{kind}.{name} does not have the form that keeps content out of {_PLURALS[kind]}.")


_PLURALS: Final = {"GuardEvent": "events", "RequestRecord": "records"}


def told(thing: Any) -> dict[str, object]:  # noqa: ANN401 - any dataclass
    """The fields that apply, ready for JSON: times in ISO 8601, durations in seconds."""
    said: dict[str, object] = {}
    for each in fields(thing):
        value = getattr(thing, each.name)
        if value is None or ((value == () or isinstance(value, Mapping)) and not value):
            continue
        said[each.name] = _plain(value)
    return said


def _plain(value: object) -> object:
    said = value
    if isinstance(value, datetime):
        said = value.isoformat(timespec="milliseconds")
    elif isinstance(value, UUID):
        said = str(value)
    elif isinstance(value, float):
        said = round(value, 6)
    elif isinstance(value, tuple):
        said = list(value)
    elif isinstance(value, Mapping):
        said = {str(key): _plain(inner) for key, inner in value.items()}
    elif isinstance(value, StrEnum):
        said = value.value
    return said


def frozen(counts: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy that nobody can change."""
    return MappingProxyType({
        key: frozen(value) if isinstance(value, Mapping) else value for key, value in counts.items()
    })  # fmt: skip


def model_name(said: object) -> str | None:
    """A model's name as a record may hold it; "other" for what does not look like one, None for nothing."""
    if not said:
        return None
    return said if isinstance(said, str) and MODEL.holds(said) else OTHER


def rule_id(said: str) -> str:
    """A rule's id as a record may hold it; "other" for what does not look like one."""
    return said if RULE.holds(said) else OTHER


def moderation_names(said: Iterable[str]) -> tuple[str, ...]:
    """Moderation's categories as a record may hold them; "other" for those that no taxonomy has."""
    return tuple(sorted({name if name in _CATEGORIES else OTHER for name in said}))


def class_name(error: BaseException) -> str:
    """An error's class as a record may hold it.

    Only a class that stands in a module under its own name counts, for such a name was written by a programmer; of any
    other class, the nearest base that does.
    """
    for kind in type(error).__mro__:
        if CLASS_NAME.holds(kind.__name__) and _stands_in_a_module(kind):
            return kind.__name__
    return "Exception"


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error carries, whichever library raised it."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and STATUS.holds(status):
                return status
    return None


def _stands_in_a_module(kind: type) -> bool:
    return getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind
