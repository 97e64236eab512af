"""What one piece of work in a framework was: a model call, a tool call, a retrieval, a chain. Metadata alone.

A record cannot hold content: every field is a number, a truth value, an enumeration, an id, a time, or a name
checked against a pattern when the record is made. Both frameworks write the same record for the same work.
"""

import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from guard_integrations.core.findings import Action

__all__ = [
    "FinishReason",
    "Framework",
    "Operation",
    "RecordSink",
    "RequestRecord",
    "class_name",
    "log_record",
    "model_name",
]

_LOGGER = logging.getLogger("guard_integrations")
_RULE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_MODEL: Final = re.compile(r"(?:ft:)?[a-z0-9][a-z0-9._:-]{0,95}")
_KEY_LABEL: Final = re.compile(r"key-[0-9]{1,6}")
_CLASS_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16,64}")


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
        messages: how many messages went in.
        input_chars: characters of text that went in.
        output_chars: characters of text that came out.
        input_tokens: tokens, as the API counted them.
        output_tokens: as above.
        total_tokens: as above.
        streamed: whether the answer came in pieces.
        first_token: seconds to the first piece of it.
        duration: seconds from beginning to end.
        chunks: how many pieces.
        finish_reason: why the model stopped.
        tool_calls: how many tools the model asked for.
        retries: how many times the request was sent again.
        key: label of the API key, such as "key-1".
        status: HTTP status of a failure.
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
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and not _HOLDS[each.name](value):
                raise ValueError(f"RequestRecord.{each.name} does not have the form that keeps content out of records.")
        if self.findings is not _EMPTY:
            frozen = {rule: MappingProxyType(dict(counts)) for rule, counts in self.findings.items()}
            object.__setattr__(self, "findings", MappingProxyType(frozen))

    def as_dict(self) -> dict[str, object]:
        """The fields that apply, ready for JSON: times in ISO 8601, ids as they are written, durations in seconds."""
        said: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None or value in ((), {}):
                continue
            if isinstance(value, datetime):
                value = value.isoformat(timespec="milliseconds")
            elif isinstance(value, UUID):
                value = str(value)
            elif isinstance(value, float):
                value = round(value, 6)
            elif isinstance(value, Mapping):
                value = {rule: dict(counts) for rule, counts in value.items()}
            elif isinstance(value, tuple):
                value = list(value)
            said[each.name] = value
        return said


RecordSink = Callable[[RequestRecord], object]
"""Takes note of one record, at once: it is called where the work is done."""


def log_record(record: RequestRecord) -> None:
    """The sink that serves where none is given: one JSON object a line, to the logger `guard_integrations`.

    No handler is attached; whoever wants the lines configures logging.
    """
    if _LOGGER.isEnabledFor(logging.INFO):
        _LOGGER.info("%s", json.dumps(record.as_dict()))


def model_name(said: object) -> str | None:
    """A model's name as a record may hold it; None for anything that is not one."""
    return said if _is(_MODEL, said) else None  # type: ignore[return-value] # _is has checked that it is a string


def class_name(error: BaseException) -> str:
    """An error's class as a record may hold it; "Exception" where somebody wrote free text into the name."""
    name = type(error).__name__
    return name if _CLASS_NAME.fullmatch(name) else "Exception"


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_seconds(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0  # type: ignore[arg-type,operator]


def _are_names(value: object) -> bool:
    return type(value) is tuple and all(_is(_RULE, name) for name in value)


def _are_findings(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _is(_RULE, rule)
        and isinstance(counts, Mapping)
        and all(isinstance(action, Action) and _is_count(count) for action, count in counts.items())
        for rule, counts in value.items()
    )


_HOLDS: Final[Mapping[str, Callable[[object], bool]]] = {
    "framework": lambda value: isinstance(value, Framework),
    "operation": lambda value: isinstance(value, Operation),
    "at": lambda value: isinstance(value, datetime) and value.tzinfo is UTC,
    "run": lambda value: type(value) is UUID,
    "parent": lambda value: type(value) is UUID,
    "model": lambda value: _is(_MODEL, value),
    "model_answered": lambda value: _is(_MODEL, value),
    **dict.fromkeys(
        (
            "messages", "input_chars", "output_chars", "input_tokens", "output_tokens", "total_tokens",
            "chunks", "tool_calls", "retries", "status",
        ),
        _is_count,
    ),
    "streamed": lambda value: isinstance(value, bool),
    "first_token": _is_seconds,
    "duration": _is_seconds,
    "finish_reason": lambda value: isinstance(value, FinishReason),
    "key": lambda value: _is(_KEY_LABEL, value),
    "error": lambda value: _is(_CLASS_NAME, value),
    "findings": _are_findings,
    "moderation": _are_names,
    "guardrails": _are_names,
    "policy": lambda value: _is(_FINGERPRINT, value),
}  # fmt: skip
