"""What a ring knows: about one key, about one workspace, and what of it may be shown or shared."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from math import inf
from typing import Protocol, TypedDict

from pydantic import SecretStr

from guard_integrations.core.rotation.keys import ApiKey, Unpicklable

__all__ = ["PREFERRED", "Key", "KeyState", "KeyStatus", "Lease", "Rest", "RingSettings", "SharedState", "Workspace"]

PREFERRED = -1
"""The rank of the key that a call wants to stay with."""


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


@dataclass(slots=True, kw_only=True, eq=False)
class Workspace:
    """The rate limit that keys of one workspace share."""

    fingerprint: str
    until: float = -inf
    strikes: int = 0
    epoch: int = 0

    def rest(self, now: float) -> Rest:
        """What others may know of it."""
        return Rest(subject=self.fingerprint, seconds=max(0.0, self.until - now), times=self.strikes)


@dataclass(slots=True, kw_only=True, eq=False)
class Key:
    """One key: `until` bars it, `failures` in a row make it doubtful, `epoch` counts them for good."""

    secret: SecretStr
    label: str
    fingerprint: str
    workspace: Workspace
    until: float = -inf
    failures: int = 0
    first_failure: float = inf
    dead: bool = False
    epoch: int = 0
    probe_until: float = -inf
    retires_at: float = inf

    def ready_at(self) -> float:
        """When the key and its workspace have rested."""
        return max(self.until, self.workspace.until)

    def state(self, now: float) -> KeyState:
        """Where it stands."""
        if self.ready_at() > now:
            return KeyState.DEAD if self.dead else KeyState.COOLING
        return KeyState.PROBING if self.failures else KeyState.HEALTHY

    def fail(self, now: float) -> None:
        """Counts one more failure in a row."""
        self.epoch += 1
        self.failures += 1
        self.first_failure = min(self.first_failure, now)
        self.probe_until = -inf

    def heal(self) -> None:
        """Forgets every failure."""
        self.failures, self.first_failure, self.dead, self.probe_until = 0, inf, False, -inf

    def rest(self, now: float) -> Rest:
        """What others may know of it."""
        seconds = max(0.0, self.until - now)
        return Rest(subject=self.fingerprint, seconds=seconds, times=self.failures, dead=self.dead)

    def rank(self, now: float, *, due: bool, tried: AbstractSet[str], prefer: str | None) -> int:
        """How far a ready key is from being the right one; 0 and below end the search."""
        if self.label == prefer:
            return PREFERRED
        rank = (8 if self.retires_at < inf else 0) + (4 if self.label in tried else 0)
        # A key that failed before is tried by one call when a rotation comes to it, and else only in need.
        if self.failures and self.probe_until > now:
            return rank + 3
        if self.failures and not due:
            return rank + 2
        return rank + (1 if prefer else 0)


def fingerprint(key: ApiKey) -> str:
    """SHA-256 of a key, which is random enough that nobody can guess it from this."""
    return sha256(b"key:" + key.secret.get_secret_value().encode()).hexdigest()


def workspace_fingerprint(key: ApiKey) -> str:
    """The same for the workspace; a key without one is a workspace of its own."""
    return sha256(b"workspace:" + (key.workspace or fingerprint(key)).encode()).hexdigest()


def doubled(base: float, times: int, most: float) -> float:
    """`base`, doubled for each time after the first, at most `most`."""
    return min(most, base * 2.0 ** min(max(times, 1) - 1, 64))
