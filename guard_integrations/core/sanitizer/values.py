"""Structures: the strings inside are changed one by one; types and keys stay, and JSON stays JSON."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

from pydantic import BaseModel

from guard_integrations.core.findings import Finding
from guard_integrations.core.sanitizer.json_stream import Start, ValueStream
from guard_integrations.core.sanitizer.json_tokens import DEEPEST, too_deep

__all__ = ["map_strings"]

_Change: TypeAlias = Callable[[str, str | None, int], str]
"""What becomes of a string, given the key that it stands under, if any, and how deep."""


def map_strings(value: Any, start: Start) -> tuple[Any, tuple[Finding, ...]]:  # noqa: ANN401 - any value a tool may take or give
    """The same structure with every string put through a session of its own, and what the sessions found.

    Strings that hold a JSON object or array are changed inside, and stay as they were, to the byte, where nothing
    changes. Goes into mappings, lists, tuples, sets, dataclasses and pydantic models; keys, numbers, bytes and
    everything else stay as they are.

    Args:
        value: the structure; it is not changed itself.
        start: begins the session of a string.

    Raises:
        GuardUnavailable: the structure is nested more than 100 deep.
    """
    findings: list[Finding] = []

    def change(text: str, key: str | None, depth: int) -> str:
        session = ValueStream(start, key, depth)
        clean = session.feed_last(text)
        findings.extend(session.findings)
        return text if clean == text else clean

    return _mapped(value, change, None, 0), tuple(findings)


def _mapped(value: Any, change: _Change, key: str | None, depth: int) -> Any:  # noqa: ANN401, PLR0911 - as above; one way out a type
    if depth > DEEPEST:
        raise too_deep()
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return change(value, key, depth)
    if isinstance(value, BaseModel):
        given = {**{name: getattr(value, name) for name in type(value).model_fields}, **(value.model_extra or {})}
        return value.model_copy(update=_changed(given, change, depth))
    if is_dataclass(value) and not isinstance(value, type):
        given = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
        changed = _changed(given, change, depth)
        return replace(value, **changed) if changed else value
    if isinstance(value, Mapping):
        mapped = {name: _mapped(item, change, _name(name), depth + 1) for name, item in value.items()}
        return mapped if type(value) is dict else _rebuilt(value, mapped)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(item, change, key, depth + 1) for item in value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(_mapped(item, change, key, depth + 1) for item in value)
    return value


def _name(key: object) -> str | None:
    return key if isinstance(key, str) else None


def _changed(given: Mapping[str, Any], change: _Change, depth: int) -> dict[str, Any]:
    changed = {name: _mapped(item, change, name, depth + 1) for name, item in given.items()}
    return {name: item for name, item in changed.items() if item is not given[name]}


def _rebuilt(value: Mapping[Any, Any], mapped: dict[Any, Any]) -> Any:  # noqa: ANN401 - the mapping's own type
    try:
        return type(value)(mapped)  # type: ignore[call-arg]
    except TypeError:
        return mapped
