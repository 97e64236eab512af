"""What a guard or a key ring did, as metadata alone, and who is told.

An event cannot hold content: every field is a number, an enumeration, or a word checked against a pattern when the
event is made. Observers are called in the thread that emits, in the order they were added, so they must be quick
and must not block; whatever an observer raises is dropped and counted, for a log line never takes a request down.
"""

import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, get_args

from guard_integrations.core.findings import Action, Stage

__all__ = ["EventKind", "GuardEvent", "Observer", "add_observer", "emit", "log_event", "observed", "remove_observer"]

LOGGER = logging.getLogger("guard_integrations")

_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_KEY_LABEL = re.compile(r"key-[0-9]{1,6}")
_CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FINGERPRINT = re.compile(r"[0-9a-f]{16,64}")


class EventKind(StrEnum):
    """What happened."""

    SCANNED = "scanned"
    """A guard looked at a text and let it through, changed or not."""
    BLOCKED = "blocked"
    """A guard refused a text."""
    MODERATED = "moderated"
    """Moderation gave a verdict."""
    UNAVAILABLE = "unavailable"
    """A guard could not decide, and nothing was let through."""
    ALLOWED = "allowed"
    """A guard could not decide, and `on_error="allow"` let the text through."""
    RETRIED = "retried"
    """A request was sent again with `key`, before the first byte of an answer; `status` is what the last one got."""
    KEY_ROTATED = "key-rotated"
    """Another key became the current one."""
    KEY_COOLED = "key-cooled"
    """A key was set aside for `duration` seconds."""
    KEY_DIED = "key-died"
    """A key failed for so long that it counts as revoked."""
    KEY_HEALED = "key-healed"
    """A key that had failed works again."""
    KEYS_EXHAUSTED = "keys-exhausted"
    """No key could be used within the longest wait."""
    KEYS_REFRESHED = "keys-refreshed"
    """A source gave another set of keys."""
    SOURCE_FAILED = "source-failed"
    """A source of keys could not be read; the keys it gave before stay in use."""
    SHARED_STATE_LOST = "shared-state-lost"
    """The shared state cannot be reached: this process goes on alone."""
    SHARED_STATE_BACK = "shared-state-back"
    """The shared state is reached again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEvent:
    """One thing that happened. A field that does not apply is None, empty or zero.

    Args:
        kind: what happened.
        at: when, in UTC.
        stage: where the text stood.
        rules: how many findings each rule had, by rule id.
        categories: categories over their threshold, rules' or moderation's.
        action: what was done about the findings, the gravest one.
        key: label of the API key, such as "key-1".
        retries: how many times the request had been sent before.
        status: HTTP status.
        error: class name of the error.
        duration: seconds it took, or will take.
        policy: fingerprint of the policy.

    Raises:
        ValueError: when a field does not have the form it must have; the message names the field, not the value.
    """

    kind: EventKind
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    stage: Stage | None = None
    rules: Mapping[str, int] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    action: Action | None = None
    key: str | None = None
    retries: int = 0
    status: int | None = None
    error: str | None = None
    duration: float | None = None
    policy: str | None = None

    def __post_init__(self) -> None:
        checks = (
            ("kind", isinstance(self.kind, EventKind)),
            ("at", getattr(self.at, "tzinfo", None) is UTC),
            ("stage", self.stage is None or self.stage in get_args(Stage)),
            ("rules", _are_counts(self.rules)),
            ("categories", type(self.categories) is tuple and all(_is(_ID, name) for name in self.categories)),
            ("action", self.action is None or isinstance(self.action, Action)),
            ("key", self.key is None or _is(_KEY_LABEL, self.key)),
            ("retries", _is_count(self.retries)),
            ("status", self.status is None or _is_count(self.status)),
            ("error", self.error is None or _is(_CLASS_NAME, self.error)),
            ("duration", self.duration is None or _is_seconds(self.duration)),
            ("policy", self.policy is None or _is(_FINGERPRINT, self.policy)),
        )
        for name, holds in checks:
            if not holds:
                raise ValueError(f"GuardEvent.{name} does not have the form that keeps content out of events.")
        object.__setattr__(self, "rules", MappingProxyType(dict(self.rules)))

    def as_dict(self) -> dict[str, object]:
        """The fields that apply, ready for JSON; times are ISO 8601."""
        said: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None or (isinstance(value, tuple | Mapping) and not value):
                continue
            if isinstance(value, datetime):
                value = value.isoformat(timespec="milliseconds")
            said[each.name] = dict(value) if isinstance(value, Mapping) else value
        return said


class Observer(Protocol):
    """Anything that wants to know: called with each event, must return at once."""

    def __call__(self, event: GuardEvent, /) -> object:
        """Takes note of one event."""


def log_event(event: GuardEvent) -> None:
    """The observer that is there from the start: one JSON object a line, to the logger `guard_integrations`.

    No handler is attached; whoever wants the lines configures logging.
    """
    LOGGER.info("%s", json.dumps(event.as_dict()))


_observers: tuple[Observer, ...] = (log_event,)
_dropped = 0


def add_observer(observer: Observer) -> None:
    """Has `observer` called with every event from now on."""
    global _observers  # noqa: PLW0603 - one registry for the process; a tuple is swapped whole, so no lock is needed
    _observers = (*_observers, observer)


def remove_observer(observer: Observer) -> None:
    """Takes `observer` out again; one that is not there is not an error."""
    global _observers  # noqa: PLW0603 - as above
    _observers = tuple(each for each in _observers if each != observer)


def observed() -> bool:
    """Whether anybody listens: lets a busy path skip making an event."""
    return _observers != (log_event,) or LOGGER.isEnabledFor(logging.INFO)


def emit(event: GuardEvent) -> None:
    """Tells every observer."""
    global _dropped  # noqa: PLW0603 - a count for the process
    for observer in _observers:
        if observer is log_event and not LOGGER.isEnabledFor(logging.INFO):
            continue
        try:
            observer(event)
        except Exception:  # noqa: BLE001 - an observer never takes a request down
            _dropped += 1


def dropped() -> int:
    """How many events observers have lost by raising, in this process."""
    return _dropped


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_seconds(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]


def _are_counts(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is(_ID, rule) and _is_count(count) for rule, count in value.items())


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
