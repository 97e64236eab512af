"""Lines of the log, read back as strictly as they were written."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn
from uuid import UUID

from guard_integrations.core.events import EventKind, GuardEvent
from guard_integrations.core.findings import Action
from guard_integrations.core.queue import Item
from guard_integrations.core.records import FinishReason, Framework, Operation, RequestRecord

__all__ = ["LONGEST_LINE", "parse_line"]

LONGEST_LINE: Final = 65_536
"""Characters; no record is as long."""


def parse_line(line: str) -> Item:
    """The record or event that a line says; what a logging formatter has put before it is passed over.

    Raises:
        ValueError: for anything else; the message holds nothing of the line.
    """
    start = line.find("{")
    made: Item | None = None
    if start >= 0 and len(line) <= LONGEST_LINE:
        try:
            made = _made(json.loads(line[start:], parse_constant=_refuse))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            made = None
    if made is None:
        raise ValueError("The line is neither a record nor an event.")
    return made


def _made(said: Mapping[str, Any]) -> Item:
    fields: dict[str, Any] = {
        name: _READERS[name](value) if name in _READERS else value for name, value in said.items()
    }
    return GuardEvent(**{"run": None, **fields}) if "kind" in fields else RequestRecord(**fields)


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a number")


def _findings(said: Mapping[str, Mapping[str, int]]) -> dict[str, dict[Action, int]]:
    return {rule: {Action(action): count for action, count in counts.items()} for rule, counts in said.items()}


def _words(said: list[str]) -> tuple[str, ...]:
    if not isinstance(said, list):
        raise TypeError("not a list")
    return tuple(said)


def _moment(said: str) -> datetime:
    # Python reads "+00:00" as the `UTC` that the form wants.
    return datetime.fromisoformat(said)


_READERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "at": _moment,
    "run": UUID,
    "parent": UUID,
    "framework": Framework,
    "operation": Operation,
    "finish_reason": FinishReason,
    "kind": EventKind,
    "action": Action,
    "findings": _findings,
    "moderation": _words,
    "guardrails": _words,
    "categories": _words,
}
