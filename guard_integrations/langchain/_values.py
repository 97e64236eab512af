"""Whatever a chain carries on the way in: which of it is untrusted text, and of which stage."""

from collections.abc import Mapping
from typing import Any, Final

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import ChatPromptValue, ImagePromptValue, PromptValue, StringPromptValue

from guard_integrations.core.findings import Stage
from guard_integrations.langchain._input import InputGuard
from guard_integrations.langchain._structure import parts, with_parts

__all__ = ["guard_document", "guard_value"]

_ROLES: Final[Mapping[str, Stage | None]] = {
    "human": "input", "user": "input", "tool": "tool", "function": "tool",
    "ai": None, "assistant": None, "system": None, "developer": None, "placeholder": None,
}  # fmt: skip
_ANSWERS: Final = frozenset({"ai", "assistant"})


def guard_value(guard: InputGuard, value: Any, *, keys: tuple[str, ...] | None = None) -> Any:  # noqa: PLR0911 - a branch for each kind that a chain carries
    """A copy of `value`, of the same type, with its untrusted texts made safe.

    Args:
        guard: makes texts and messages safe.
        value: a text, a prompt, messages in any form LangChain takes, documents, or a structure of these.
        keys: of a mapping, the only keys to look at.

    Raises:
        GuardBlocked: when the policy refuses any of it.
        TypeError: for something that holds no text this guard could read.
    """
    if isinstance(value, str):
        return guard.text(value, "input").text
    if isinstance(value, BaseMessage):
        return _messages(guard, [value])[0]
    if isinstance(value, Document):
        return guard_document(guard, value)
    if isinstance(value, PromptValue):
        return _prompt(guard, value)
    if isinstance(value, list) and value and all(isinstance(item, BaseMessage) for item in value):
        return _messages(guard, value)
    if (role := _role(value)) is not None:
        return _message_like(guard, value, role)
    if parts(value) is None:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        raise TypeError(f"{type(value).__name__} holds no text that this guard can read: guard the text itself")
    return with_parts(value, lambda key, part: part if keys is not None and key not in keys else _part(guard, part))


def guard_document(guard: InputGuard, document: Document) -> Document:
    """A copy of a document with its text, and the texts in its metadata, made safe as a document's.

    Raises:
        GuardBlocked: when the policy refuses it.
    """
    return document.model_copy(
        update={
            "page_content": guard.document(document.page_content),
            "metadata": _metadata(guard, document.metadata),
        }
    )


def _metadata(guard: InputGuard, value: Any) -> Any:
    if isinstance(value, str):
        return guard.document(value)
    return with_parts(value, lambda _, part: _metadata(guard, part))


def _prompt(guard: InputGuard, prompt: PromptValue) -> PromptValue:
    if isinstance(prompt, StringPromptValue):
        return prompt.model_copy(update={"text": guard.text(prompt.text, "input").text})
    if isinstance(prompt, ImagePromptValue):
        return prompt
    messages = _messages(guard, prompt.to_messages())
    return (
        prompt.model_copy(update={"messages": messages})
        if isinstance(prompt, ChatPromptValue)
        else ChatPromptValue(messages=messages)
    )


def _messages(guard: InputGuard, messages: list[BaseMessage]) -> list[BaseMessage]:
    guarded = guard.messages(messages)
    if guarded.blocked is not None:
        raise guarded.blocked
    return guarded.messages


def _part(guard: InputGuard, value: Any) -> Any:
    """A part of a structure; what holds no text, such as a date, goes on as it is."""
    known = isinstance(value, (str, BaseMessage, Document, PromptValue)) or parts(value) is not None
    return guard_value(guard, value) if known else value


def _role(value: Any) -> str | None:
    """The role of a message in LangChain's short forms: ("human", "text") and {"role": "user", "content": "text"}."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], (str, list)):  # noqa: PLR2004 - a pair
        role = value[0]
    elif isinstance(value, Mapping) and "content" in value:
        role = value.get("role") or value.get("type")
    else:
        return None
    return role if isinstance(role, str) and role in _ROLES else None


def _message_like(guard: InputGuard, value: Any, role: str) -> Any:
    stage = _ROLES[role]
    given = value[1] if isinstance(value, tuple) else value["content"]
    if stage is not None:
        content = guard.content(given, stage)[0]
    elif role in _ANSWERS:
        content = guard.history(given)
    else:
        return value
    return (value[0], content) if isinstance(value, tuple) else {**value, "content": content}
