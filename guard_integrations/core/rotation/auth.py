"""The auth flow that turns a key ring, for `httpx` and `httpx2`, sync and async.

One generator decides; two thin drivers do what it asks: send, read, wait. A request is sent again only before the
first byte of an answer's body has gone to the caller, so a stream is never cut and never doubled.
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from guard_integrations.core.events import EventKind, GuardEvent, emit, observed
from guard_integrations.core.rotation.keys import Unpicklable
from guard_integrations.core.rotation.ring import KeyRing
from guard_integrations.core.rotation.state import Lease
from guard_integrations.core.rotation.verdict import READ_STATUSES, Verdict, judge, retry_after
from guard_integrations.core.runs import count_answer, count_request
from guard_integrations.errors import KeysExhausted

if TYPE_CHECKING:
    import httpx2
    from httpx2 import Auth as _OtherAuth

    _Request: TypeAlias = httpx.Request | httpx2.Request
    _Response: TypeAlias = httpx.Response | httpx2.Response
else:
    # The Mistral SDK speaks httpx2, LangChain httpx; each client accepts only its own library's class.
    try:
        import httpx2
        from httpx2 import Auth as _OtherAuth
    except ImportError:
        httpx2 = None
        _OtherAuth = object

__all__ = ["KeyRingAuth"]


BACKOFF = 0.5
"""Seconds: the first retry waits a random time up to this, each later one up to twice the one before."""
MAX_BACKOFF = 8.0
"""Seconds: the random wait never exceeds this."""
MAX_ATTEMPTS = 16
"""Both libraries count attempts as redirects, and give up at 20."""
SLICE = 0.25
"""Seconds: a wait for a key looks up this often, so that a key that comes early is used early."""

_REPLAYABLE = (httpx.ByteStream, getattr(httpx2, "ByteStream", httpx.ByteStream))


@dataclass(frozen=True, slots=True)
class _Send:
    """Send the request."""


@dataclass(frozen=True, slots=True)
class _Read:
    """Read the body of the answer."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """Sleep."""

    seconds: float


@dataclass(frozen=True, slots=True)
class _Await:
    """Let a refresh of the keys end, but do not wait longer than that."""

    refresh: "Future[bool]"
    seconds: float


_Step: TypeAlias = _Send | _Read | _Wait | _Await
_Decisions: TypeAlias = Generator[_Step, Any, None]


@dataclass(slots=True, kw_only=True)
class _Call:
    """What one call has been through."""

    budget: float
    lease: Lease | None = None
    retry_after: float | None = None
    sent: int = 0
    retries: int = 0
    again: int = 0
    tried: set[str] = field(default_factory=set)
    refused: dict[str, Lease] = field(default_factory=dict)


class KeyRingAuth(Unpicklable, httpx.Auth, _OtherAuth):
    """An auth for `httpx` and `httpx2` clients that takes its keys from a ring.

    A 401 moves the call to another key at once, as does a 403 that is no guardrail's (the first key is blamed when
    another one gets through) and a 429; where no key is ready and one will be in time, the call waits. 500, 502, 503
    and 504 are tried again with the same key after a random, growing wait. All waits of a call together stay within
    the ring's `max_wait`. A request whose body cannot be sent twice gets the server's answer as it is. Transport
    errors are left to the client. Async clients must run under asyncio.

    When the call is over, the key is gone from the request's `Authorization` header, so that exceptions and responses
    that keep the request hold no key.

    Args:
        ring: where keys come from, and what is learned about them goes.
        retries: how often a 5xx is tried again.
        sleep: waits so many seconds; used by sync clients.
        asleep: the same for async clients.
        jitter: gives a random number between 0 and its argument.

    Raises:
        KeysExhausted: from the call, when no key can be used in time.
    """

    requires_request_body = False
    requires_response_body = False

    def __init__(
        self,
        ring: KeyRing,
        *,
        retries: int = 3,
        sleep: Callable[[float], None] = time.sleep,
        asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float], float] = lambda most: random.uniform(0.0, most),  # noqa: S311 - no secret depends on it
    ) -> None:
        self.ring = ring
        self._retries = retries
        self._sleep = sleep
        self._asleep = asleep
        self._jitter = jitter

    def __repr__(self) -> str:
        return f"KeyRingAuth({self.ring!r})"

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:  # noqa: ANN401 - either library's request
        """The sync flow, under the name that both libraries document."""
        yield from self.sync_auth_flow(request)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:  # noqa: ANN401 - either library's request
        """Drives the decisions for a sync client."""
        call = _Call(budget=self.ring.max_wait)
        steps = self._decide(request, call)
        answer: Any = None
        ended_early = False
        try:
            while (step := _advance(steps, answer)) is not None:
                match step:
                    case _Send():
                        answer = yield request
                    case _Read():
                        answer.read()
                    case _Wait(seconds):
                        self._sleep(seconds)
                    case _Await(refresh, seconds):
                        wait((refresh,), timeout=seconds)
        except GeneratorExit:
            ended_early = True
        finally:
            self._close(request, answer, call)
        if ended_early:
            _hide_key_in_flight()

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - either library's request
        """Drives the decisions for an async client."""
        call = _Call(budget=self.ring.max_wait)
        steps = self._decide(request, call)
        answer: Any = None
        ended_early = False
        try:
            while (step := _advance(steps, answer)) is not None:
                match step:
                    case _Send():
                        answer = yield request
                    case _Read():
                        await answer.aread()
                    case _Wait(seconds):
                        await self._asleep(seconds)
                    case _Await(refresh, seconds):
                        await asyncio.wait((asyncio.wrap_future(refresh),), timeout=seconds)
        except GeneratorExit:
            ended_early = True
        finally:
            self._close(request, answer, call)
        if ended_early:
            _hide_key_in_flight()

    def _decide(self, request: "_Request", call: _Call) -> _Decisions:
        """The whole policy of a call: which key, when again, when to give up."""
        replayable = isinstance(request.stream, _REPLAYABLE)
        status = pause = None
        while True:
            yield from self._acquire(call)
            lease = call.lease
            if lease is None:
                if status == 403:  # noqa: PLR2004 - every key that could be asked was refused: the answer stands
                    return
                if observed():
                    emit(GuardEvent(kind=EventKind.KEYS_EXHAUSTED, retries=call.sent, status=status))
                raise KeysExhausted(call.retry_after)
            count_request(lease.label, again=call.sent > 0)
            if call.sent and observed():
                emit(
                    GuardEvent(
                        kind=EventKind.RETRIED, key=lease.label, status=status, retries=call.sent, duration=pause
                    )
                )
            request.headers["Authorization"] = f"Bearer {lease.secret.get_secret_value()}"
            response: _Response = yield _Send()
            call.sent += 1
            status = response.status_code
            count_answer(status)
            if status in READ_STATUSES:
                yield _Read()
            pause = self._learn(response, lease, call)
            if pause is None or not replayable or call.sent >= MAX_ATTEMPTS:
                return
            if pause:
                yield from self._spend(call, _Wait(pause))

    def _spend(self, call: _Call, step: _Wait | _Await) -> _Decisions:
        """Waits, and takes from the call's budget what it really took: on a busy machine that is more than asked for."""
        started = self.ring.clock()
        yield step
        least = step.seconds if isinstance(step, _Wait) else 0.0
        call.budget = max(0.0, call.budget - max(least, self.ring.clock() - started))

    def _acquire(self, call: _Call) -> _Decisions:
        """Puts into `call` a lease, after waiting for one if need be, or None and when to come back."""
        refresher = self.ring.refresher
        if refresher is not None:
            refresher.touch()
        waited = False
        patience = None
        while True:
            prefer = call.lease.label if call.lease else None
            taken = self.ring.take(tried=call.tried, refused=call.refused.keys(), prefer=prefer)
            if isinstance(taken, Lease):
                again = taken.label in call.tried
                if patience is None:
                    # A key that failed this very call is asked less and less often. Everybody else who waited for
                    # a key wakes now: spread them.
                    patience = self._backoff(call.again) if again else self._jitter(BACKOFF) if waited else 0.0
                    call.again += again
                elif not again:
                    patience = 0.0
                if patience <= 0 or call.budget <= 0:
                    call.lease = taken
                    return
                self.ring.release(taken)
                pause = min(patience, SLICE if again else BACKOFF, call.budget)
                patience -= pause
            elif refresher is not None and (refresh := refresher.refresh()) is not None and call.budget > 0:
                # No key is ready: their source may know better ones.
                yield from self._spend(call, _Await(refresh, min(inf if taken is None else taken, call.budget)))
                continue
            elif taken is None or taken > call.budget:
                call.lease, call.retry_after = None, taken
                return
            else:
                waited = True
                pause = min(taken, SLICE)
            yield from self._spend(call, _Wait(pause))

    def _learn(self, response: "_Response", lease: Lease, call: _Call) -> float | None:
        """Tells the ring what an answer means; gives the pause before another try, or None when the answer stands."""
        ring = self.ring
        match judge(response.status_code, response.content if response.status_code in READ_STATUSES else b""):
            case Verdict.ACCEPTED:
                ring.report_success(lease)
                if response.is_success:
                    for blamed in call.refused.values():
                        ring.report_auth_failure(blamed)
                call.lease = None  # the report has told all: there is no probe to free
                return None
            case Verdict.UNAUTHORISED:
                ring.report_auth_failure(lease)
                call.tried.add(lease.label)
            case Verdict.FORBIDDEN:
                ring.release(lease)
                ring.move_on(lease)
                call.refused[lease.label] = lease
            case Verdict.THROTTLED:
                ring.report_rate_limit(lease, retry_after(response.headers))
                call.tried.add(lease.label)
            case Verdict.SERVER_ERROR:
                ring.release(lease)
                return self._retry_pause(response, call)
            case Verdict.UNKNOWN:
                ring.release(lease)
                return None
        call.lease = None
        return 0.0

    def _retry_pause(self, response: "_Response", call: _Call) -> float | None:
        """Full jitter, and at least what the server asks for; None when the call has had its share."""
        pause = max(self._backoff(call.retries), retry_after(response.headers) or 0.0)
        if call.retries >= self._retries or pause > call.budget:
            return None
        call.retries += 1
        return pause

    def _backoff(self, times: int) -> float:
        """Full jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""
        return self._jitter(min(MAX_BACKOFF, BACKOFF * 2.0**times))

    def _close(self, request: "_Request", answer: "_Response | None", call: _Call) -> None:
        """Frees a probe that told nothing, and takes the key out of whatever outlives the call."""
        if call.lease is not None:
            self.ring.release(call.lease)
        _hide_key(request)
        if answer is not None:
            _hide_key(answer.next_request)
            for each in (answer, *answer.history):
                if each.request is not request:
                    _hide_key(each.request)


def _advance(steps: _Decisions, answer: Any) -> _Step | None:  # noqa: ANN401 - either library's response
    try:
        return steps.send(answer)
    except StopIteration:
        return None


def _hide_key_in_flight() -> None:
    """Cleans the request that the client's error keeps: after a redirect, it is not the one that the flow sent.

    The client closes a flow while its error is on the way, so that this error is the current exception.
    """
    with suppress(RuntimeError):  # both libraries raise it where an error has no request
        _hide_key(getattr(sys.exception(), "request", None))


def _hide_key(request: Any) -> None:  # noqa: ANN401 - either library's request, or nothing
    """Leaves the header in place, so that one can see that there was one, without the key."""
    headers = getattr(request, "headers", None)
    if headers is not None and "Authorization" in headers:
        headers["Authorization"] = "[key hidden]"
