"""A circuit breaker: after failures in a row nobody waits for a service that does not answer. Pure.

Source: M. Nygard, Release It!, second edition, chapter 5.
"""

from collections.abc import Callable

__all__ = ["Breaker"]


class Breaker:
    """Closed, it lets every call through; open, none; half open, one, whose outcome closes or opens it again.

    Args:
        failures: failures in a row that open it.
        recovery: seconds until one call may try again.
        clock: seconds, monotonic.
    """

    __slots__ = ("_clock", "_failed", "_failures", "_opened_at", "_recovery", "_trying")

    def __init__(self, *, failures: int, recovery: float, clock: Callable[[], float]) -> None:
        self._failures = failures
        self._recovery = recovery
        self._clock = clock
        self._failed = 0
        self._opened_at: float | None = None
        self._trying = False

    def admit(self) -> bool:
        """Whether a call may be made now. Every admitted call ends in `succeeded`, `failed` or `abandoned`."""
        if self._opened_at is None:
            return True
        if self._trying or self._clock() - self._opened_at < self._recovery:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The service answered."""
        self._failed = 0
        self._opened_at = None
        self._trying = False

    def failed(self) -> None:
        """The service did not answer, or answered nonsense."""
        self._failed += 1
        if self._trying or self._failed >= self._failures:
            self._opened_at = self._clock()
        self._trying = False

    def abandoned(self) -> None:
        """The call was cancelled, or failed in a way that says nothing about the service."""
        self._trying = False
