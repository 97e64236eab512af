"""A queue in front of sinks, so that no sink can hold up the work, or take it down, or eat the memory.

Whoever writes a record or an event hands it over and goes on; a thread of the queue's own feeds the sinks.
"""

import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from itertools import zip_longest
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias, runtime_checkable

from guard_integrations.core.forks import keep_through_forks

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard_integrations.core.events import GuardEvent
    from guard_integrations.core.records import RequestRecord

__all__ = ["Capturing", "Item", "QueuedSink", "Sink"]

Item: TypeAlias = "RequestRecord | GuardEvent"
"""What a sink is given."""

_BATCH: Final = 64
_PAUSE: Final = 0.02
"""Seconds between two looks of the thread at the queue, while there is work."""
_LOOKS: Final = 50
"""After so many looks at an empty queue, the thread sleeps until it is woken."""
_AT_EXIT: Final = 5.0
"""Seconds that a program which ends waits for its sinks."""


@runtime_checkable
class Capturing(Protocol):
    """A sink that needs something of the place where the item was written, which its own thread does not have."""

    def capture(self, item: Item) -> object:
        """Called where the item is written, so it must be quick and must not block."""

    def take(self, item: Item, captured: object) -> object:
        """Takes note of one item."""


Sink: TypeAlias = "Callable[[Any], object] | Capturing"
"""Takes note of one item: anything that can be called with one."""


@dataclass(frozen=True, slots=True)
class _Outlet:
    """A sink as the queue uses it."""

    sink: Sink
    take: "Callable[[Item, object], object]"
    capture: "Callable[[Item], object]"

    @classmethod
    def of(cls, sink: Sink) -> Self:
        if isinstance(sink, Capturing):
            return cls(sink, sink.take, sink.capture)
        return cls(sink, lambda item, _: sink(item), _capture_nothing)


def _capture_nothing(_: Item) -> None:
    pass


@dataclass(slots=True, kw_only=True)
class _State:
    """All that the thread knows: not the queue itself, so that a queue nobody holds any more can end."""

    outlets: tuple[_Outlet, ...]
    capacity: int
    lock: threading.RLock = field(default_factory=threading.RLock)  # one that a signal or a finaliser may enter again
    items: deque[tuple[Item, tuple[object, ...]]] = field(default_factory=deque)
    in_work: int = 0
    dropped: int = 0
    told: int = 0
    closed: bool = False
    sleeps: bool = False
    thread: threading.Thread | None = None
    filled: threading.Condition = field(init=False)
    emptied: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        self.filled = threading.Condition(self.lock)
        self.emptied = threading.Condition(self.lock)


