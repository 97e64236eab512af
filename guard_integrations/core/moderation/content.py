"""Reads conversations, in the frameworks' many forms of content, as turns of plain text. Pure.

What is not known to be media is read as text, down to the last string: a new kind of block is judged before
anybody has heard of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guard_integrations.core.moderation.split import scrub, size, split

__all__ = ["Turn", "last_turn", "read_turn", "within"]

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "developer": "system",
    "function": "tool",
    **{role: role for role in ("user", "assistant", "system", "tool")},
}
_MEDIA = ("image", "audio", "video", "file", "document", "media")
_CAPTIONS = frozenset({"text", "title", "caption", "context", "alt"})
_LABELS = frozenset({"type", "id", "index", "tool_call_id", "call_id", "mime_type", "signature", "encrypted_content"})
_MESSAGE_PARTS = ("content", "tool_calls", "refusal")
_ROLE_COST = 32
"""Bytes set aside for what the API writes around one turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message as the classifier reads it.

    Args:
        role: "system", "user", "assistant" or "tool".
        text: all its text; left out of `repr`.
        unchecked: kinds of content that the classifier cannot read, such as "image".
    """

    role: str
    text: str = field(repr=False)
    unchecked: tuple[str, ...] = ()

    def wire(self) -> dict[str, str]:
        """The message as the API takes it."""
        return {"role": self.role, "content": self.text}


def read_turn(message: Mapping[str, object]) -> Turn:
    """Reads a message with `role` and `content`, a string or a list of blocks, and perhaps `tool_calls`.

    A role that is not known counts as the user's.
    """
    texts: list[str] = []
    unchecked: dict[str, None] = {}
    for part in _MESSAGE_PARTS:
        _collect(message.get(part), texts, unchecked)
    return Turn(
        role=_ROLES.get(str(message.get("role")), "user"),
        text=scrub("\n".join(texts)),
        unchecked=tuple(unchecked),
    )


def last_turn(messages: Sequence[Turn]) -> tuple[list[Turn], list[Turn]]:
    """What is to be judged of a conversation, after what goes before it.

    A turn is everything since the assistant last spoke, or what the assistant says: tools called in parallel answer
    in several messages, and all of them are judged. Neighbours of one role count as one message. The system's own
    messages are judged only when there is nothing else.
    """
    speaks = messages[-1].role == "assistant"
    start = len(messages)
    while start and (messages[start - 1].role == "assistant") is speaks:
        start -= 1
    said = [message for message in messages[start:] if message.role != "system"] or list(messages[start:])
    own = [message for message in messages[start:] if message not in said]
    turn: list[Turn] = []
    for message in said:
        if turn and turn[-1].role == message.role:
            turn[-1] = _merged(turn[-1], message)
        else:
            turn.append(message)
    return [*messages[:start], *own], turn


def within(before: Sequence[Turn], turn: Turn, limit: int) -> tuple[tuple[list[dict[str, str]], int, int], ...]:
    """The conversations to send, so that a turn is judged whole and none is longer than `limit` bytes.

    Each comes with the span of the turn's text that it ends with. A turn that leaves no room is split; what room
    there is goes to what was said before it, latest first. Nothing comes back when there is no text to judge.
    """
    if not turn.text.strip():
        return ()
    said = [message for message in before if message.text.strip()]
    spans = split(turn.text, limit // 2 if said else limit - _ROLE_COST)
    room = limit - max(size(turn.text[start:end]) for start, end in spans) - _ROLE_COST
    context: list[dict[str, str]] = []
    for message in reversed(said):
        room -= size(message.text) + _ROLE_COST
        if room < 0:
            break
        context.insert(0, message.wire())
    return tuple(([*context, {"role": turn.role, "content": turn.text[start:end]}], start, end) for start, end in spans)


def _merged(first: Turn, second: Turn) -> Turn:
    return Turn(
        role=first.role,
        text=f"{first.text}\n{second.text}" if first.text and second.text else first.text or second.text,
        unchecked=tuple(dict.fromkeys((*first.unchecked, *second.unchecked))),
    )


def _collect(content: object, texts: list[str], unchecked: dict[str, None]) -> None:
    # A stack and not a recursion: nesting is the sender's choice.
    stack: list[object] = [content]
    while stack:
        part = stack.pop()
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            stack.extend(reversed(_members(part, unchecked)))
        elif isinstance(part, Sequence) and not isinstance(part, bytes | bytearray):
            stack.extend(reversed(part))


def _members(block: Mapping[str, object], unchecked: dict[str, None]) -> list[object]:
    kind = str(block.get("type", ""))
    media = next((name for name in _MEDIA if name in kind), None)
    if media:
        unchecked.setdefault("file" if media in ("document", "media") else media)
        return [value for key, value in block.items() if key in _CAPTIONS]
    return [
        _decoded(value) if key == "arguments" else value
        for key, value in block.items()
        if key not in _LABELS or not isinstance(value, str | int | None)
    ]


def _decoded(arguments: object) -> object:
    """The values in JSON arguments, in which an escape could hide a word."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return [json.loads(arguments)]
    except (ValueError, RecursionError):
        return arguments
