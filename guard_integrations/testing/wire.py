"""Answers on their way out, and the faults that befall them there."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from guard_integrations.testing.answers import Reply, Stream
from guard_integrations.testing.faults import Fault

__all__ = ["WireResponse", "error_reply"]

_ERRORS = {
    400: ("Invalid request", "invalid_request_error", "3000"),
    401: ("Unauthorized", "unauthorized", "1000"),
    403: ("You do not have permission to access this resource", "forbidden", "1200"),
    404: ("Not found", "not_found", "1400"),
    429: ("Rate limit exceeded", "rate_limited", "1300"),
    503: ("Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"),
}
_LISTS = ("results", "data", "choices")


def error_reply(status: int) -> Reply:
    """The body Mistral sends with a status."""
    if status == HTTPStatus.UNAUTHORIZED:
        return Reply(status=status, body={"detail": "Unauthorized"})
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return Reply(status=status, body={"detail": [{"type": "value_error", "loc": ["body"], "msg": "Invalid"}]})
    message, kind, code = _ERRORS.get(status, ("Internal server error", "internal_server_error", "1000"))
    return Reply(status=status, body={"object": "error", "message": message, "type": kind, "param": None, "code": code})


class WireResponse(Response):
    """One answer with at most one fault, sent without the detours of a general response.

    A connection is dropped by returning before the body is complete: the server then closes it, and the client sees a
    body that ends too early.
    """

    def __init__(self, answer: Reply | Stream, fault: Fault, headers: Mapping[str, str] | None = None) -> None:
        self._answer = answer
        self._fault = fault
        self._extra = {**(headers or {}), **answer.headers, **fault.headers}
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        answer = self._answer
        if self._fault.body is not None:
            await self._send_plain(self._fault.status or 200, self._fault.body.encode(), send)
        elif isinstance(answer, Stream):
            await self._send_stream(answer, send)
        else:
            await self._send_plain(answer.status, _encoded(answer.body, self._fault), send)

    async def _start(self, send: Send, status: int, kind: str, length: int | None = None) -> None:
        headers = {"content-type": kind, **({} if length is None else {"content-length": str(length)}), **self._extra}
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        if self._fault.first_byte_delay:
            # An empty piece makes the server send the headers now.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            await asyncio.sleep(self._fault.first_byte_delay)

    async def _send_plain(self, status: int, content: bytes, send: Send) -> None:
        await self._start(send, status, "application/json", len(content))
        if self._fault.cut_after is not None:
            await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
            return
        await send({"type": "http.response.body", "body": content})

    async def _send_stream(self, answer: Stream, send: Send) -> None:
        await self._start(send, 200, "text/event-stream; charset=utf-8")
        sent = 0
        async for frame in self._frames(answer):
            if self._fault.cut_after is not None and sent >= self._fault.cut_after:
                return
            await send({"type": "http.response.body", "body": frame, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    async def _frames(self, answer: Stream) -> AsyncIterator[bytes]:
        fault = self._fault
        for place, frame in enumerate(answer.frames):
            if place and fault.chunk_delay:
                await asyncio.sleep(fault.chunk_delay)
            if place == fault.error_frame_after:
                yield _framed(
                    {
                        "object": "error",
                        "message": "Internal server error",
                        "type": "internal_server_error",
                        "code": "1000",
                    }
                )
                return
            if place == fault.without_choices_after:
                yield _framed({"id": answer.id, "object": "chat.completion.chunk", "model": answer.model})
            if place == 1 and fault.malformed:
                yield frame[: len(frame) // 2] + b"\n\n"
            yield frame


def _framed(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _encoded(body: object, fault: Fault) -> bytes:
    if body is None:
        return b""
    if isinstance(body, dict):
        body = {name: _spoilt(value, fault) if name in _LISTS else value for name, value in body.items()}
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
    return content[: len(content) // 2] if fault.malformed else content


def _spoilt(values: object, fault: Fault) -> object:
    if fault.half_results and isinstance(values, list):
        values = values[: len(values) // 2]
    return _nulled(values) if fault.nulls else values


def _nulled(value: object) -> object:
    if isinstance(value, dict):
        return {name: _nulled(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_nulled(part) for part in value]
    return None
