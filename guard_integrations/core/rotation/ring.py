"""The key ring: which API key a request may use now. A pure state machine; the clock is injected, nothing waits here."""

import threading
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from math import inf
from typing import TYPE_CHECKING, Self, Unpack

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from guard_integrations.core.events import EventKind, GuardEvent, emit, observed
from guard_integrations.core.forks import keep_through_forks
from guard_integrations.core.rotation.health import Cooldowns, Key, Workspace, fingerprint, workspace_fingerprint
from guard_integrations.core.rotation.keys import ApiKey, Unpicklable, as_keys
from guard_integrations.core.rotation.selection import PREFERRED, Wish, choose
from guard_integrations.core.rotation.state import KeyStatus, Lease, Rest, RingSettings, SharedState
from guard_integrations.errors import KeysExhausted, PolicyError

if TYPE_CHECKING:
    from guard_integrations.core.rotation.auth import KeyRingAuth
    from guard_integrations.core.rotation.refresh import Refresher
    from guard_integrations.core.rotation.sources import KeySource

__all__ = ["KeyRing"]


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
        overlap: seconds for which a key that its source no longer gives is kept, for when no other is ready.
        shared: where processes keep what they learned about keys, such as `RedisRingState`.
        clock: seconds that never go back.

    Raises:
        MissingKeyError: when there is no key, or one that does not fit into an HTTP header.
        PolicyError: when a number of seconds makes no sense.
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
        overlap: float = 300.0,
        shared: SharedState | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if min(max_wait, overlap, dead_after) < 0 or min(rotation_interval, cooldown) <= 0 or max_cooldown < cooldown:
            raise PolicyError(
                "rotation_interval and cooldown are above zero, max_cooldown is no less than cooldown, and max_wait, "
                "overlap and dead_after are not below zero"
            )
        self.max_wait = max_wait
        self.refresher: Refresher | None = None
        self._rotation_interval = rotation_interval
        self._cooldowns = Cooldowns(first=cooldown, most=max_cooldown, dead_after=dead_after)
        self._overlap = overlap
        self.clock = clock
        self._lock = threading.Lock()
        self._workspaces: dict[str, Workspace] = {}
        self._made = 0
        self._keys = [self._new_key(each) for each in as_keys(keys)]
        self._current = self._keys[0]
        self._rotated_at = clock()
        self._shared = shared
        keep_through_forks(self)
        if shared is not None:
            shared.attach(self)

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
        """A ring of the keys that a source gives, asked again in the background and when all keys fail.

        Raises:
            TypeError: for a setting that a ring does not have, before the source is asked.
            MissingKeyError: when it gives none.
            GuardUnavailable: when it cannot be asked.
        """
        from guard_integrations.core.rotation.refresh import Refresher  # noqa: PLC0415 - the ring does no I/O

        if unknown := settings.keys() - RingSettings.__annotations__.keys():
            raise TypeError(
                f"a KeyRing has no setting {', '.join(sorted(unknown))}: where keys come from is a source's"
            )
        ring = cls(source.fetch(), **settings)
        ring.refresher = Refresher(source, ring, clock=ring.clock)
        return ring

    @classmethod
    def of(cls, keys: "KeyRing | str | SecretStr | Iterable[str | SecretStr | ApiKey] | None") -> "KeyRing":
        """The ring that an adapter's `keys=` means: itself, one key, several, or (None) the environment's.

        Raises:
            MissingKeyError: as the constructor and `from_env` do.
        """
        if isinstance(keys, KeyRing):
            return keys
        if keys is None:
            return cls.from_env()
        return cls([keys] if isinstance(keys, str | SecretStr) else keys)

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
            now = self.clock()
            due = now - self._rotated_at >= self._rotation_interval
            wish = Wish(tried, refused, prefer)
            choice = choose(self._keys, self._keys.index(self._current) + due, now, wish, due=due)
            best = choice.key
            if best is None:
                return choice.soonest - now if choice.soonest < inf else None
            rotated = False
            if best.failures:
                best.probe_until = now + self._cooldowns.first
            elif (
                choice.rank != PREFERRED
                and best.retires_at == inf
                and (due or self._current.ready_at() > now or self._current.failures)
            ):
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
                key.heal()
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
            now = self.clock()
            died, seconds = key.refuse(now, self._cooldowns)
            rest = key.rest(now)
        self._share(rest)
        _tell(EventKind.KEY_DIED if died else EventKind.KEY_COOLED, lease.label, duration=seconds)

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
            now = self.clock()
            workspace = key.workspace
            fresh = lease.epoch[1] == workspace.epoch
            if fresh:
                workspace.strike()
            elif retry_after is None:
                return
            longer, seconds = workspace.throttle(now, retry_after, self._cooldowns.most)
            rest = workspace.rest(now)
        if longer:
            self._share(rest)
        if fresh:
            _tell(EventKind.KEY_COOLED, lease.label, duration=seconds)

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

    def replace(self, keys: Iterable[str | SecretStr | ApiKey]) -> bool:
        """The keys are these now; says whether that changed anything.

        Keys that stay keep their label and all that is known of them. Keys that go are retired: for `overlap` seconds
        they serve where no other is ready, so that a rotation at the provider loses no request.

        Raises:
            MissingKeyError: as the constructor does; the ring stays as it was.
        """
        wanted = as_keys(keys)
        with self._lock:
            now = self.clock()
            here = {key.fingerprint: key for key in self._keys}
            kept = []
            for each in wanted:
                known_by = fingerprint(each)
                kept.append(here.pop(known_by) if known_by in here else self._new_key(each))
            leaving = [key for key in here.values() if key.retires_at > now]
            changed = any(key not in self._keys or key.retires_at < inf for key in kept)
            changed = changed or any(key.retires_at == inf for key in leaving)
            for key in kept:
                key.retires_at = inf
            for key in leaving:
                key.retires_at = min(key.retires_at, now + self._overlap)
            self._keys = kept + leaving
            self._workspaces = {key.workspace.fingerprint: key.workspace for key in self._keys}
            if self._current not in kept:
                self._current = kept[0]
        if changed and observed():
            emit(GuardEvent(kind=EventKind.KEYS_REFRESHED))
        return changed

    def status(self) -> tuple[KeyStatus, ...]:
        """Where each key stands, without any key."""
        with self._lock:
            now = self.clock()
            return tuple(
                KeyStatus(
                    label=key.label,
                    state=key.state(now),
                    ready_in=max(0.0, key.ready_at() - now),
                    failures=key.failures,
                    current=key is self._current,
                    retired=key.retires_at < inf,
                )
                for key in self._keys
                if key.retires_at > now
            )

    def rests(self) -> tuple[Rest, ...]:
        """What a shared state may know: by fingerprint, how long each key and each workspace rests."""
        with self._lock:
            now = self.clock()
            return (
                *(key.rest(now) for key in self._keys),
                *(workspace.rest(now) for workspace in self._workspaces.values()),
            )

    def learn(self, rests: tuple[Rest, ...]) -> None:
        """Takes over what other processes learned. A cooldown is never shortened by it."""
        told = {rest.subject: rest for rest in rests if rest.seconds > 0}
        with self._lock:
            now = self.clock()
            for key in self._keys:
                for thing in (key, key.workspace):
                    if (rest := told.get(thing.fingerprint)) is not None:
                        thing.learn(rest, now, self._cooldowns.most)

    def after_fork(self) -> None:
        """A thread that held the lock is not there in the child, and would hold it for good."""
        self._lock = threading.Lock()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A field of this type takes what `of` takes, but None; in JSON it is its `repr`.

        What is wrong with a key is a MissingKeyError, not a ValidationError: that one would keep the input.
        """
        as_shown = core_schema.to_string_ser_schema(when_used="json")
        return core_schema.no_info_plain_validator_function(_validated, serialization=as_shown)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(key.label for key in self._keys)})"

    def _new_key(self, key: ApiKey) -> Key:
        self._made += 1
        known_by = workspace_fingerprint(key)
        workspace = self._workspaces.setdefault(known_by, Workspace(fingerprint=known_by))
        label = f"key-{self._made}"
        return Key(secret=key.secret, label=label, fingerprint=fingerprint(key), workspace=workspace)

    def _find(self, lease: Lease) -> Key | None:
        return next((key for key in self._keys if key.label == lease.label), None)

    def _share(self, rest: Rest) -> None:
        if self._shared is not None:
            self._shared.tell(rest)


def _validated(given: object) -> KeyRing:
    if isinstance(given, KeyRing | str | SecretStr | list | tuple):
        return KeyRing.of(given)
    raise ValueError("Keys are a KeyRing, a key, or a list of keys.")


def _tell(kind: EventKind, label: str, *, duration: float | None = None) -> None:
    """Called with the lock released: an observer may look at the ring."""
    if observed():
        emit(GuardEvent(kind=kind, key=label, duration=duration))
