"""Conversations in a column: lists of messages, each with a role and a content that is a text or blocks of texts."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import pyarrow as pa

from guard_integrations.core.findings import Stage

__all__ = ["Piece", "Steps", "conversation", "pieces_of", "rewritten", "said", "stores_messages", "within"]

Steps: TypeAlias = tuple[str | int, ...]

_STAGES: Final[dict[str, Stage]] = {
    "user": "input", "human": "input",
    "tool": "tool", "function": "tool",
    "assistant": "output", "ai": "output", "model": "output",
    # What the application says itself orders nobody about: personal data and secrets are looked for in it.
    "system": "output", "developer": "output",
}  # fmt: skip
_INNER: Final = ("text", "content", "thinking")
"""Where blocks keep texts, or blocks."""
_DEEPEST: Final = 20


class Piece(NamedTuple):
    """One text of a conversation.

    Args:
        text: the text.
        stage: where its role says that it stands; None for a role that nobody knows.
        steps: the keys and numbers that lead to it.
    """

    text: str
    stage: Stage | None
    steps: Steps


def _are_messages(value: object) -> bool:
    """Whether a value is a list of messages, and not an empty one."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and isinstance(one.get("role"), str) and "content" in one for one in value)
    )


def conversation(value: object) -> object:
    """The list of messages that a value is, or that a text says in JSON; None for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if _are_messages(value) else None


def said(values: Iterable[object]) -> bool:
    """Whether what a column holds is conversations: a list of messages, or nothing but texts that say one in JSON."""
    known = [value for value in values if value not in (None, "", [])]
    return any(map(_are_messages, known)) or (bool(known) and all(conversation(value) is not None for value in known))


def stores_messages(kind: pa.DataType) -> bool:
    """Whether a type of Arrow is that of a list of messages."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
        return False
    return {"role", "content"} <= {field.name for field in kind.value_type}


def pieces_of(value: object, *, messages: bool) -> list[Piece] | None:
    """The texts of a row: none where it has none, and None itself where it is broken.

    Args:
        value: a text or a list of messages. Arguments of tool calls are no texts.
        messages: whether the column holds conversations; a text among them is but a text.
    """
    if value is None:
        return []
    if messages and (read := conversation(value)) is not None:
        try:
            return list(_pieces(read))
        except ValueError:
            return None
    if not isinstance(value, str):
        return [] if messages and value == [] else None
    # A lone surrogate is valid in JSON and nowhere else.
    return [Piece(value.encode("utf-8", "replace").decode(), None, ())] if value else []


def _pieces(messages: Any) -> Iterator[Piece]:  # noqa: ANN401 - JSON that `_are_messages` has looked at
    for at, message in enumerate(messages):
        stage = _STAGES.get(message["role"].lower())
        for text, steps in _texts(message["content"], (at, "content")):
            yield Piece(text, stage, steps)


def _texts(value: object, steps: Steps) -> Iterator[tuple[str, Steps]]:
    if isinstance(value, str):
        if value:
            yield value.encode("utf-8", "replace").decode(), steps
    elif len(steps) > _DEEPEST and isinstance(value, list | dict):
        raise ValueError("blocks inside each other without end")
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _texts(one, (*steps, at))
    elif isinstance(value, dict):
        for name in _INNER:
            yield from _texts(value.get(name), (*steps, name))


def rewritten(value: object, changes: Iterable[tuple[Steps, str]]) -> object:
    """A value with other texts in it: conversations stay what they are, also those that are written as JSON in a text.

    Args:
        value: as `pieces_of` was given it; a list is changed itself.
        changes: the steps to a text, and what stands there now; no steps are the whole value.
    """
    messages: Any = conversation(value)
    for steps, text in changes:
        if not steps:
            return text
        *way, last = steps
        inner = messages
        for step in way:
            inner = inner[step]
        inner[last] = text
    return json.dumps(messages, ensure_ascii=False) if isinstance(value, str) else messages


def within(steps: Steps) -> str:
    """The steps as a JSONPath (RFC 9535), such as `$[1].content`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
