"""The sums of a log. Holds counts, clocks and names that have been validated; a line that has not is only counted."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil

from guard_integrations.core.events import EventKind, GuardEvent
from guard_integrations.core.findings import Action
from guard_integrations.core.records import Operation, RequestRecord
from guard_integrations.telemetry.lines import parse_line

__all__ = ["Moment", "Tally", "percentile"]

_LAST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One model call, for the plot.

    Args:
        at: when it began, seconds since 1970.
        duration: in seconds.
        tokens: of input and output.
        failed: whether it ended in an error or a refusal.
    """

    at: float
    duration: float
    tokens: int
    failed: bool


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a log has said so far.

    Attributes:
        lines: how many lines were read, broken ones too.
        broken: how many of them were neither a record nor an event.
        first: when the earliest record began.
        last: when the latest did.
        operations: records by operation.
        models: model calls by the model asked.
        tokens: input and output tokens of model calls.
        durations: of model calls, in seconds.
        first_tokens: seconds to their first piece.
        failures: records by error and HTTP status.
        failed: model calls that ended in an error.
        blocked: model calls that a guard refused.
        rules: findings by rule id and action, of records; of events where there are no records.
        moderation: model calls and stages by moderation category.
        keys: model calls by key label.
        retries: requests sent again, by key label.
        events: by kind.
        dropped: lines that sinks have lost.
        moments: the model calls in the order of the log.
        recent: the last model calls.
    """

    lines: int = 0
    broken: int = 0
    first: datetime | None = None
    last: datetime | None = None
    operations: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    durations: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    failures: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    failed: int = 0
    blocked: int = 0
    moderation: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    moments: list[Moment] = field(default_factory=list)
    recent: list[RequestRecord] = field(default_factory=list)
    _of_records: Counter[tuple[str, Action]] = field(default_factory=Counter)
    _of_events: Counter[tuple[str, Action]] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """How many times a model was asked."""
        return self.operations[Operation.CHAT]

    @property
    def rules(self) -> Counter[tuple[str, Action]]:
        """Findings by rule and action."""
        # What happened in a recorded run stands in its record as well as in events.
        return self._of_records if self.operations else self._of_events

    def add(self, line: str) -> None:
        """Counts one line; an empty one is none."""
        if not line.strip():
            return
        self.lines += 1
        try:
            item = parse_line(line)
        except ValueError:
            self.broken += 1
            return
        if isinstance(item, GuardEvent):
            self._event(item)
        else:
            self._record(item)

    def _event(self, event: GuardEvent) -> None:
        self.events[event.kind.value] += 1
        if event.kind is EventKind.RECORDS_DROPPED:
            self.dropped += event.count or 0
        if event.kind in (EventKind.SCANNED, EventKind.BLOCKED) and event.action is not None:
            for rule, count in event.rules.items():
                self._of_events[rule, event.action] += count

    def _record(self, record: RequestRecord) -> None:
        self.first = record.at if self.first is None else min(self.first, record.at)
        self.last = record.at if self.last is None else max(self.last, record.at)
        self.operations[record.operation.value] += 1
        for rule, counts in record.findings.items():
            for action, count in counts.items():
                self._of_records[rule, action] += count
        self.moderation.update(record.moderation)
        if record.error is not None:
            self.failures[record.error, record.status] += 1
        if record.operation is Operation.CHAT:
            self._call(record)

    def _call(self, record: RequestRecord) -> None:
        self.models[record.model or "unknown"] += 1
        for name, count in (("input", record.input_tokens), ("output", record.output_tokens)):
            self.tokens[name] += count or 0
        blocks = record.error == "GuardBlocked" or record.finish_reason == "content_filter"
        self.blocked += blocks
        self.failed += record.error is not None and not blocks
        if record.duration is not None:
            self.durations.append(record.duration)
        if record.first_token is not None:
            self.first_tokens.append(record.first_token)
        if record.key is not None:
            self.keys[record.key] += 1
            self.retries[record.key] += record.retries or 0
        tokens = (record.input_tokens or 0) + (record.output_tokens or 0)
        failed = record.error is not None or blocks
        self.moments.append(
            Moment(at=record.at.timestamp(), duration=record.duration or 0.0, tokens=tokens, failed=failed)
        )
        self.recent = [*self.recent, record][-_LAST:]

    def as_dict(self) -> dict[str, object]:
        """Everything, ready for JSON; durations in seconds."""
        rules: dict[str, dict[str, int]] = {}
        for (rule, action), count in sorted(self.rules.items()):
            rules.setdefault(rule, {})[action.value] = count
        return {
            "lines": self.lines,
            "broken": self.broken,
            "dropped": self.dropped,
            "first": self.first.isoformat() if self.first else None,
            "last": self.last.isoformat() if self.last else None,
            "requests": self.requests,
            "failed": self.failed,
            "blocked": self.blocked,
            "operations": dict(self.operations),
            "models": dict(self.models),
            "tokens": dict(self.tokens),
            "duration": _percentiles(self.durations),
            "first_token": _percentiles(self.first_tokens),
            "rules": rules,
            "moderation": dict(self.moderation),
            "keys": {
                key: {"requests": count, "retries": self.retries[key]} for key, count in sorted(self.keys.items())
            },
            "errors": [
                {"error": error, "status": status, "count": count}
                for (error, status), count in self.failures.most_common()
            ],
            "events": dict(self.events),
        }


def percentile(values: list[float], share: float) -> float | None:
    """The smallest value that so large a share of all is not above; None of nothing. Puts the values in order."""
    values.sort()
    return values[max(0, ceil(share * len(values)) - 1)] if values else None


def _percentiles(values: list[float]) -> dict[str, float | None]:
    return {f"p{round(share * 100)}": percentile(values, share) for share in (0.5, 0.95, 0.99)}
