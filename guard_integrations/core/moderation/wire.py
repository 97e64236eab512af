"""One question to the classifier over HTTP: sent, checked, and every way it can fail named without content."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import httpx

from guard_integrations.core.moderation.breaker import Breaker
from guard_integrations.core.moderation.decision import COMPONENT, Answer, parse_answers
from guard_integrations.errors import GuardError, GuardUnavailable

if TYPE_CHECKING:
    from guard_integrations.core.rotation.ring import KeyRing

__all__ = ["Question", "Wire", "WireSettings"]

BREAKER_FAILURES = 5
BREAKER_RECOVERY = 30.0

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
    clock: Callable[[], float]


class Wire:
    """A connection pool, what may run at once over it, and the breaker that watches it. Lives in one event loop."""

    def __init__(self, settings: WireSettings) -> None:
        self._model = settings.model
        self._timeout = settings.timeout
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._breaker = Breaker(failures=BREAKER_FAILURES, recovery=BREAKER_RECOVERY, clock=settings.clock)
        limits = httpx.Limits(max_connections=settings.max_concurrency, max_keepalive_connections=None)
        self._client = httpx.AsyncClient(
            auth=settings.keys.auth(),
            base_url=settings.base_url,
            timeout=settings.timeout,
            # Answers 429 and 5xx are the auth flow's to retry; this is for connections that do not come about.
            transport=settings.transport or httpx.AsyncHTTPTransport(retries=1, limits=limits),
        )

    async def aclose(self) -> None:
        """Closes the pool."""
        await self._client.aclose()

    async def ask(self, question: Question) -> tuple[Answer, ...]:
        """The answers, one for each input.

        Raises:
            GuardUnavailable: whatever went wrong, without content.
            KeysExhausted: when no key may be used.
        """
        async with self._slots:
            if not self._breaker.admit():
                raise GuardUnavailable(
                    COMPONENT, f"the classifier failed {BREAKER_FAILURES} times in a row: it is left alone for a while"
                )
            try:
                return await self._ask(question)
            finally:
                self._breaker.abandoned()

    async def _ask(self, question: Question) -> tuple[Answer, ...]:
        response: httpx.Response | None = None
        failure: GuardError | None = None
        try:
            response = await self._client.post(
                question.path, json={"model": self._model, "input": list(question.inputs)}
            )
        except GuardError as error:
            failure = error
        except httpx.TimeoutException:
            failure = GuardUnavailable(COMPONENT, f"the classifier did not answer within {self._timeout:g} s")
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the request
            failure = GuardUnavailable(COMPONENT, f"the classifier could not be asked: {type(error).__name__}")
        if response is None:
            self._fail(failure or GuardUnavailable(COMPONENT, "the classifier gave no answer"))
        if response.status_code != httpx.codes.OK:
            status = response.status_code
            advice = _ADVICE.get(status, "the classifier failed: try again later")
            self._fail(GuardUnavailable(COMPONENT, f"HTTP {status}: {advice}", status=status))
        body: object = None
        try:
            body = response.json()
        except (ValueError, RecursionError):
            failure = GuardUnavailable(COMPONENT, "the classifier's answer is not JSON", status=response.status_code)
        if failure:
            self._fail(failure)
        try:
            answers = parse_answers(body, len(question.inputs))
        except GuardUnavailable as error:
            failure = error
        if failure:
            self._fail(failure)
        self._breaker.succeeded()
        return answers

    def _fail(self, failure: GuardError) -> NoReturn:
        """Raises it, with nothing attached; the breaker counts it when the service is to blame."""
        status = failure.status if isinstance(failure, GuardUnavailable) else None
        ours = status is not None and httpx.codes.is_client_error(status)
        if isinstance(failure, GuardUnavailable) and not ours:
            self._breaker.failed()
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None)