class QueuedSink:
    """Hands records and events on to sinks, in a thread of its own. Calling it takes microseconds and never raises.

    When `capacity` items are waiting, or when a sink raises, an item is lost; `dropped` counts them, and as soon as
    the sinks keep up again they are told, by an event of the kind `records-dropped`. What waits when the program ends is
    handed on for up to five seconds. A child of a fork begins with an empty queue: what waits is the parent's.

    Args:
        sinks: each is called with every item, in order.
        capacity: how many items may wait.

    Example:
        ```python
        from guard_integrations.langchain import MetadataCallbackHandler
        from guard_integrations.telemetry import JsonlSink, QueuedSink

        with QueuedSink(JsonlSink("guard.jsonl")) as sink:
            handler = MetadataCallbackHandler(sink)
        ```
    """

    def __init__(self, *sinks: Sink, capacity: int = 10_000) -> None:
        if not sinks or capacity < 1:
            raise ValueError("a queue needs a sink, and room for at least one record")
        self._state = _State(outlets=tuple(map(_Outlet.of, sinks)), capacity=capacity)
        self._captures = any(isinstance(sink, Capturing) for sink in sinks)
        self._finalizer = weakref.finalize(self, _stop, self._state, _AT_EXIT)
        keep_through_forks(self)

    def __call__(self, item: Item) -> None:
        """Takes an item, or counts it as lost."""
        captured = self._capture(item) if self._captures else ()
        state = self._state
        with state.lock:
            if state.closed or len(state.items) + state.in_work >= state.capacity:
                state.dropped += 1
                return
            state.items.append((item, captured))
            if state.thread is None:
                _start(state)
            if state.sleeps:
                state.filled.notify()

    def _capture(self, item: Item) -> tuple[object, ...]:
        found: list[object] = []
        for outlet in self._state.outlets:
            try:
                found.append(outlet.capture(item))
            except Exception:  # noqa: BLE001 - a log never takes a request down; the sink sees that there is nothing
                found.append(None)
        return tuple(found)

    @property
    def dropped(self) -> int:
        """How many items were lost so far: for want of room, because a sink raised, or after `close`."""
        return self._state.dropped

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until all that was handed over has reached the sinks.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether it has.
        """
        return _drain(self._state, timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Flushes, closes those sinks that can be closed, and takes nothing more.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether everything has reached the sinks.
        """
        self._finalizer.detach()
        return _stop(self._state, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"QueuedSink(waiting={len(self._state.items)}, dropped={self.dropped})"

    def after_fork(self) -> None:
        """Begins anew in the child: the thread and what waited for it are the parent's."""
        self._finalizer.detach()
        self._state = _State(outlets=self._state.outlets, capacity=self._state.capacity, closed=self._state.closed)
        self._finalizer = weakref.finalize(self, _stop, self._state, _AT_EXIT)


def _start(state: _State) -> None:
    thread = threading.Thread(target=_work, args=(state,), name="guard-telemetry", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread can be started, as when the interpreter ends: what waits is counted by `_stop`
        return
    state.thread = thread


def _work(state: _State) -> None:
    while True:
        with state.lock:
            _wait(state)
            if not state.items:
                return
            batch = [state.items.popleft() for _ in range(min(_BATCH, len(state.items)))]
            state.in_work = len(batch)
        for item, captured in batch:
            lost = _hand_on(state.outlets, item, captured)
            with state.lock:
                state.dropped += lost
                state.in_work -= 1
        _tell(state)
        with state.lock:
            if not state.items:
                state.emptied.notify_all()


def _wait(state: _State) -> None:
    """Until there is something to do. To be woken costs the writer more than all the rest: while there is work, look."""
    looks = 0
    while not state.items and not state.closed:
        state.sleeps = looks >= _LOOKS
        state.filled.wait(None if state.sleeps else _PAUSE)
        looks += 1
    state.sleeps = False


def _hand_on(outlets: tuple[_Outlet, ...], item: Item, captured: tuple[object, ...]) -> int:
    """How many sinks have lost the item by raising."""
    lost = 0
    for outlet, found in zip_longest(outlets, captured):
        try:
            outlet.take(item, found)
        except Exception:  # noqa: BLE001 - a sink never takes anything down
            lost += 1
    return lost


def _tell(state: _State) -> None:
    """Tells the sinks what was lost, so that the gap shows where the rest stands."""
    from guard_integrations.core.events import EventKind, GuardEvent  # noqa: PLC0415 - events are logged through a queue

    with state.lock:
        lost, state.told = state.dropped - state.told, state.dropped
    if lost:
        _hand_on(state.outlets, GuardEvent(kind=EventKind.RECORDS_DROPPED, count=lost), ())


def _drain(state: _State, timeout: float) -> bool:
    until = monotonic() + timeout
    with state.lock:
        state.filled.notify()
        while state.items or state.in_work:
            if (left := until - monotonic()) <= 0:
                return False
            state.emptied.wait(min(left, 0.05))
    return True


def _stop(state: _State, timeout: float) -> bool:
    with state.lock:
        thread, was_closed, state.closed = state.thread, state.closed, True
        state.filled.notify_all()
    if was_closed:
        return True
    if thread is not None and thread is not threading.current_thread():
        thread.join(timeout)
    with state.lock:
        left = len(state.items) + state.in_work
        state.dropped += left
        state.items.clear()
    _tell(state)
    for outlet in state.outlets:
        close = getattr(outlet.sink, "close", None)
        if callable(close):
            try:
                close()
            except Exception:  # noqa: BLE001 - as above
                state.dropped += 1
    return not left
