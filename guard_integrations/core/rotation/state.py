"""What a ring gives out: a lease for a caller, a status for people, a rest for other processes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypedDict

from pydantic import SecretStr

from guard_integrations.core.rotation.keys import Unpicklable

__all__ = ["KeyState", "KeyStatus", "Lease", "Rest", "RingSettings", "Shared", "SharedState"]


class KeyState(StrEnum):
    """Where a key stands."""

    HEALTHY = "healthy"
    """May be used."""
    COOLING = "cooling"
    """Failed or throttled; not used before its time."""
    PROBING = "probing"
    """Failed, and its time is over: the next call that takes it decides."""
    DEAD = "dead"
    """Failed for so long that it counts as revoked; probed again each `max_cooldown`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(Unpicklable):
    """Permission to use one key for one attempt.

    Args:
        secret: the key.
        label: its name in logs and events, such as "key-1".
        epoch: what the ring knew when it gave this lease, so that a late report does not count twice.
    """

    secret: SecretStr
    label: str
    epoch: tuple[int, int] = field(default=(0, 0), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """What may be shown of a key.

    Args:
        label: its name, such as "key-1".
        state: where it stands.
        ready_in: seconds until it may be used; 0 when it may be now.
        failures: authentication failures in a row.
        current: whether it is the one in use.
        retired: whether its source no longer gives it.
    """

    label: str
    state: KeyState
    ready_in: float
    failures: int
    current: bool
    retired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """That a key or a workspace rests: what processes tell each other.

    Args:
        subject: its fingerprint.
        seconds: how long from now.
        times: how often in a row.
        dead: whether the key counts as dead.
    """

    subject: str
    seconds: float
    times: int
    dead: bool = False


class SharedState(Protocol):
    """Where several processes keep what they learned."""

    def attach(self, ring: "Shared") -> None:
        """Begins to tell `ring` what others learn. Must not block, and must not raise when nobody can be reached."""

    def tell(self, rest: Rest) -> None:
        """Takes note of what this process learned. Must not block."""


class Shared(Protocol):
    """The side of a ring that a shared state sees."""

    def rests(self) -> tuple[Rest, ...]:
        """Every key and workspace; `seconds` is 0 for those that do not rest."""

    def learn(self, rests: tuple[Rest, ...]) -> None:
        """Takes over what others learned."""


class RingSettings(TypedDict, total=False):
    """The keyword arguments of `KeyRing`, for the constructors that take keys from elsewhere."""

    rotation_interval: float
    max_wait: float
    cooldown: float
    max_cooldown: float
    dead_after: float
    overlap: float
    shared: SharedState | None
    clock: Callable[[], float]
