"""A circuit breaker: after failures in a row nobody waits for a service that does not answer. Pure.

Source: M. Nygard, Release It!, second edition, chapter 5.
"""

from collections.abc import Callable
from enum import Enum, auto

__all__ = ["Admission", "Breaker", "Outcome"]


class Admission(Enum):
    """How a call was let through."""

    USUAL = auto()
    TRIAL = auto()
    """The one call that finds out whether the service is back."""


class Outcome(Enum):
    """What a call says about the service."""

    ANSWERED = auto()
    FAILED = auto()
    NOTHING = auto()
    """It was cancelled, or failed for a reason of our own."""


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

    @property
    def open(self) -> bool:
        """Whether the service counts as away."""
        return self._opened_at is not None

    def admit(self) -> Admission | None:
        """How a call may be made now, or None for not at all. Every admitted call is reported to `ended`, once."""
        if self._opened_at is None:
            return Admission.USUAL
        if self._trying or self._clock() - self._opened_at < self._recovery:
            return None
        self._trying = True
        return Admission.TRIAL

    def ended(self, admission: Admission, outcome: Outcome) -> None:
        """Notes the outcome of a call. A late one, from before it opened, closes it only by an answer."""
        if admission is Admission.TRIAL:
            self._trying = False
        if outcome is Outcome.ANSWERED:
            self._failed = 0
            self._opened_at = None
        elif outcome is Outcome.FAILED and (self._opened_at is None or admission is Admission.TRIAL):
            self._failed += 1
            if self._failed >= self._failures:
                self._opened_at = self._clock()
