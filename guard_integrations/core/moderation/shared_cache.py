"""Answers that many processes share over Redis or Valkey: keyed hashes and scores, never a text.

Each value carries a MAC under the hash key and is bound to its own name, so that whoever can write to the server,
but does not have the key, cannot make a text safe.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from importlib.util import find_spec

from guard_integrations.core.events import EventKind, GuardEvent, emit
from guard_integrations.core.moderation.breaker import Breaker, Outcome
from guard_integrations.core.moderation.cache import keyed_hash
from guard_integrations.core.moderation.decision import Answer, parse_answers
from guard_integrations.errors import GuardUnavailable, PolicyError

__all__ = ["SharedCache", "shared_cache_at"]

_PREFIX = b"guard-integrations:moderation:"
_TIMEOUT = 0.25
"""Seconds that a look into the cache may take: asking the classifier takes not much longer."""
_RECOVERY = 5.0
_MAC = 32


def shared_cache_at(
    url: str | None, *, hash_key: bytes, ttl: float, clock: Callable[[], float]
) -> "Callable[[], SharedCache] | None":
    """What makes the cache, in the loop that will use it.

    Raises:
        ModuleNotFoundError: without the extra `redis`.
        PolicyError: when Redis does not know such a URL.
    """
    if url is None:
        return None
    if find_spec("redis") is None:
        raise ModuleNotFoundError(
            "shared_cache needs redis: install it with pip install 'guard-integrations[redis]'.", name="redis"
        )
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise PolicyError("shared_cache is a URL that begins with redis://, rediss:// or unix://")
    return partial(SharedCache, url, hash_key=hash_key, ttl=ttl, clock=clock)


class SharedCache:
    """A second cache behind the one in memory. Lives in one event loop; while Redis is away it knows nothing.

    Args:
        url: such as `redis://host:6379/0`.
        hash_key: of the MAC.
        ttl: seconds that an answer stays valid.
        clock: seconds, monotonic.

    """

    def __init__(self, url: str, *, hash_key: bytes, ttl: float, clock: Callable[[], float]) -> None:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra; `shared_cache_at` says when it is missing

        self._redis = Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
        self._hash_key = hash_key
        self._ttl = max(1, round(ttl * 1000))
        self._breaker = Breaker(failures=1, recovery=_RECOVERY, clock=clock)
        self._writing: set[asyncio.Task[None]] = set()

    async def get(self, keys: Iterable[bytes]) -> dict[bytes, Answer]:
        """The answers that are known; none while Redis does not answer."""
        wanted = list(keys)
        values: list[bytes | str | None] = []

        async def look() -> None:
            values.extend(await self._redis.mget([_PREFIX + key.hex().encode() for key in wanted]))

        if not await self._guarded(look):
            return {}
        found = {
            key: self._read(key, value) for key, value in zip(wanted, values, strict=True) if isinstance(value, bytes)
        }
        return {key: answer for key, answer in found.items() if answer is not None}

    def put(self, answers: Mapping[bytes, Answer]) -> None:
        """Has answers written; returns at once."""

        async def write() -> None:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, answer in answers.items():
                    pipe.set(_PREFIX + key.hex().encode(), self._written(key, answer), px=self._ttl)
                await pipe.execute()

        async def guarded() -> None:
            await self._guarded(write)

        if answers:
            task = asyncio.get_running_loop().create_task(guarded())
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def aclose(self) -> None:
        """Gives up what is being written, and closes the connections."""
        writing = list(self._writing)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        await self._redis.aclose()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> bool:
        from redis.exceptions import RedisError  # noqa: PLC0415 - an extra; the client is there, so is this

        admission = self._breaker.admit()
        if admission is None:
            return False
        outcome = Outcome.NOTHING
        error = ""
        try:
            async with asyncio.timeout(_TIMEOUT):
                await work()
            outcome = Outcome.ANSWERED
        except (RedisError, OSError) as failure:
            outcome = Outcome.FAILED
            error = type(failure).__name__
        finally:
            was_open = self._breaker.open
            self._breaker.ended(admission, outcome)
        if was_open and not self._breaker.open:
            emit(GuardEvent(kind=EventKind.SHARED_STATE_BACK))
        elif self._breaker.open and not was_open:
            emit(GuardEvent(kind=EventKind.SHARED_STATE_LOST, error=error))
        return outcome is Outcome.ANSWERED

    def _written(self, key: bytes, answer: Answer) -> bytes:
        said = {"categories": dict(answer.categories), "category_scores": dict(answer.scores)}
        text = json.dumps(said, separators=(",", ":")).encode()
        return keyed_hash(self._hash_key, b"answer", key, text) + text

    def _read(self, key: bytes, value: bytes) -> Answer | None:
        mac, text = value[:_MAC], value[_MAC:]
        if not hmac.compare_digest(mac, keyed_hash(self._hash_key, b"answer", key, text)):
            return None
        try:
            (answer,) = parse_answers({"results": [json.loads(text)]}, 1)
        except (ValueError, GuardUnavailable):
            return None
        return answer
