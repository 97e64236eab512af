"""How one key and one workspace fare: what a failure, a 429, a success and other processes' news do to them. Pure."""

from dataclasses import dataclass
from hashlib import sha256
from math import inf

from pydantic import SecretStr

from guard_integrations.core.rotation.keys import ApiKey
from guard_integrations.core.rotation.state import KeyState, Rest

__all__ = ["Cooldowns", "Key", "Workspace", "fingerprint", "workspace_fingerprint"]

DEATH_FAILURES = 3
"""A key is not called dead before it has failed this often, however long apart."""
THROTTLE = 1.0
"""Seconds a workspace rests after its first 429 that names no time; doubled each time in a row."""
LEAST_THROTTLE = 0.05
"""The same where the server does name one: it keeps `Retry-After: 0` from becoming a busy loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldowns:
    """For how long keys rest, in seconds.

    Args:
        first: after a first authentication failure; doubled with each further one.
        most: the longest rest.
        dead_after: of nothing but authentication failures, after which a key counts as dead.
    """

    first: float
    most: float
    dead_after: float


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

    def strike(self) -> None:
        """Counts one more 429 in a row."""
        self.epoch += 1
        self.strikes += 1

    def throttle(self, now: float, retry_after: float | None, most: float) -> tuple[bool, float]:
        """Rests for as long as the server asked, or as the strikes in a row say.

        Returns:
            Whether that is longer than it rested anyway, and how many seconds it is.
        """
        base = THROTTLE if retry_after is None else LEAST_THROTTLE
        seconds = min(max(doubled(base, self.strikes, most), retry_after or 0.0), most)
        longer = now + seconds > self.until
        self.until = max(self.until, now + seconds)
        return longer, seconds

    def learn(self, rest: Rest, now: float, most: float) -> None:
        """Takes over what another process learned. A cooldown is never shortened by it."""
        if now + rest.seconds > self.until:
            self.until = now + min(rest.seconds, most)
            if rest.times > self.strikes:
                self.strikes = rest.times
                self.epoch += 1


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

    def refuse(self, now: float, cooldowns: Cooldowns) -> tuple[bool, float]:
        """Counts a failed authentication, and rests; a retired key is not used again.

        Returns:
            Whether the key died of it, and for how many seconds it rests.
        """
        self.fail(now)
        died = not self.dead and self.failures >= DEATH_FAILURES and now - self.first_failure >= cooldowns.dead_after
        self.dead = self.dead or died
        seconds = cooldowns.most if self.dead else doubled(cooldowns.first, self.failures, cooldowns.most)
        self.until = max(self.until, now + seconds)
        if self.retires_at < inf:
            self.retires_at = now
        return died, seconds

    def learn(self, rest: Rest, now: float, most: float) -> None:
        """Takes over what another process learned. A cooldown is never shortened by it."""
        if now + rest.seconds > self.until:
            self.until = now + min(rest.seconds, most)
            if rest.times > self.failures or rest.dead > self.dead:
                self.fail(now)
                self.failures, self.dead = max(self.failures, rest.times), self.dead or rest.dead

    def heal(self) -> None:
        """Forgets every failure."""
        self.failures, self.first_failure, self.dead, self.probe_until = 0, inf, False, -inf

    def rest(self, now: float) -> Rest:
        """What others may know of it."""
        seconds = max(0.0, self.until - now)
        return Rest(subject=self.fingerprint, seconds=seconds, times=self.failures, dead=self.dead)


def fingerprint(key: ApiKey) -> str:
    """SHA-256 of a key, which is random enough that nobody can guess it from this."""
    return sha256(b"key:" + key.secret.get_secret_value().encode()).hexdigest()


def workspace_fingerprint(key: ApiKey) -> str:
    """The same for the workspace; a key without one is a workspace of its own."""
    return sha256(b"workspace:" + (key.workspace or fingerprint(key)).encode()).hexdigest()


def doubled(base: float, times: int, most: float) -> float:
    """`base`, doubled for each time after the first, at most `most`."""
    return min(most, base * 2.0 ** min(max(times, 1) - 1, 64))
