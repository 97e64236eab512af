"""The key ring: which API key a request may use now. A pure state machine; the clock is injected, nothing waits here."""

import threading
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from pydantic import SecretStr

from guard_integrations.core.events import EventKind, GuardEvent, emit, observed
from guard_integrations.core.rotation.keys import ApiKey, Unpicklable, as_keys
from guard_integrations.errors import KeysExhausted

if TYPE_CHECKING:
    from guard_integrations.core.rotation.auth import KeyRingAuth
    from guard_integrations.core.rotation.sources import KeySource

__all__ = ["KeyRing", "KeyState", "KeyStatus", "Lease"]

DEATH_FAILURES = 3
"""A key is not called dead before it has failed this often, however long apart."""
THROTTLE = 1.0
"""Seconds a workspace rests after its first 429 that names no time; doubled each time in a row."""
LEAST_THROTTLE = 0.05
"""The same where the server does name one: it keeps `Retry-After: 0` from becoming a busy loop."""

_PREFERRED = -1


class RingSettings(TypedDict, total=False):
    """The keyword arguments of `KeyRing`, for the constructors that take keys from elsewhere."""

    rotation_interval: float
    max_wait: float
    cooldown: float
    max_cooldown: float
    dead_after: float
    clock: Callable[[], float]


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
    """

    label: str
    state: KeyState
    ready_in: float
    failures: int
    current: bool


@dataclass(slots=True, kw_only=True)
class _Workspace:
    """The rate limit that keys of one workspace share."""

    until: float = -inf
    strikes: int = 0
    epoch: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class _Key:
    secret: SecretStr
    label: str
    workspace: _Workspace
    until: float = -inf
    failures: int = 0
    first_failure: float = inf
    dead: bool = False
    epoch: int = 0
    probe_until: float = -inf

    def ready_at(self) -> float:
        return max(self.until, self.workspace.until)


class KeyRing(Unpicklable):
    """Several API keys, of which one is current: sticky, changed each interval and when it fails.

    Thread-safe and async-safe: no method blocks, waits or does I/O. `auth()` gives the httpx auth that drives it;
    by hand, take a `lease()`, use it for one attempt, and report how it went. Copies, deep ones too, are the ring
    itself; it does not pickle; `repr` shows labels.

    Args:
        keys: the keys; an `ApiKey` names its workspace, whose keys cool together on a 429.
        rotation_interval: seconds after which the next key becomes current.
        max_wait: seconds one call may spend waiting, over all its attempts.
        cooldown: seconds a key rests after a first authentication failure; doubled with each further one.
        max_cooldown: longest rest in seconds, for a `Retry-After` too; a dead key is tried again this often.
        dead_after: seconds of nothing but authentication failures after which a key counts as dead.
        clock: seconds that never go back.

    Raises:
        MissingKeyError: when there is no key, or one that does not fit into an HTTP header.
    """

    def __init__(  # noqa: PLR0913 - the settings of one machine, keyword-only
        self,
        keys: Iterable[str | SecretStr | ApiKey],
        *,
        rotation_interval: float = 3600.0,
        max_wait: float = 10.0,
        cooldown: float = 30.0,
        max_cooldown: float = 3600.0,
        dead_after: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_wait = max_wait
        self._rotation_interval = rotation_interval
        self._cooldown = cooldown
        self._max_cooldown = max_cooldown
        self._dead_after = dead_after
        self._clock = clock
        self._lock = threading.Lock()
        self._workspaces: dict[str, _Workspace] = {}
        self._made = 0
        self._keys = [self._new_key(each) for each in as_keys(keys)]
        self._current = self._keys[0]
        self._rotated_at = clock()

    @classmethod
    def from_env(cls, **settings: Unpack[RingSettings]) -> Self:
        """A ring of `MISTRAL_API_KEYS` (separated by commas or line ends, each `KEY` or `WORKSPACE:KEY`), else `MISTRAL_API_KEY`.

        Raises:
            MissingKeyError: when neither is set.
        """
        from guard_integrations.core.rotation.sources import EnvironmentSource  # noqa: PLC0415 - the ring does no I/O

        return cls.from_source(EnvironmentSource(), **settings)

    @classmethod
    def from_source(cls, source: "KeySource", **settings: Unpack[RingSettings]) -> Self:
        """A ring of the keys that a source gives.

        Raises:
            MissingKeyError: when it gives none.
        """
        return cls(source.fetch(), **settings)

    def auth(self) -> "KeyRingAuth":
        """The auth for `httpx` and `httpx2` clients, sync and async: `httpx.Client(auth=ring.auth())`."""
        from guard_integrations.core.rotation.auth import KeyRingAuth  # noqa: PLC0415 - loads the HTTP library

        return KeyRingAuth(self)

    def lease(self) -> Lease:
        """The key to use for the next attempt.

        Raises:
            KeysExhausted: when none may be used now; `retry_after` says when one may.
        """
        taken = self.take()
        if isinstance(taken, Lease):
            return taken
        raise KeysExhausted(taken)

    def take(
        self,
        *,
        tried: AbstractSet[str] = frozenset(),
        refused: AbstractSet[str] = frozenset(),
        prefer: str | None = None,
    ) -> Lease | float | None:
        """The best key for one attempt of a call, or how long to wait for one.

        Args:
            tried: labels the call has used: only used again where no other is ready.
            refused: labels the call must not use again.
            prefer: a label to stay with while it may be used.

        Returns:
            a lease; or the seconds until a key may be used; or None where waiting heals none.
        """
        with self._lock:
            now = self._clock()
            due = now - self._rotated_at >= self._rotation_interval
            best, rank, soonest = self._search(now, due=due, tried=tried, refused=refused, prefer=prefer)
            if best is None:
                return soonest - now if soonest < inf else None
            rotated = False
            if best.failures:
                best.probe_until = now + self._cooldown
            elif rank != _PREFERRED and (due or self._current.ready_at() > now or self._current.failures):
                rotated = best is not self._current
                self._current = best
                self._rotated_at = now if due else self._rotated_at
            lease = Lease(secret=best.secret, label=best.label, epoch=(best.epoch, best.workspace.epoch))
        if rotated:
            _tell(EventKind.KEY_ROTATED, lease.label)
        return lease

    def report_success(self, lease: Lease) -> None:
        """The key was accepted, whatever became of the request: what the ring held against it is forgotten.

        A report on a lease from before the key's last failure says nothing, and changes nothing.
        """
        with self._lock:
            key = self._find(lease)
            if key is None:
                return
            if lease.epoch[1] == key.workspace.epoch:
                key.workspace.strikes = 0
            healed = key.failures > 0 and lease.epoch[0] == key.epoch
            if healed:
                key.failures, key.first_failure, key.dead, key.probe_until = 0, inf, False, -inf
        if healed:
            _tell(EventKind.KEY_HEALED, lease.label)

    def report_auth_failure(self, lease: Lease) -> None:
        """The key was refused: it rests, twice as long each time in a row, and is dead when nothing else happens for long.

        However many calls hold a lease on the key, its failure counts once.
        """
        with self._lock:
            key = self._find(lease)
            if key is None or lease.epoch[0] != key.epoch:
                return
            now = self._clock()
            key.epoch += 1
            key.failures += 1
            key.first_failure = min(key.first_failure, now)
            key.probe_until = -inf
            died = key.failures >= DEATH_FAILURES and now - key.first_failure >= self._dead_after
            newly_dead = died and not key.dead
            key.dead = key.dead or died
            rest = self._max_cooldown if key.dead else _doubled(self._cooldown, key.failures, self._max_cooldown)
            key.until = max(key.until, now + rest)
        _tell(EventKind.KEY_DIED if newly_dead else EventKind.KEY_COOLED, lease.label, duration=rest)

    def report_rate_limit(self, lease: Lease, retry_after: float | None = None) -> None:
        """The key's workspace is throttled: all its keys rest.

        Args:
            lease: what the throttled attempt used.
            retry_after: seconds the server asked for, used up to `max_cooldown`; None: one second, doubled in a row.
        """
        with self._lock:
            key = self._find(lease)
            if key is None:
                return
            now = self._clock()
            workspace = key.workspace
            fresh = lease.epoch[1] == workspace.epoch
            if fresh:
                workspace.epoch += 1
                workspace.strikes += 1
            base = THROTTLE if retry_after is None else LEAST_THROTTLE
            rest = max(_doubled(base, workspace.strikes, self._max_cooldown), retry_after or 0.0)
            rest = min(rest, self._max_cooldown)
            if fresh or retry_after is not None:
                workspace.until = max(workspace.until, now + rest)
        if fresh:
            _tell(EventKind.KEY_COOLED, lease.label, duration=rest)

    def rotate(self) -> None:
        """Makes the next usable key current, now; where there is none, nothing changes."""
        with self._lock:
            self._rotated_at = -inf

    def move_on(self, lease: Lease) -> None:
        """Makes the next usable key current if `lease` is on the current one: an unproven suspicion, no cooldown."""
        with self._lock:
            if self._current.label == lease.label:
                self._rotated_at = -inf

    def release(self, lease: Lease) -> None:
        """The attempt ended without telling anything about the key: another call may probe it."""
        with self._lock:
            key = self._find(lease)
            if key is not None and lease.epoch[0] == key.epoch:
                key.probe_until = -inf

    def status(self) -> tuple[KeyStatus, ...]:
        """Where each key stands, without any key."""
        with self._lock:
            now = self._clock()
            return tuple(
                KeyStatus(
                    label=key.label,
                    state=_state(key, now),
                    ready_in=max(0.0, key.ready_at() - now),
                    failures=key.failures,
                    current=key is self._current,
                )
                for key in self._keys
            )

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(key.label for key in self._keys)})"

    def _new_key(self, key: ApiKey) -> _Key:
        self._made += 1
        workspace = self._workspaces.setdefault(key.workspace, _Workspace()) if key.workspace else _Workspace()
        return _Key(secret=key.secret, label=f"key-{self._made}", workspace=workspace)

    def _find(self, lease: Lease) -> _Key | None:
        return next((key for key in self._keys if key.label == lease.label), None)

    def _search(
        self, now: float, *, due: bool, tried: AbstractSet[str], refused: AbstractSet[str], prefer: str | None
    ) -> tuple[_Key | None, float, float]:
        """The best ready key and its rank, from the current one on (past it when a rotation is due), or when one is."""
        best, best_rank, soonest = None, inf, inf
        first = self._keys.index(self._current) + due
        for offset in range(len(self._keys)):
            key = self._keys[(first + offset) % len(self._keys)]
            if key.label in refused:
                continue
            if (ready_at := key.ready_at()) > now:
                soonest = soonest if key.dead else min(soonest, ready_at)
                continue
            rank = self._rank(key, now, due=due, tried=tried, prefer=prefer)
            if rank < best_rank:
                best, best_rank = key, rank
            if rank <= 0:
                break
        return best, best_rank, soonest

    def _rank(self, key: _Key, now: float, *, due: bool, tried: AbstractSet[str], prefer: str | None) -> int:
        """How far a ready key is from being the right one; 0 ends the search."""
        if key.label == prefer:
            return _PREFERRED
        used = 4 if key.label in tried else 0
        preferred = 1 if prefer else 0
        if not key.failures:
            return used + preferred
        # A key that failed before is tried by one call when a rotation comes to it, and else only in need.
        if key.probe_until > now:
            return used + 3
        return used + preferred if due else used + 2


def _state(key: _Key, now: float) -> KeyState:
    if key.ready_at() > now:
        return KeyState.DEAD if key.dead else KeyState.COOLING
    return KeyState.PROBING if key.failures else KeyState.HEALTHY


def _doubled(base: float, times: int, most: float) -> float:
    """`base`, doubled for each time after the first, at most `most`."""
    return min(most, base * 2.0 ** min(times - 1, 64))


def _tell(kind: EventKind, label: str, *, duration: float | None = None) -> None:
    """Called with the lock released: an observer may look at the ring."""
    if observed():
        emit(GuardEvent(kind=kind, key=label, duration=duration))
