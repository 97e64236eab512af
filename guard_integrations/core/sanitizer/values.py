"""Structures: the strings inside are changed one by one; types and keys stay, and JSON stays JSON."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, Final, TypeAlias

from pydantic import BaseModel

from guard_integrations.errors import GuardUnavailable

__all__ = ["Change", "map_strings"]

Change: TypeAlias = Callable[[str, str | None], str]
"""What becomes of a string, given the key that it stands under, if any."""

_DEEPEST: Final = 100


def map_strings(value: Any, change: Change, key: str | None = None, depth: int = 0) -> Any:  # noqa: ANN401, PLR0911 - any value a tool may take or give; one way out a type
    """The same structure with every string changed.

    Strings that hold a JSON object or array are changed inside, and stay as they were, to the byte, when nothing
    inside changes. Goes into mappings, lists, tuples, sets, dataclasses and pydantic models; keys, numbers, bytes and
    everything else stay as they are.

    Args:
        value: the structure; it is not changed itself.
        change: what becomes of a string.
        key: the key that the value stands under.
        depth: how deep it stands.

    Raises:
        GuardUnavailable: the structure is nested more than 100 deep.
    """
    if depth > _DEEPEST:
        raise GuardUnavailable("sanitizer", f"the value is nested more than {_DEEPEST} deep; flatten it")
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return _string(value, change, key, depth)
    if isinstance(value, BaseModel):
        given = {**{name: getattr(value, name) for name in type(value).model_fields}, **(value.model_extra or {})}
        return value.model_copy(update=_changed(given, change, depth))
    if is_dataclass(value) and not isinstance(value, type):
        given = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
        changed = _changed(given, change, depth)
        return replace(value, **changed) if changed else value
    if isinstance(value, Mapping):
        mapped = {name: map_strings(item, change, _name(name), depth + 1) for name, item in value.items()}
        return mapped if type(value) is dict else _rebuilt(value, mapped)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_strings(item, change, key, depth + 1) for item in value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(map_strings(item, change, key, depth + 1) for item in value)
    return value


def _name(key: object) -> str | None:
    return key if isinstance(key, str) else None


def _changed(given: Mapping[str, Any], change: Change, depth: int) -> dict[str, Any]:
    changed = {name: map_strings(item, change, name, depth + 1) for name, item in given.items()}
    return {name: item for name, item in changed.items() if item is not given[name]}


def _rebuilt(value: Mapping[Any, Any], mapped: dict[Any, Any]) -> Any:  # noqa: ANN401 - the mapping's own type
    try:
        return type(value)(mapped)  # type: ignore[call-arg]
    except TypeError:
        return mapped


def _string(text: str, change: Change, key: str | None, depth: int) -> str:
    if text.lstrip()[:1] in {"{", "["}:
        try:
            inside = json.loads(text)
        except (ValueError, RecursionError):
            inside = None
        if isinstance(inside, (dict, list)):
            cleaned = map_strings(inside, change, key, depth + 1)
            return text if cleaned == inside else json.dumps(cleaned, ensure_ascii=False)
    return change(text, key)
