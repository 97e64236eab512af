"""Asks a source of keys again: in the background when its keys are old, and at once when all of them fail.

There is no thread that lives on: whoever needs a refresh starts one, and everybody else shares it. So an idle process
asks nobody, and a forked one needs no care.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from guard_integrations.core.events import EventKind, GuardEvent, emit
from guard_integrations.core.rotation.keys import Unpicklable

if TYPE_CHECKING:
    from guard_integrations.core.rotation.ring import KeyRing
    from guard_integrations.core.rotation.sources import KeySource

__all__ = ["Refresher"]

LEAST_INTERVAL = 1.0
"""Seconds: a source is not asked more often than this, however many calls fail."""


class Refresher(Unpicklable):
    """Brings a ring the keys that its source gives.

    Args:
        source: whom to ask.
        ring: where its keys go.
        clock: seconds that never go back.
    """

    def __init__(self, source: "KeySource", ring: "KeyRing", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._ring = ring
        self._clock = clock
        self._lock = threading.Lock()
        self._flight: Future[bool] | None = None
        self._asked_at = clock()
        self._pid = os.getpid()
        self._failing = False

    def touch(self) -> None:
        """Starts a refresh if the keys are old. Never blocks."""
        if self._clock() - self._asked_at >= self._source.interval:
            self.refresh()

    def refresh(self) -> "Future[bool] | None":
        """A refresh under way, a new one if need be; its result says whether the keys changed. None: asked just now."""
        with self._lock_of_this_process():
            if self._flight is not None and not self._flight.done():
                return self._flight
            if self._clock() - self._asked_at < LEAST_INTERVAL:
                return None
            self._asked_at = self._clock()
            self._flight = Future()
            threading.Thread(target=self._run, args=(self._flight,), name="key-refresh", daemon=True).start()
            return self._flight

    def _lock_of_this_process(self) -> threading.Lock:
        if self._pid != os.getpid():
            self._pid, self._lock, self._flight = os.getpid(), threading.Lock(), None
        return self._lock

    def _run(self, flight: "Future[bool]") -> None:
        changed, failure = False, ""
        try:
            changed = self._ring.replace(self._source.fetch())
        except Exception as error:  # noqa: BLE001 - a source may be anybody's; the keys it gave before stay in use
            failure = type(error).__name__
        if failure and not self._failing:
            emit(GuardEvent(kind=EventKind.SOURCE_FAILED, error=failure))
        self._failing = bool(failure)
        flight.set_result(changed)
