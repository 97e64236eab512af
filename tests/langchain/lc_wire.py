"""A model whose every word is in the test's hands: the mock stands at the wire, everything above it is real."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx
from langchain_mistralai import ChatMistralAI

from guard_integrations.langchain import GuardedChatMistralAI

__all__ = ["Wire", "guarded", "plain"]


class Frames(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes event by event, as from a server; nothing reads it ahead of the reader."""

    def __init__(self, body: bytes):
        self.events = [event + b"\n\n" for event in body.split(b"\n\n") if event]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.events)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self.events:
            yield event


class Wire:
    """Answers every chat request with `chunks`; keeps what it was sent."""

    def __init__(
        self, chunks: Sequence[Any] = ("",), *, calls: Sequence[dict[str, Any]] = (), status: int = 200, body: str = ""
    ):
        self.chunks = list(chunks)
        self.calls = list(calls)
        self.status = status
        self.body = body
        self.sent: list[dict[str, Any]] = []
        self.responses: list[httpx.Response] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        self.sent.append(asked)
        if self.status != 200:
            return httpx.Response(self.status, text=self.body)
        if asked.get("stream"):
            streamed = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Frames(self._events()))
            self.responses.append(streamed)
            return streamed
        return httpx.Response(200, json=self._answer())

    @property
    def user(self) -> Any:
        """What the model was given as the last user message."""
        return [message["content"] for message in self.sent[-1]["messages"] if message["role"] == "user"][-1]

    def _answer(self) -> dict[str, Any]:
        content: Any = [] if any(isinstance(chunk, list) for chunk in self.chunks) else ""
        for chunk in self.chunks:
            content += (
                [{"type": "text", "text": chunk}] if isinstance(content, list) and isinstance(chunk, str) else chunk
            )
        message = {"role": "assistant", "content": content}
        if self.calls:
            message["tool_calls"] = self.calls
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "mistral-small",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if self.calls else "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }

    def _events(self) -> bytes:
        frames = [{"role": "assistant", "content": ""}, *({"content": chunk} for chunk in self.chunks)]
        events = [self._frame(delta) for delta in frames]
        last: dict[str, Any] = {"content": ""}
        if self.calls:
            last["tool_calls"] = [{**call, "index": number} for number, call in enumerate(self.calls)]
        events.append(self._frame(last, "tool_calls" if self.calls else "stop"))
        return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"

    def _frame(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        frame: dict[str, Any] = {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "mistral-small",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        if reason:
            frame["usage"] = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        return frame


class Script(Wire):
    """Says one thing after the other: a tool call first, then a text."""

    def __init__(self, *turns):
        super().__init__()
        self.turns = list(turns)

    def __call__(self, request):
        turn = self.turns.pop(0)
        self.calls, self.chunks = ([turn], [""]) if isinstance(turn, dict) else ([], list(turn))
        return super().__call__(request)


def guarded(wire: Wire, **settings: Any) -> GuardedChatMistralAI:
    """A guarded model on a wire, without moderation unless it is asked for."""

    async def answer(request: httpx.Request) -> httpx.Response:
        return wire(request)

    clients = {
        "client": httpx.Client(transport=httpx.MockTransport(wire), base_url="http://127.0.0.1/v1"),
        "async_client": httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://127.0.0.1/v1"),
    }
    return GuardedChatMistralAI(**{**clients, "moderation": "off", **settings})


def plain(wire: Wire, **settings: Any) -> ChatMistralAI:
    """LangChain's own model on a wire."""

    async def answer(request: httpx.Request) -> httpx.Response:
        return wire(request)

    return ChatMistralAI(
        client=httpx.Client(transport=httpx.MockTransport(wire), base_url="http://127.0.0.1/v1"),
        async_client=httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://127.0.0.1/v1"),
        **{"max_retries": 1, **settings},
    )
