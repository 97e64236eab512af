"""The playground's server: one page, and two functions behind it. Loopback only, no external asset, a strict CSP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard_integrations.cli.playground.model import Model
from guard_integrations.core.findings import Finding, ScanResult
from guard_integrations.core.policy import Actions, GuardPolicy, Profile
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.scanner.catalogue import catalogue
from guard_integrations.errors import GuardError

__all__ = ["playground"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ASSETS = {
    "": ("index.html", "text/html"),
    "app.js": ("app.js", "text/javascript"),
    "style.css": ("style.css", "text/css"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
MOST_CHARS = 200_000
PACE = 0.03
"""Seconds between two pieces of the local model's answer, so that an eye can follow."""


class _Asked(BaseModel):
    """What the page sends: a text, where it stands, and the policy's toggles."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    text: str = Field(max_length=MOST_CHARS)
    stage: Literal["input", "document", "tool", "output"] = "input"
    profile: Profile = "balanced"
    actions: Actions | None = None
    system: str = Field(default="", max_length=MOST_CHARS)
    guarded: bool = True

    def policy(self) -> GuardPolicy:
        """The policy that the toggles make."""
        actions = {} if self.actions is None else {"actions": self.actions.model_dump(exclude_unset=True)}
        return GuardPolicy.model_validate({"profile": self.profile, **actions})


def playground(model: Model, *, pace: float = PACE) -> Starlette:
    """The application.

    Args:
        model: who answers.
        pace: seconds between two pieces of an answer.
    """

    async def answer(request: Request) -> Response:
        asked = await _asked(request)
        if isinstance(asked, Response):
            return asked
        return StreamingResponse(_lines(_answered(model, asked, pace)), media_type="application/x-ndjson")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await model.close()

    return Starlette(
        routes=[
            *(Route(f"/{path}", _asset(*asset)) for path, asset in ASSETS.items()),
            Route("/api/scan", _scan, methods=["POST"]),
            Route("/api/answer", answer, methods=["POST"]),
        ],
        middleware=[
            Middleware(_Headers),
            # A page elsewhere whose name resolves to this machine must not reach it.
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
        ],
        lifespan=lifespan,
    )


class _Headers:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


def _asset(name: str, kind: str) -> Any:  # noqa: ANN401 - an endpoint, which Starlette does not type
    content = files(__package__).joinpath("assets", name).read_bytes()

    async def endpoint(_: Request) -> Response:
        return Response(content, media_type=kind)

    return endpoint


async def _scan(request: Request) -> Response:
    asked = await _asked(request)
    if isinstance(asked, Response):
        return asked
    return _json(await asyncio.to_thread(_scanned, asked))


async def _asked(request: Request) -> _Asked | Response:
    """What the page asks; an answer where it asks nonsense, or is another site's page."""
    # A form of another site cannot send JSON, and its scripts need a leave that nobody gives.
    if request.headers.get("content-type") != "application/json":
        return _json({"problem": "Send JSON."}, status=415)
    try:
        return _Asked.model_validate_json(await request.body())
    except ValidationError as error:
        wrong = sorted({str(each["loc"][0]) if each["loc"] else "body" for each in error.errors(include_input=False)})
    return _json({"problem": f"This does not fit: {', '.join(wrong)}."}, status=422)


def _scanned(asked: _Asked) -> dict[str, Any]:
    """What the guard of a stage makes of a text."""
    guard = _input_sanitizer(asked.policy())
    scan: ScanResult | None = None
    problem, clean = "", ""
    found: tuple[Finding, ...] = ()
    started = time.perf_counter()
    try:
        if asked.stage == "output":
            done = _output_sanitizer(asked.policy(), asked.system).sanitize(asked.text)
        else:
            done = guard.sanitize(asked.text, asked.stage)
        clean, found = done.text, done.findings
    except GuardError as error:
        problem = str(error)
    seconds = time.perf_counter() - started
    if asked.stage != "output":
        scan = guard.scan(asked.text, asked.stage)
        # A refusal gives no findings, and a reader wants to see why.
        found = found or scan.findings
    return {
        "clean": clean,
        "problem": problem,
        "findings": _told(found),
        "score": None if scan is None else round(scan.injection_score, 3),
        "milliseconds": round(seconds * 1000, 2),
    }


async def _answered(model: Model, asked: _Asked, pace: float) -> AsyncIterator[dict[str, Any]]:
    """A question's way through the guard, the model, and the sanitizer of its stream."""
    started = time.perf_counter()
    cost = 0.0
    policy = asked.policy()
    try:
        question = asked.text
        if asked.guarded:
            question = _input_sanitizer(policy).sanitize(asked.text).text
        stream = _output_sanitizer(policy, asked.system).stream()
        async for piece in model.answer(asked.system, question):
            before = time.perf_counter()
            shown = stream.feed(piece) if asked.guarded else piece
            cost += time.perf_counter() - before
            yield {"raw": piece, "shown": shown, "held": stream.held}
            await asyncio.sleep(pace)
        yield {"raw": "", "shown": stream.finish() if asked.guarded else "", "held": 0}
        yield {"findings": _told(stream.findings)}
    except GuardError as error:
        yield {"problem": str(error)}
    except httpx.HTTPStatusError as error:
        yield {"problem": f"The server answered {error.response.status_code}."}
    except httpx.HTTPError as error:
        yield {"problem": f"The server cannot be reached ({type(error).__name__})."}
    yield {"seconds": round(time.perf_counter() - started, 2), "guard_milliseconds": round(cost * 1000, 2)}


async def _lines(objects: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    async for each in objects:
        yield json.dumps(each) + "\n"


def _told(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    reasons = _reasons()
    return [
        {
            "rule": finding.rule,
            "category": finding.category.value,
            "severity": finding.severity.value,
            "action": finding.action.value,
            "start": finding.start,
            "end": finding.end,
            "why": reasons.get(finding.rule, ""),
        }
        for finding in findings
    ]


@lru_cache(maxsize=1)
def _reasons() -> dict[str, str]:
    return {entry.id: entry.rationale for entry in catalogue()}


@lru_cache(maxsize=32)
def _input_sanitizer(policy: GuardPolicy) -> InputSanitizer:
    return InputSanitizer(policy)


@lru_cache(maxsize=32)
def _output_sanitizer(policy: GuardPolicy, system: str) -> OutputSanitizer:
    made = OutputSanitizer(policy, system_prompt=system or None)
    # What is compiled and loaded when it is first needed would otherwise count as the first answer's time.
    stream = made.stream()
    for piece in ("Call +33 6 12 ", "34 56 78, card 4111 1111 1111 1111."):
        stream.feed(piece)
    return made


def _json(content: dict[str, Any], *, status: int = 200) -> Response:
    # ASCII, since half a surrogate pair, which a page may send, is no UTF-8.
    return Response(json.dumps(content), status, media_type="application/json")
