"""One question to the classifier over HTTP: sent, checked, and every way it can fail named without content."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from anyio import CancelScope, current_time

from guard_integrations.core.moderation.breaker import Breaker, Outcome
from guard_integrations.core.moderation.decision import COMPONENT, Answer, parse_answers
from guard_integrations.core.moderation.shared_cache import SharedCache
from guard_integrations.errors import GuardError, GuardUnavailable

if TYPE_CHECKING:
    from guard_integrations.core.rotation.ring import KeyRing

T = TypeVar("T")

__all__ = ["Question", "Wire", "WireSettings"]

BREAKER_FAILURES = 5
BREAKER_RECOVERY = 30.0

_CLOSING = 1.0
"""Seconds that exchanges have to end when the pool is closed."""
_STALE = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
_ADVICE = {
    401: "no API key was accepted: replace the keys",
    403: "the API key may not use moderation: check its workspace's permissions",
    404: "there is no such endpoint or model: check base_url and model",
    422: "the API refused the request as not valid: check the name of the model",
    429: "the workspace is over its rate limit: add a key of another one, or slow down",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request: the texts, or conversations, whose answers come back in the same order."""

    path: str
    inputs: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSettings:
    """Where and how to ask."""

    base_url: str
    model: str
    keys: "KeyRing"
    timeout: float
    max_concurrency: int
    transport: httpx.AsyncBaseTransport | None
    shared_cache: Callable[[], SharedCache] | None
    clock: Callable[[], float]


class Wire:
    """A connection pool, what may run at once over it, and the breaker that watches it. Lives in one event loop."""

    def __init__(self, settings: WireSettings) -> None:
        self._model = settings.model
        self._timeout = settings.timeout
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._breaker = Breaker(failures=BREAKER_FAILURES, recovery=BREAKER_RECOVERY, clock=settings.clock)
        # The slots bound what runs at once. A queue inside the pool would keep a place for a caller who has left it.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=settings.max_concurrency)
        self._client = httpx.AsyncClient(
            auth=settings.keys.auth(),
            base_url=settings.base_url,
            timeout=settings.timeout,
            # Answers 429 and 5xx are the auth flow's to retry; this is for connections that do not come about.
            transport=settings.transport or httpx.AsyncHTTPTransport(retries=1, limits=limits),
        )
        self._exchanges: set[asyncio.Task[Any]] = set()
        self.shared_cache = settings.shared_cache() if settings.shared_cache else None

    async def aclose(self) -> None:
        """Closes the pool, once the exchanges that callers have left are at their ends."""
        if self._exchanges:
            await asyncio.wait(self._exchanges, timeout=_CLOSING)
        await self._client.aclose()
        if self.shared_cache is not None:
            await self.shared_cache.aclose()

    async def ask(self, question: Question) -> tuple[Answer, ...]:
        """The answers, one for each input.

        Raises:
            GuardUnavailable: whatever went wrong, without content.
            KeysExhausted: when no key may be used.
        """
        async with self._slots:
            admission = self._breaker.admit()
            if admission is None:
                raise GuardUnavailable(
                    COMPONENT, f"the classifier failed {BREAKER_FAILURES} times in a row: it is left alone for a while"
                )
            outcome = Outcome.NOTHING
            try:
                reply = await self._ask(question)
                outcome = Outcome.ANSWERED if isinstance(reply, tuple) else _said_about_the_service(reply)
            finally:
                self._breaker.ended(admission, outcome)
        if isinstance(reply, tuple):
            return reply
        reply.__cause__ = reply.__context__ = None
        raise reply.with_traceback(None)

    async def _ask(self, question: Question) -> tuple[Answer, ...] | GuardError:
        """The answers, or the error to raise once no other is being handled."""
        try:
            response = await self._within(self._timeout, self._post(question))
        except GuardError as error:
            return error
        except (TimeoutError, httpx.TimeoutException):
            return GuardUnavailable(COMPONENT, f"the classifier did not answer within {self._timeout:g} s")
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the request
            return GuardUnavailable(COMPONENT, f"the classifier could not be asked: {type(error).__name__}")
        return _read(response, len(question.inputs))

    async def _post(self, question: Question) -> httpx.Response:
        body = {"model": self._model, "input": list(question.inputs)}
        try:
            return await self._client.post(question.path, json=body)
        except _STALE:
            # A connection that was kept open may be closed by the server at the moment of its next use.
            return await self._client.post(question.path, json=body)

    async def _within(self, seconds: float, exchange: Coroutine[Any, Any, T]) -> T:
        """Its result, unless it takes too long or the caller is cancelled; then the exchange is cancelled by anyio.

        The connection pool closes what it has open under anyio's shields. A task's own `cancel` passes through those,
        and costs the pool a connection for good when it comes at the wrong moment; so the exchange runs in a task
        that nobody cancels.

        Raises:
            TimeoutError: when it takes too long.
        """
        scope = CancelScope()

        async def shielded() -> T:
            with scope:
                return await exchange
            raise TimeoutError

        scope.deadline = current_time() + seconds
        task = asyncio.get_running_loop().create_task(shielded())
        self._exchanges.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        finally:
            scope.cancel()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._exchanges.discard(task)
        if not task.cancelled():
            # Looked at, or asyncio would print it, with the request in its traceback.
            task.exception()


def _read(response: httpx.Response, expected: int) -> tuple[Answer, ...] | GuardUnavailable:
    status = response.status_code
    if status != httpx.codes.OK:
        advice = _ADVICE.get(status, "the classifier failed: try again later")
        return GuardUnavailable(COMPONENT, f"HTTP {status}: {advice}", status=status)
    try:
        return parse_answers(response.json(), expected)
    except (ValueError, RecursionError):
        return GuardUnavailable(COMPONENT, "the classifier's answer is not JSON", status=status)
    except GuardUnavailable as error:
        return error


def _said_about_the_service(failure: GuardError) -> Outcome:
    """A key that is refused or a request that is not valid is ours; silence, nonsense and 5xx are the service's."""
    if not isinstance(failure, GuardUnavailable):
        return Outcome.NOTHING
    ours = failure.status is not None and httpx.codes.is_client_error(failure.status)
    return Outcome.NOTHING if ours else Outcome.FAILED
