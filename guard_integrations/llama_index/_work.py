"""What LlamaIndex's events say of work that begins and ends: numbers, names and ids from an allow-list."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.instrumentation.events.query import QueryEndEvent, QueryStartEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent, RetrievalStartEvent
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent, SynthesizeStartEvent
from llama_index.core.schema import QueryBundle

from guard_integrations.core.forms import model_name
from guard_integrations.core.records import FinishReason, Operation
from guard_integrations.core.runs import Run

__all__ = ["Work", "begun", "ended"]


@dataclass(slots=True, kw_only=True)
class Work:
    """A piece of work that has begun. Counts and clocks, never content."""

    operation: Operation
    counts: Run | None = None
    run: UUID | None = None
    parent: UUID | None = None
    began: float = field(default_factory=time.monotonic)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    model: str | None = None
    messages: int | None = None
    input_chars: int | None = None
    output_chars: int = 0
    first_token: float | None = None
    streamed: bool = False
    chunks: int = 0


def begun(event: BaseEvent) -> Work | None:  # noqa: PLR0911 - one for each kind of event
    """The work that an event says has begun."""
    match event:
        case LLMChatStartEvent():
            return Work(
                operation=Operation.CHAT,
                model=_model(event.model_dict),
                messages=len(event.messages),
                input_chars=sum(map(_message_chars, event.messages)),
            )
        case LLMCompletionStartEvent() if _is_no_chat(event):
            model = _model(event.model_dict)
            return Work(operation=Operation.CHAT, model=model, messages=1, input_chars=len(event.prompt))
        case EmbeddingStartEvent():
            return Work(operation=Operation.EMBEDDING, model=_model(event.model_dict))
        case RetrievalStartEvent():
            return Work(operation=Operation.RETRIEVAL, input_chars=_query(event.str_or_query_bundle))
        case SynthesizeStartEvent():
            return Work(operation=Operation.CHAIN, input_chars=_query(event.query))
        case QueryStartEvent():
            return Work(operation=Operation.QUERY, input_chars=_query(event.query))
    return None


def ended(event: BaseEvent) -> tuple[Operation, dict[str, object]] | None:  # noqa: PLR0911 - as above
    """The work that an event says has ended, and what is told about its end."""
    match event:
        case LLMChatEndEvent():
            return Operation.CHAT, _of_chat(event.response)
        case LLMCompletionEndEvent():
            return Operation.CHAT, {"output_chars": len(event.response.text), **_of_raw(event.response.raw)}
        case EmbeddingEndEvent():
            chunks = event.chunks
            return Operation.EMBEDDING, {"messages": len(chunks), "input_chars": sum(map(len, chunks))}
        case RetrievalEndEvent():
            return Operation.RETRIEVAL, {}
        case SynthesizeEndEvent():
            return Operation.CHAIN, _of_response(event.response)
        case QueryEndEvent():
            return Operation.QUERY, _of_response(event.response)
    return None


def _is_no_chat(event: LLMCompletionStartEvent) -> bool:
    """Whether a completion is a request of its own.

    A chat model's `complete` is a chat, which has its own event; old versions do not say which model it is. What the
    model fills in between two texts is never a chat.
    """
    return not event.model_dict.get("is_chat_model", True) or "fill_in_middle" in (event.span_id or "")


def _model(model_dict: dict[str, object]) -> str | None:
    return model_name(model_dict.get("model_name") or model_dict.get("model"))


def _message_chars(message: ChatMessage) -> int:
    return len(message.content or "")


def _query(query: str | QueryBundle) -> int:
    return len(query if isinstance(query, str) else query.query_str)


def _of_response(response: object) -> dict[str, object]:
    """Sizes of what an engine answered; a stream's are not known yet."""
    if isinstance(response, Response):
        return {"output_chars": len(response.response or ""), "streamed": False}
    return {"streamed": not isinstance(response, PydanticResponse)}


def _of_chat(response: ChatResponse | None) -> dict[str, object]:
    """Sizes, counts and names of a chat's answer."""
    if response is None:
        return {}
    calls = sum(isinstance(block, ToolCallBlock) for block in response.message.blocks)
    return {"output_chars": _message_chars(response.message), "tool_calls": calls, **_of_raw(response.raw)}


def _of_raw(raw: object) -> dict[str, object]:
    """Token counts, model and finish reason, of an answer as the API gave it: an object, or a mapping of objects."""
    body = _get(raw, "data") or raw
    usage = _get(body, "usage")
    choices = _get(body, "choices")
    choice = next(iter(choices), None) if isinstance(choices, Iterable) else None
    reason = FinishReason.of(_get(choice, "finish_reason"))
    if reason is FinishReason.CONTENT_FILTER:  # a guard's own words: no model said them
        return {"finish_reason": reason}
    return {
        "model_answered": model_name(_get(body, "model")),
        "finish_reason": reason,
        "input_tokens": _count(_get(usage, "prompt_tokens")),
        "output_tokens": _count(_get(usage, "completion_tokens")),
        "total_tokens": _count(_get(usage, "total_tokens")),
    }


def _get(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _count(said: object) -> int | None:
    return said if type(said) is int and said >= 0 else None
