"""The table of API keys the local server knows, with the states a key can be in at Mistral."""

import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import EllipsisType

__all__ = ["KeyState", "KeyTable", "Refusal", "ServerKey"]


class KeyState(StrEnum):
    """What the server answers to a key."""

    VALID = "valid"
    REVOKED = "revoked"  # 401
    EXPIRED = "expired"  # 401
    RATE_LIMITED = "rate_limited"  # 429 with Retry-After, for every key of the workspace
    OUT_OF_QUOTA = "out_of_quota"  # 401 with an empty body, for every key of the workspace
    FORBIDDEN = "forbidden"  # 403, not a guardrail's


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKey:
    """One key of the table.

    Args:
        secret: what the client sends behind `Bearer`; never in the repr.
        label: the name under which the log shows the key.
        workspace: keys of one workspace share `rate_limited`, `out_of_quota` and the request limit.
        state: what the server answers.
        retry_after: sent with 429. A number is seconds, a string is sent as it stands, None sends no header.
        latency: seconds every request with this key waits before anything else happens.
    """

    secret: str = field(repr=False)
    label: str
    workspace: str
    state: KeyState = KeyState.VALID
    retry_after: float | str | None = 1.0
    latency: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a key may not be used: the status, the body (None: an empty one) and headers of the answer."""

    status: int
    body: dict[str, object] | None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Limit:
    """A fixed window: `requests` in each `per` seconds."""

    requests: int
    per: float
    opened: float
    used: int = 0


class KeyTable:
    """The keys, thread-safe, open to change while the server runs.

    Every method that takes a key takes its secret or its label; an unknown one is a `KeyError` that shows neither.

    Args:
        clock: seconds, monotonic; moves the windows of `limit`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, ServerKey] = {}
        self._limits: dict[str, _Limit] = {}

    def add(  # noqa: PLR0913 - the fields of a key, each with its default
        self,
        secret: str | None = None,
        *,
        label: str | None = None,
        workspace: str | None = None,
        state: KeyState | str = KeyState.VALID,
        retry_after: float | str | None = 1.0,
        latency: float = 0.0,
    ) -> str:
        """Add a key and give back its secret; without one, a random secret of 32 letters and digits.

        Args:
            secret: what the client will send.
            label: the name in the log; "key-1", "key-2" … by default.
            workspace: shared limits; a workspace of its own by default.
            state: see `KeyState`.
            retry_after: see `ServerKey`.
            latency: seconds.
        """
        secret = secret or secrets.token_hex(16)
        with self._lock:
            label = label or f"key-{len(self._keys) + 1}"
            self._keys[secret] = ServerKey(
                secret=secret,
                label=label,
                workspace=workspace or f"workspace of {label}",
                state=KeyState(state),
                retry_after=retry_after,
                latency=latency,
            )
        return secret

    def set(
        self,
        key: str,
        *,
        state: KeyState | str | None = None,
        retry_after: float | str | EllipsisType | None = ...,
        latency: float | None = None,
    ) -> None:
        """Change a key for the requests that come from now on; what is not given stays."""
        with self._lock:
            found = self._find(key)
            self._keys[found.secret] = replace(
                found,
                state=found.state if state is None else KeyState(state),
                retry_after=found.retry_after if isinstance(retry_after, EllipsisType) else retry_after,
                latency=found.latency if latency is None else latency,
            )

    def revoke(self, key: str) -> None:
        """Answer 401 to this key from now on."""
        self.set(key, state=KeyState.REVOKED)

    def heal(self, key: str) -> None:
        """Make the key valid again."""
        self.set(key, state=KeyState.VALID)

    def limit(self, key: str, *, requests: int, per: float = 60.0) -> None:
        """Give the key's workspace a quota: `requests` in each window of `per` seconds, then 429.

        `Retry-After` is then what is left of the window, in whole seconds, rounded up.
        """
        with self._lock:
            self._limits[self._find(key).workspace] = _Limit(requests, per, self._clock())

    def clear(self) -> None:
        """Forget every key and every limit."""
        with self._lock:
            self._keys.clear()
            self._limits.clear()

    def get(self, secret: str | None) -> ServerKey | None:
        """The key with this secret."""
        with self._lock:
            return self._keys.get(secret or "")

    def check(self, key: ServerKey | None) -> tuple[Refusal | None, dict[str, str]]:
        """Say whether a request with this key may pass, and the rate limit headers of its answer.

        A request that passes is counted against the workspace's limit.
        """
        if key is None:
            return Refusal(status=401, body={"detail": "Unauthorized"}), {}
        with self._lock:
            shared = {other.state for other in self._keys.values() if other.workspace == key.workspace}
            if refusal := _refusal(key, shared):
                return refusal, {}
            limit = self._limits.get(key.workspace)
            return (None, {}) if limit is None else self._count(limit)

    def _count(self, limit: _Limit) -> tuple[Refusal | None, dict[str, str]]:
        now = self._clock()
        if now - limit.opened >= limit.per:
            limit.opened, limit.used = now, 0
        if limit.used >= limit.requests:
            headers = _rate_headers(limit.requests, 0)
            return _rate_limited(math.ceil(limit.opened + limit.per - now), headers), {}
        limit.used += 1
        return None, _rate_headers(limit.requests, limit.requests - limit.used)

    def _find(self, key: str) -> ServerKey:
        for candidate in self._keys.values():
            if key in (candidate.secret, candidate.label):
                return candidate
        raise KeyError("The server knows no key with this secret or label.")


def _refusal(key: ServerKey, shared: set[KeyState]) -> Refusal | None:
    if key.state in (KeyState.REVOKED, KeyState.EXPIRED):
        return Refusal(status=401, body={"message": "Unauthorized", "request_id": secrets.token_hex(16)})
    if key.state is KeyState.FORBIDDEN:
        message = "You do not have permission to access this resource"
        return Refusal(status=403, body={"object": "error", "message": message, "type": "forbidden", "code": "1200"})
    if KeyState.OUT_OF_QUOTA in shared:
        return Refusal(status=401, body=None)
    if KeyState.RATE_LIMITED in shared:
        return _rate_limited(key.retry_after, _rate_headers(60, 0))
    return None


def _rate_limited(retry_after: float | str | None, headers: dict[str, str]) -> Refusal:
    if retry_after is not None:
        headers["Retry-After"] = f"{retry_after:g}" if isinstance(retry_after, int | float) else retry_after
    body: dict[str, object] = {
        "object": "error",
        "message": "Rate limit exceeded",
        "type": "rate_limited",
        "param": None,
        "code": "1300",
    }
    return Refusal(status=429, body=body, headers=headers)


def _rate_headers(requests: int, remaining: int) -> dict[str, str]:
    tokens = 10_000  # the server counts no tokens against a limit: tokens follow the requests
    return {
        "x-ratelimit-limit-req-minute": str(requests),
        "x-ratelimit-remaining-req-minute": str(remaining),
        "x-ratelimit-limit-tokens-minute": str(requests * tokens),
        "x-ratelimit-remaining-tokens-minute": str(remaining * tokens),
    }
