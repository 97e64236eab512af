"""What one process learns about keys, known to all: cooldowns and deaths over Redis or Valkey.

What goes there: SHA-256 fingerprints, how often in a row, and a time to live, which is the rest of the cooldown. So no
two clocks need to agree, nothing has to be cleaned up, and no key can be read there.
"""

import threading
from typing import TYPE_CHECKING
from weakref import WeakSet, ref

from guard_integrations.core.events import EventKind, GuardEvent, emit
from guard_integrations.core.forks import keep_through_forks
from guard_integrations.core.rotation.keys import Unpicklable
from guard_integrations.core.rotation.state import Rest, Shared

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisRingState"]

_TIMEOUT = 1.0
# Cooldowns never shorten, whoever writes first.
_LENGTHEN = """
if tonumber(ARGV[2]) > redis.call('PTTL', KEYS[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""


class RedisRingState(Unpicklable):
    """State that rings in many processes share: `KeyRing([...], shared=RedisRingState("redis://host:6379/0"))`.

    A thread of its own writes what this process learns, at once, and reads what others learned, `poll` seconds apart.
    No request ever waits for it. While Redis cannot be reached each process goes on alone, which is told once, and
    again when it is back; then each writes what it knows. Needs the extra `redis`.

    Args:
        redis: a URL, or a client of yours; one from a URL has time-outs of a second and does not retry.
        prefix: goes before each name.
        poll: seconds between two looks.
    """

    def __init__(self, redis: "str | Redis", *, prefix: str = "guard-integrations:keys:", poll: float = 0.4) -> None:
        self._redis = _client(redis) if isinstance(redis, str) else redis
        self._prefix = prefix
        self._poll = poll
        self._rings: WeakSet[Shared] = WeakSet()
        self._lost = False
        self._closed = False
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._told: dict[str, Rest] = {}
        self._thread: threading.Thread | None = None
        keep_through_forks(self)

    def attach(self, ring: Shared) -> None:
        """Begins to tell `ring` what others learn. Returns at once, whether Redis is there or not."""
        with self._lock:
            self._rings.add(ring)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=_keep_in_step, args=(ref(self), self._wake), name="key-state", daemon=True
                )
                self._thread.start()

    def tell(self, rest: Rest) -> None:
        """Has this written soon; returns at once."""
        with self._lock:
            self._told[rest.subject] = rest
        self._wake.set()

    def sync(self) -> bool:
        """Writes and reads once, here and now; says whether Redis could be reached. The thread does this on its own."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - an extra; the client is there, so is this

        with self._lock:
            told, self._told = self._told, {}
            rings = list(self._rings)
        if self._lost:
            told = {rest.subject: rest for ring in rings for rest in ring.rests() if rest.seconds > 0}
        failure = ""
        try:
            self._write(tuple(told.values()))
            for ring in rings:
                ring.learn(self._read(ring.rests()))
        except (RedisError, OSError) as error:
            failure = type(error).__name__
        if failure and not self._lost:
            emit(GuardEvent(kind=EventKind.SHARED_STATE_LOST, error=failure))
        if self._lost and not failure:
            emit(GuardEvent(kind=EventKind.SHARED_STATE_BACK))
        self._lost = bool(failure)
        return not failure

    def close(self) -> None:
        """Ends the thread; the rings go on alone."""
        self._closed = True
        self._wake.set()

    def after_fork(self) -> None:
        """Threads stay behind in the parent, and so may whoever holds the lock."""
        self._lock, self._wake, self._told, self._thread = threading.Lock(), threading.Event(), {}, None
        for ring in list(self._rings):
            self.attach(ring)

    def __repr__(self) -> str:
        return "RedisRingState()"

    def _write(self, rests: tuple[Rest, ...]) -> None:
        if not rests:
            return
        with self._redis.pipeline(transaction=False) as pipe:
            for rest in rests:
                milliseconds = max(1, round(rest.seconds * 1000))
                pipe.eval(_LENGTHEN, 1, self._prefix + rest.subject, f"{rest.times}:{int(rest.dead)}", milliseconds)
            pipe.execute()

    def _read(self, known: tuple[Rest, ...]) -> tuple[Rest, ...]:
        with self._redis.pipeline(transaction=False) as pipe:
            for rest in known:
                pipe.pttl(self._prefix + rest.subject)
                pipe.get(self._prefix + rest.subject)
            said = pipe.execute()
        return tuple(
            _rest(rest.subject, milliseconds, value)
            for rest, milliseconds, value in zip(known, said[::2], said[1::2], strict=True)
            if milliseconds > 0 and value is not None
        )


def _keep_in_step(state: "ref[RedisRingState]", wake: threading.Event) -> None:
    """The thread: ends with the state, or with the last ring and everybody who could make another."""
    while (alive := state()) is not None and not alive._closed:  # noqa: SLF001 - as above
        alive.sync()
        poll = alive._poll  # noqa: SLF001 - as above
        del alive
        wake.wait(poll)
        wake.clear()


def _rest(subject: str, milliseconds: int, value: bytes | str) -> Rest:
    """What was written, read with care: anybody may have written there."""
    times, _, dead = (value if isinstance(value, str) else value.decode("ascii", "replace")).partition(":")
    count = int(times) if times.isascii() and times.isdigit() and len(times) < 6 else 1  # noqa: PLR2004 - a sane count
    return Rest(subject=subject, seconds=milliseconds / 1000, times=max(1, count), dead=dead == "1")


def _client(url: str) -> "Redis":
    try:
        from redis import Redis  # noqa: PLC0415 - an extra
        from redis.backoff import NoBackoff  # noqa: PLC0415 - as above
        from redis.retry import Retry  # noqa: PLC0415 - as above
    except ImportError as missing:
        raise ImportError("RedisRingState needs an extra: pip install 'guard-integrations[redis]'") from missing
    return Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0))
