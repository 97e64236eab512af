"""Every text in a message, whatever kind of block it stands in, and copies of messages with other texts in them.

Nothing is changed in place, and a copy keeps the message's id, so that state that goes by id replaces the original.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

from langchain_core.messages import BaseMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage

from guard_integrations.core.findings import Stage

__all__ = [
    "CALL_KEYS",
    "Channel",
    "Content",
    "map_content",
    "map_value",
    "moderated_text",
    "stage_of",
    "system_text",
    "text_of",
]

Content: TypeAlias = str | list[str | dict[str, Any]]
"""What LangChain allows as the content of a message."""

Channel: TypeAlias = Literal["text", "thinking", "value"]
"""What a text belongs to: the visible text, which is read as one; the model's thinking, likewise; a value of its own."""

Visit: TypeAlias = Callable[[Channel, str], str]

_STAGE_OF_ROLE: Mapping[str, Stage | None] = {
    "system": None, "developer": None, "assistant": None, "ai": None, "tool": "tool", "function": "tool",
}  # fmt: skip

# Keys whose strings are names, ids or encoded bytes: no reader and no model reads them as text.
_STRUCTURAL = frozenset(
    {
        "type", "id", "index", "role", "name", "status", "mime_type", "base64", "data", "file_id", "signature",
        "encrypted_content", "tool_call_id", "tool_use_id", "source_type", "detail", "format",
    }
)  # fmt: skip

# Keys under which a tool's own data stands, whose "name" and "id" mean whatever the tool takes them for.
_DATA = frozenset({"args", "arguments", "input", "output"})

CALL_KEYS = frozenset({"tool_calls", "function_call"})
"""Keys of `additional_kwargs` under which the API's own form of the tool calls stands."""

_THINKING = frozenset({"thinking", "reasoning", "summary"})

# Blocks that carry media: their addresses and bytes go on as they are. A file may be a text, and is then read.
_MEDIA = frozenset({"image", "image_url", "audio", "input_audio", "video", "file", "document_url", "redacted_thinking"})


def map_content(content: Content, visit: Visit) -> Content:
    """A copy of a message's content in which `visit(channel, text)` has replaced each text, in reading order."""
    if isinstance(content, str):
        return visit("text", content)
    return [_map_block(block, visit) for block in content]


def map_value(value: Any, visit: Visit, *, whole: bool = True) -> Any:
    """A copy of a JSON-like value in which `visit("value", text)` has replaced each string.

    Args:
        value: strings, numbers, mappings and sequences, nested to any depth.
        visit: gives the text that is to stand in a text's place.
        whole: False where the value is part of a block, whose ids, names and encoded bytes stay as they are.
    """
    if isinstance(value, str):
        return visit("value", value)
    if isinstance(value, Mapping):
        return {
            key: each
            if not whole and _is_structural(key, each) and not _is_plain_text(key, value)
            else map_value(each, visit, whole=whole or key in _DATA)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [map_value(item, visit, whole=whole) for item in value]
    return value


def _map_block(block: str | dict[str, Any], visit: Visit) -> str | dict[str, Any]:
    if isinstance(block, str):
        return visit("text", block)
    kind = block.get("type")
    if kind in _MEDIA and not isinstance(block.get("text"), str):
        return block
    thinks = kind in _THINKING
    copy: dict[str, Any] = {}
    for key, value in block.items():
        if _is_structural(key, value):
            copy[key] = value
        elif thinks and key in _THINKING:
            copy[key] = _map_thinking(value, visit)
        elif key == "text" and isinstance(value, str):
            copy[key] = visit("thinking" if thinks else "text", value)
        else:
            copy[key] = map_value(value, visit, whole=key in _DATA)
    return copy


def _is_structural(key: str, value: Any) -> bool:
    return key in _STRUCTURAL and isinstance(value, str)


def _is_plain_text(key: str, holder: Mapping[str, Any]) -> bool:
    """Whether "data" holds no bytes: a source of text, as in Anthropic's documents, keeps the text there."""
    return key == "data" and holder.get("type") == "text"


def _map_thinking(value: Any, visit: Visit) -> Any:
    if isinstance(value, str):
        return visit("thinking", value)
    if isinstance(value, Mapping):
        return {key: each if _is_structural(key, each) else _map_thinking(each, visit) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_thinking(item, visit) for item in value]
    return value


def text_of(content: Content) -> str:
    """The visible text of a message's content, joined as a reader, and a model, would."""
    if isinstance(content, str):
        return content
    texts: list[str] = []

    def collect(channel: Channel, text: str) -> str:
        if channel == "text":
            texts.append(text)
        return text

    map_content(content, collect)
    return "".join(texts)


def moderated_text(message: BaseMessage) -> str:
    """What moderation reads of an answer: every text in it, thinking too, and the arguments of its tool calls."""
    thoughts: list[str] = []
    visible: list[str] = []
    values: list[str] = []
    read = {"thinking": thoughts, "text": visible, "value": values}

    def collect(channel: Channel, text: str) -> str:
        read[channel].append(text)
        return text

    map_content(message.content, collect)
    said = {key: value for key, value in message.additional_kwargs.items() if key not in CALL_KEYS}
    map_value(said, collect, whole=False)
    pieces = getattr(message, "tool_call_chunks", None) or []
    # A piece that has no name goes on with what the piece before it began.
    arguments = "".join(f"\n{each['args'] or ''}" if each["name"] else each["args"] or "" for each in pieces)
    values += [
        json.dumps(each["args"], ensure_ascii=False, default=str)
        for each in ([] if pieces else getattr(message, "tool_calls", []))
        if each["args"]
    ]
    invalid = [] if hasattr(message, "tool_call_chunks") else getattr(message, "invalid_tool_calls", [])
    values += [each["args"] for each in invalid if each["args"]]
    # Pieces of a stream are read one after the other: what another kind of text follows ends its line.
    spoken = "\n".join("".join(texts) for texts in (thoughts, visible) if texts)
    return "".join([spoken, arguments, *(f"\n{value}\n" for value in values if value)])


def stage_of(message: BaseMessage) -> Stage | None:
    """Where a message's text stands on the way in; None for what is never rewritten: system and assistant messages."""
    if isinstance(message, HumanMessage):
        return "input"
    if isinstance(message, (ToolMessage, FunctionMessage)):
        return "tool"
    if isinstance(message, ChatMessage):
        return _STAGE_OF_ROLE.get(message.role, "input")
    return None


def system_text(messages: Iterable[BaseMessage]) -> str:
    """The conversation's instructions: the texts of its system messages, a blank line between two."""
    return "\n\n".join(
        text_of(message.content)
        for message in messages
        if isinstance(message, SystemMessage) or (isinstance(message, ChatMessage) and message.role == "system")
    )
