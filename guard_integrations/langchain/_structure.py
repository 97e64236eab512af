"""Copies of structured values, of whatever kind a chain carries, with other parts in them."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from operator import is_
from typing import Any, TypeVar, cast

from pydantic import BaseModel

__all__ = ["grows", "parts", "same", "with_parts"]

_T = TypeVar("_T")


def parts(value: object) -> Iterator[tuple[Any, Any]] | None:
    """The parts of a mapping, a sequence, a pydantic object or a dataclass, by key; None for anything else."""
    if isinstance(value, Mapping):
        return iter(value.items())
    if isinstance(value, (list, tuple)):
        return iter(enumerate(value))
    if isinstance(value, BaseModel):
        return iter((name, getattr(value, name)) for name in type(value).model_fields)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return iter((each.name, getattr(value, each.name)) for each in dataclasses.fields(value))
    return None


def with_parts(value: _T, change: Callable[[Any, Any], Any]) -> _T:
    """A copy of `value`, of the same kind, in which `change(key, part)` has replaced each part.

    A value without parts comes back as it is, and so does one in which nothing changed.
    """
    found = parts(value)
    if found is None:
        return value
    old = list(found)
    new = [(key, change(key, part)) for key, part in old]
    if all(after is before for (_, before), (_, after) in zip(old, new, strict=True)):
        return value
    return cast("_T", _rebuilt(value, new))


def _rebuilt(value: Any, new: list[tuple[Any, Any]]) -> Any:
    if isinstance(value, dict):
        # A subclass, such as LangChain's AddableDict, keeps what it is.
        fresh = copy.copy(value)
        fresh.update(new)
        return fresh
    if isinstance(value, Mapping):
        return dict(new)
    if isinstance(value, tuple):
        items = [part for _, part in new]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [part for _, part in new]
    if isinstance(value, BaseModel):
        return value.model_copy(update=dict(new))
    fresh = copy.copy(value)
    for name, part in new:
        object.__setattr__(fresh, name, part)
    return fresh


def grows(before: object, after: object) -> bool:
    """Whether `after` is `before` with more at its end, as the snapshots of a parser are, and not another value."""
    if isinstance(before, str):
        return isinstance(after, str) and after.startswith(before)
    old = parts(before)
    if old is None:
        return True
    new = parts(after)
    if new is None or type(before) is not type(after):
        return False
    later = dict(new)
    return all(key in later and grows(part, later[key]) for key, part in old)


def same(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    """Whether two sets of settings are the same objects, one by one: what was compiled for one serves the other."""
    return len(before) == len(after) and all(map(is_, before, after))
