"""What a guard or a key ring did, as metadata alone, and who is told.

An event cannot hold content: every field is a number, an enumeration, or a word checked against a pattern when the
event is made. Observers are called in the thread that emits, in the order they were added, so they must be quick
and must not block; whatever an observer raises is dropped and counted, for a log line never takes a request down.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol, get_args
from uuid import UUID

from guard_integrations.core import forms
from guard_integrations.core.findings import Action, Stage
from guard_integrations.core.queue import Item, QueuedSink
from guard_integrations.core.runs import current_id

__all__ = [
    "EVENT_FORMS",
    "EventKind",
    "GuardEvent",
    "Observer",
    "add_observer",
    "emit",
    "log_event",
    "observed",
    "remove_observer",
]

LOGGER = logging.getLogger("guard_integrations")


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
    RECORDS_DROPPED = "records-dropped"
    """A sink was slower than the work, or failed: `count` records and events were lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEvent:
    """One thing that happened. A field that does not apply is None, empty or zero.

    Args:
        kind: what happened.
        at: when, in UTC.
        run: the run it happened in, where a handler records runs.
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
        count: how many records and events were lost.

    Raises:
        ValueError: when a field does not have the form it must have; the message names the field, not the value.
    """

    kind: EventKind
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    run: UUID | None = field(default_factory=current_id)
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
    count: int | None = None

    def __post_init__(self) -> None:
        forms.check(self, _CHECKS)
        object.__setattr__(self, "rules", forms.frozen(self.rules))

    def as_dict(self) -> dict[str, object]:
        """The fields that apply, ready for JSON; times are ISO 8601."""
        return forms.told(self)


EVENT_FORMS: Final[Mapping[str, forms.Form]] = {
    "kind": forms.one_of(EventKind),
    "at": forms.WHEN,
    "run": forms.RUN,
    "stage": forms.one_of(get_args(Stage)),
    "rules": forms.RULE_COUNTS,
    "categories": forms.RULES,
    "action": forms.one_of(Action),
    "key": forms.KEY_LABEL,
    "retries": forms.COUNT.of("requests"),
    "status": forms.STATUS,
    "error": forms.CLASS_NAME,
    "duration": forms.SECONDS,
    "policy": forms.FINGERPRINT,
    "count": forms.COUNT.of("records and events"),
}
"""What each field may hold."""
_CHECKS: Final = tuple((name, form.holds) for name, form in EVENT_FORMS.items())


class Observer(Protocol):
    """Anything that wants to know: called with each event, must return at once."""

    def __call__(self, event: GuardEvent, /) -> object:
        """Takes note of one event."""


def log_event(event: GuardEvent) -> None:
    """The observer that is there from the start: one JSON object a line, to the logger `guard_integrations`.

    No handler is attached; whoever wants the lines configures logging. The lines are written by a thread of their own,
    so that a slow handler holds nothing up; `LOG.flush()` waits for them.
    """
    if LOGGER.isEnabledFor(logging.INFO):
        LOG(event)


def write_line(item: Item) -> None:
    """A record or an event as one line of the log."""
    LOGGER.info("%s", json.dumps(item.as_dict()))


LOG: Final = QueuedSink(write_line)
"""What all lines to the logger go through, of events and of records."""


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
