"""What a classifier has to read of whatever a chain carries."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel

from guard_integrations.core.moderation import Message
from guard_integrations.core.moderation.content import read_turn

__all__ = ["Readable", "as_message", "chunk_text", "read"]


@dataclass(slots=True)
class Readable:
    """Texts, and conversations whose last turn counts."""

    texts: list[str] = field(default_factory=list)
    conversations: list[list[Message]] = field(default_factory=list)


def read(value: object) -> Readable:
    """Every text in a value: messages as conversations, documents by their content, and whatever has parts, part by part.

    What has none of these counts by what it prints as, so that nothing passes unread.
    """
    found = Readable()
    stack: list[object] = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, str):
            found.texts.append(part)
        elif isinstance(part, PromptValue):
            stack.append(part.to_messages())
        elif isinstance(part, BaseMessage):
            found.conversations.append([as_message(part)])
        elif isinstance(part, Document):
            found.texts.append(part.page_content)
        elif isinstance(part, list | tuple) and part and all(isinstance(each, BaseMessage) for each in part):
            found.conversations.append([as_message(each) for each in part])
        elif (parts := _parts(part)) is not None:
            stack.extend(reversed(list(parts)))
        elif part is not None and not isinstance(part, bool | int | float | bytes):
            found.texts.append(str(part))
    return found


def as_message(message: BaseMessage) -> Message:
    """A message as the core reads it."""
    role = message.role if isinstance(message, ChatMessage) else message.type.removesuffix("MessageChunk").lower()
    said: dict[str, Any] = {"role": role, "content": message.content}
    if isinstance(message, AIMessage):
        said["tool_calls"] = [*message.tool_calls, *message.invalid_tool_calls]
    return said


def chunk_text(chunk: object) -> str:
    """The text in a piece of a stream, with the pieces of the tool calls in it."""
    if isinstance(chunk, AIMessageChunk):
        calls = [part for call in chunk.tool_call_chunks for part in (call["name"], call["args"]) if part]
        return read_turn({"content": chunk.content}).text + "".join(calls)
    if isinstance(chunk, BaseMessage):
        return read_turn(as_message(chunk)).text
    return str(chunk)


def _parts(value: object) -> Iterator[object] | None:
    if isinstance(value, Mapping):
        return iter(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return iter(value)
    if isinstance(value, BaseModel):
        return (getattr(value, name) for name in type(value).model_fields)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return (getattr(value, each.name) for each in dataclasses.fields(value))
    return None
