"""Remembers the classifier's answers, never the texts: keys are keyed hashes, values are scores."""

import hmac
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from pydantic import SecretStr

from guard_integrations.core.forks import keep_through_forks
from guard_integrations.core.moderation.decision import Answer
from guard_integrations.errors import PolicyError

__all__ = ["HASH_KEY_VARIABLE", "MemoryCache", "hash_key_bytes", "keyed_hash"]

HASH_KEY_VARIABLE = "GUARD_INTEGRATIONS_HASH_KEY"


class MemoryCache:
    """Answers of the last `ttl` seconds, the `size` most recently used of them. Safe for threads.

    Args:
        size: entries; 0 remembers nothing.
        ttl: seconds that an answer stays valid.
        clock: seconds, monotonic.
    """

    __slots__ = ("__weakref__", "_clock", "_entries", "_lock", "_size", "_ttl")

    def __init__(self, *, size: int, ttl: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, Answer]] = OrderedDict()
        self._lock = threading.Lock()
        keep_through_forks(self)

    def after_fork(self) -> None:
        """Empties it: whoever held the lock in the parent may have been in the middle of a change."""
        self._lock = threading.Lock()
        self._entries = OrderedDict()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Answer]:
        """The answers that are known and still valid."""
        now = self._clock()
        found: dict[bytes, Answer] = {}
        with self._lock:
            for key in keys:
                entry = self._entries.get(key)
                if entry is None:
                    continue
                if entry[0] <= now:
                    del self._entries[key]
                else:
                    self._entries.move_to_end(key)
                    found[key] = entry[1]
        return found

    def put(self, answers: Mapping[bytes, Answer]) -> None:
        """Remembers answers; the least recently used make room."""
        expires = self._clock() + self._ttl
        with self._lock:
            for key, answer in answers.items():
                self._entries[key] = (expires, answer)
                self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)


def hash_key_bytes(given: SecretStr | str | None, *, shared: bool) -> bytes:
    """The key given, else that of the environment, else one that lives as long as this process.

    Raises:
        PolicyError: when the cache is shared, and there is no key that all its users could have.
    """
    text = given.get_secret_value() if isinstance(given, SecretStr) else given
    text = text or os.environ.get(HASH_KEY_VARIABLE)
    if shared and not text:
        raise PolicyError(
            f"a shared cache needs one key for all who share it: give hash_key or set {HASH_KEY_VARIABLE}"
        )
    return text.encode() if text else secrets.token_bytes(32)


def keyed_hash(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA-256 of parts that cannot run into one another."""
    return hmac.digest(key, b"".join(len(part).to_bytes(8, "big") + part for part in parts), "sha256")
