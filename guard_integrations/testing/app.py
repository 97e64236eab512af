"""The routes of the local server: log, key, fault, validation, model, answer."""

import asyncio
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guard_integrations.testing.answers import (
    Reply,
    Stream,
    answer_chat,
    answer_chat_moderation,
    answer_embeddings,
    answer_fim,
    answer_models,
    answer_moderation,
)
from guard_integrations.testing.faults import Fault, FaultPlan
from guard_integrations.testing.keys import KeyTable, ServerKey
from guard_integrations.testing.request_log import ReceivedRequest, RequestLog
from guard_integrations.testing.schemas import (
    ChatModerationRequest,
    ChatRequest,
    EmbeddingRequest,
    FIMRequest,
    ModerationRequest,
)
from guard_integrations.testing.wire import WireResponse, error_reply

__all__ = ["build"]

_NO_FAULT = Fault()
_Body = TypeVar("_Body", bound=BaseModel)
_Answering = Callable[[bytes, Fault], Reply | Stream]


def build(keys: KeyTable, faults: FaultPlan, log: RequestLog) -> Starlette:
    """The ASGI application over these three, which may change while it runs."""

    async def note(request: Request) -> tuple[bytes, ServerKey | None]:
        content = await request.body()
        headers = dict(request.headers)
        scheme, _, secret = headers.pop("authorization", "").partition(" ")
        key = keys.get(secret) if scheme.lower() == "bearer" else None
        log.append(
            ReceivedRequest(
                method=request.method,
                path=request.url.path,
                key=key.label if key else None,
                time=time.monotonic(),
                headers=headers,
                content=content,
            )
        )
        return content, key

    async def unknown(request: Request, error: Exception) -> Response:
        await note(request)
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
        return WireResponse(Reply(status=status, body={"detail": HTTPStatus(status).phrase}), _NO_FAULT)

    def route(path: str, method: str, answering: _Answering) -> Route:
        async def endpoint(request: Request) -> Response:
            content, key = await note(request)
            if key and key.latency:
                await asyncio.sleep(key.latency)
            refusal, limits = keys.check(key)
            if refusal:
                return WireResponse(Reply(status=refusal.status, body=refusal.body, headers=refusal.headers), _NO_FAULT)
            fault = faults.take(path, key.label if key else None) or _NO_FAULT
            if fault.latency:
                await asyncio.sleep(fault.latency)
            if fault.status is not None and fault.status != HTTPStatus.OK:
                return WireResponse(error_reply(fault.status), fault, limits)
            return WireResponse(answering(content, fault), fault, limits)

        return Route(path, endpoint, methods=[method])

    return Starlette(
        exception_handlers={HTTPException: unknown},
        routes=[
            route("/v1/chat/completions", "POST", _validated(ChatRequest, answer_chat)),
            route("/v1/fim/completions", "POST", _validated(FIMRequest, _plainly(answer_fim))),
            route("/v1/moderations", "POST", _validated(ModerationRequest, _plainly(answer_moderation))),
            route("/v1/chat/moderations", "POST", _validated(ChatModerationRequest, _plainly(answer_chat_moderation))),
            route("/v1/embeddings", "POST", _validated(EmbeddingRequest, _plainly(answer_embeddings))),
            route("/v1/models", "GET", lambda _content, _fault: answer_models()),
        ],
    )


def _plainly(answering: Callable[[_Body], Reply | Stream]) -> Callable[[_Body, Fault], Reply | Stream]:
    return lambda body, _fault: answering(body)


def _validated(schema: type[_Body], answering: Callable[[_Body, Fault], Reply | Stream]) -> _Answering:
    """Answer 422 in Mistral's form, which echoes the input, to what does not fit the schema."""

    def answer(content: bytes, fault: Fault) -> Reply | Stream:
        try:
            body = schema.model_validate_json(content)
        except ValidationError as error:
            details = json.loads(error.json(include_url=False))
        else:
            return answering(body, fault)
        for detail in details:
            detail["loc"] = ["body", *detail["loc"]]
        return Reply(status=422, body={"detail": details})

    return answer
