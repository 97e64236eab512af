"""What one piece of work in a framework was: a model call, a tool call, a retrieval, a chain. Metadata alone.

A record cannot hold content: every field is a number, a truth value, an enumeration, an id, a time, or a name
checked against a pattern when the record is made. Both frameworks write the same record for the same work.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias
from uuid import UUID

from guard_integrations.core import forms
from guard_integrations.core.events import LOG, LOGGER
from guard_integrations.core.findings import Action
from guard_integrations.core.queue import QueuedSink

__all__ = [
    "RECORD_FORMS",
    "FinishReason",
    "Framework",
    "Operation",
    "RecordSink",
    "RequestRecord",
    "log_record",
    "queued",
]


class Framework(StrEnum):
    """Whose work it was."""

    LANGCHAIN = "langchain"
    LLAMA_INDEX = "llama-index"


class Operation(StrEnum):
    """What kind of work it was."""

    CHAT = "chat"
    """A model was asked."""
    CHAIN = "chain"
    """Stages ran: a chain, a graph, a workflow, a guard."""
    AGENT = "agent"
    TOOL = "tool"
    RETRIEVAL = "retrieval"
    EMBEDDING = "embedding"
    QUERY = "query"
    """A query engine or a chat engine answered."""


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    MODEL_LENGTH = "model_length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    """A guard replaced the answer."""
    ERROR = "error"
    OTHER = "other"

    @classmethod
    def of(cls, said: object) -> "FinishReason | None":
        """The reason a model gave, as one of these; None when it gave none."""
        if said is None:
            return None
        return cls(said) if isinstance(said, str) and said in cls._value2member_map_ else cls.OTHER


_EMPTY: Final[Mapping[str, Mapping[Action, int]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One piece of work. A field that does not apply is None or empty.

    Args:
        at: when it began, in UTC.
        run: the framework's id of this run.
        parent: the run that this one is part of.
        framework: whose work it was.
        operation: what kind of work it was.
        model: the model that was asked.
        model_answered: the model that said it answered.
        messages: how many messages, or texts to embed, went in.
        input_chars: characters of text that went in.
        output_chars: characters of text that came out.
        input_tokens: tokens that went in, as the API counted them.
        output_tokens: tokens of the answer, as the API counted them.
        total_tokens: both together, as the API counted them.
        streamed: whether the answer came in pieces.
        first_token: time from the beginning to the first piece with something in it.
        duration: time from beginning to end.
        chunks: how many pieces with something in them.
        finish_reason: why the model stopped.
        tool_calls: how many tools the model asked for.
        retries: how many times the request was sent again.
        key: label of the API key, such as "key-1".
        status: HTTP status of the last answer, where it is known.
        error: class name of the error.
        findings: how often each rule hit, by rule id and by what was done about it.
        moderation: moderation categories over their threshold.
        guardrails: categories of the server's guardrail that were violated.
        policy: fingerprint of the policy.

    Raises:
        ValueError: when a field does not have the form it must have; the message names the field, not the value.
    """

    framework: Framework
    operation: Operation
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    run: UUID | None = None
    parent: UUID | None = None
    model: str | None = None
    model_answered: str | None = None
    messages: int | None = None
    input_chars: int | None = None
    output_chars: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    streamed: bool | None = None
    first_token: float | None = None
    duration: float | None = None
    chunks: int | None = None
    finish_reason: FinishReason | None = None
    tool_calls: int | None = None
    retries: int | None = None
    key: str | None = None
    status: int | None = None
    error: str | None = None
    findings: Mapping[str, Mapping[Action, int]] = field(default_factory=lambda: _EMPTY)
    moderation: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()
    policy: str | None = None

    def __post_init__(self) -> None:
        forms.check(self, _CHECKS)
        object.__setattr__(self, "findings", forms.frozen(self.findings) if self.findings else _EMPTY)

    def as_dict(self) -> dict[str, object]:
        """The fields that apply, ready for JSON: times in ISO 8601, ids as they are written, durations in seconds."""
        return forms.told(self)


RECORD_FORMS: Final[Mapping[str, forms.Form]] = {
    "framework": forms.one_of(Framework),
    "operation": forms.one_of(Operation),
    "at": forms.WHEN,
    "run": forms.RUN,
    "parent": forms.RUN,
    "model": forms.MODEL,
    "model_answered": forms.MODEL,
    "messages": forms.COUNT.of("messages"),
    "input_chars": forms.COUNT.of("characters"),
    "output_chars": forms.COUNT.of("characters"),
    "input_tokens": forms.COUNT.of("tokens"),
    "output_tokens": forms.COUNT.of("tokens"),
    "total_tokens": forms.COUNT.of("tokens"),
    "streamed": forms.FLAG,
    "first_token": forms.SECONDS,
    "duration": forms.SECONDS,
    "chunks": forms.COUNT.of("chunks"),
    "finish_reason": forms.one_of(FinishReason),
    "tool_calls": forms.COUNT.of("tool calls"),
    "retries": forms.COUNT.of("requests"),
    "key": forms.KEY_LABEL,
    "status": forms.STATUS,
    "error": forms.CLASS_NAME,
    "findings": forms.FINDINGS,
    "moderation": forms.MODERATION,
    "guardrails": forms.MODERATION,
    "policy": forms.FINGERPRINT,
}
"""What each field may hold."""
_CHECKS: Final = tuple((name, form.holds) for name, form in RECORD_FORMS.items())


RecordSink: TypeAlias = Callable[[RequestRecord], object]
"""Takes note of one record."""


def log_record(record: RequestRecord) -> None:
    """The sink that serves where none is given: one JSON object a line, to the logger `guard_integrations`.

    No handler is attached; whoever wants the lines configures logging.
    """
    if LOGGER.isEnabledFor(logging.INFO):
        LOG(record)


def queued(sink: RecordSink) -> RecordSink:
    """A sink that holds nothing up: this one, behind a queue of its own unless it has one."""
    return sink if sink is log_record or isinstance(sink, QueuedSink) else QueuedSink(sink)


def flushed(sink: RecordSink, timeout: float) -> bool:
    """Whether a sink has taken every record; waits for it, `timeout` seconds at most."""
    queue = LOG if sink is log_record else sink
    return queue.flush(timeout) if isinstance(queue, QueuedSink) else True
