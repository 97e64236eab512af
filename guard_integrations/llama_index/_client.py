"""The Mistral SDK's client behind a guard: all that `MistralAI` asks of it, and nothing else."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

import httpx2
from llama_index.llms.mistralai import MistralAI
from mistralai.client import Mistral, models
from mistralai.client.chat import Chat
from mistralai.client.types.basemodel import UnrecognizedStr

from guard_integrations.core.flow import Flow, Give, Wait, agive, arun, give, run
from guard_integrations.core.model_errors import broken_off
from guard_integrations.core.moderation.reading import AsyncReader, Came, Reader
from guard_integrations.core.moderation.verdict_hooks import VERDICT_HOOKS, VERDICT_HOOKS_ASYNC
from guard_integrations.core.rotation.auth import KeyRingAuth
from guard_integrations.core.rotation.ring import KeyRing
from guard_integrations.core.runs import current
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._answers import AnswerGuard, Piece
from guard_integrations.llama_index._errors import without_content
from guard_integrations.llama_index._guard import ModelGuard, ask

__all__ = ["CONTENT_FILTER", "GuardedClient", "fim_request", "mistral_client"]

CONTENT_FILTER: Final = "content_filter"
"""Finish reason of an answer that a guard has replaced."""


_CONNECT_RETRIES: Final = 2
"""A connection that does not come about is tried again; answers 429 and 5xx are the key ring's to retry."""


def mistral_client(ring: KeyRing, address: str, *, retries: int) -> Mistral:
    """The SDK's own client, whose requests carry the ring's keys."""
    auth = KeyRingAuth(ring, retries=retries)
    return Mistral(
        server_url=address,
        client=httpx2.Client(
            auth=auth,
            follow_redirects=True,
            event_hooks=VERDICT_HOOKS,
            transport=httpx2.HTTPTransport(retries=_CONNECT_RETRIES),
        ),
        async_client=httpx2.AsyncClient(
            auth=auth,
            follow_redirects=True,
            event_hooks=VERDICT_HOOKS_ASYNC,
            transport=httpx2.AsyncHTTPTransport(retries=_CONNECT_RETRIES),
        ),
    )


def fim_request(settings: MistralAI, prompt: str, suffix: str | None, stop: list[str] | None) -> dict[str, Any]:
    """What `GuardedFim` sends for a model's settings."""
    request = {"model": settings.model, "timeout_ms": int(settings.timeout * 1000), "prompt": prompt}
    return {**request, "suffix": suffix or "", **({"stop": stop} if stop else {})}


class GuardedClient:
    """Stands in for the SDK's client."""

    def __init__(self, client: Mistral, guard: ModelGuard) -> None:
        self.chat = GuardedChat(client, guard)
        self.fim = GuardedFim(client, guard)


class GuardedChat:
    """Chat completions, moderated on both sides, with safe answers."""

    def __init__(self, client: Mistral, guard: ModelGuard) -> None:
        self._client = client
        self._guard = guard

    def complete(self, *, messages: Sequence[Any], **request: Any) -> models.ChatCompletionResponse:  # noqa: ANN401 - the SDK's own arguments
        """A whole answer."""
        return run(self._complete(messages, request))

    async def complete_async(self, *, messages: Sequence[Any], **request: Any) -> models.ChatCompletionResponse:  # noqa: ANN401 - as above
        """The twin of `complete`."""
        return await arun(self._complete(messages, request))

    def stream(self, *, messages: Sequence[Any], **request: Any) -> Generator[models.CompletionEvent, None, None]:  # noqa: ANN401 - as above
        """An answer in pieces. The request is sent at once, so that what is wrong with it is raised here.

        Where the input is moderated beside the answer, it is sent when the first piece is asked for.
        """
        reader: Reader[models.CompletionEvent] = Reader(beside=self._guard.early)
        call = _Streamed(self._guard, messages, request, reader)
        run(call.open(self._client.chat))
        return call.read(reader)

    async def stream_async(
        self,
        *,
        messages: Sequence[Any],
        **request: Any,  # noqa: ANN401 - as above
    ) -> AsyncGenerator[models.CompletionEvent, None]:
        """The twin of `stream`."""
        reader: AsyncReader[models.CompletionEvent] = AsyncReader(beside=self._guard.early)
        call = _Streamed(self._guard, messages, request, reader)
        await arun(call.open(self._client.chat))
        return call.aread(reader)

    def _complete(self, messages: Sequence[Any], request: dict[str, Any]) -> Flow[Any, models.ChatCompletionResponse]:
        chat = self._client.chat
        asked = Wait(
            partial(chat.complete, messages=messages, **request),
            partial(chat.complete_async, messages=messages, **request),
        )
        flow = _answer(self._guard, messages, asked, as_json=_wants_json(request))
        return self._guard.or_refusal(flow, partial(_refused, request))


class GuardedFim:
    """Fill-in-the-middle, moderated on both sides, with safe answers."""

    def __init__(self, client: Mistral, guard: ModelGuard) -> None:
        self._client = client
        self._guard = guard

    def complete(self, *, prompt: str, **request: Any) -> models.ChatCompletionResponse:  # noqa: ANN401 - the SDK's own arguments
        """What stands between the prompt and the suffix."""
        return run(self._complete(prompt, request))

    async def complete_async(self, *, prompt: str, **request: Any) -> models.ChatCompletionResponse:  # noqa: ANN401 - as above
        """The twin of `complete`."""
        return await arun(self._complete(prompt, request))

    def _complete(self, prompt: str, request: dict[str, Any]) -> Flow[Any, models.ChatCompletionResponse]:
        fim = self._client.fim
        flow = _answer(
            self._guard,
            [{"role": "user", "content": f"{prompt}\n{request.get('suffix') or ''}"}],
            Wait(
                partial(fim.complete, prompt=prompt, **request),
                partial(fim.complete_async, prompt=prompt, **request),
            ),
        )
        return self._guard.or_refusal(flow, partial(_refused, request))


def _answer(
    guard: ModelGuard, messages: Sequence[Any], asked: Wait, *, as_json: bool = False
) -> Flow[Any, models.ChatCompletionResponse]:
    """A whole answer, each of its choices made safe and judged."""
    entry = yield from guard.admit(messages)
    response = yield from guard.beside(entry, asked)
    choices: list[models.ChatCompletionChoice] = []
    for choice in response.choices:
        said = choice.message or models.AssistantMessage()
        piece = yield from guard.whole(said.content, said.tool_calls, as_json=as_json)
        choices.append(_choice(piece, choice.finish_reason, index=choice.index))
    return models.ChatCompletionResponse(
        id=response.id,
        object=response.object,
        model=response.model,
        usage=response.usage,
        created=response.created,
        choices=choices,
    )


def _choice(piece: Piece, finish_reason: str, *, index: int = 0) -> models.ChatCompletionChoice:
    message = models.AssistantMessage(content=piece.content, tool_calls=list(piece.tool_calls) or None)
    return models.ChatCompletionChoice(index=index, finish_reason=UnrecognizedStr(finish_reason), message=message)


def _refused(request: dict[str, Any], refusal: str) -> models.ChatCompletionResponse:
    usage = models.UsageInfo(prompt_tokens=0, completion_tokens=0, total_tokens=0)
    return models.ChatCompletionResponse(
        id="",
        object="chat.completion",
        model=str(request.get("model", "")),
        usage=usage,
        created=0,
        choices=[_choice(Piece(text=refusal), CONTENT_FILTER)],
    )


def _wants_json(request: dict[str, Any]) -> bool:
    wanted = request.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else getattr(wanted, "type", None)
    return kind in ("json_object", "json_schema")


class _Streamed:
    """One streamed answer."""

    def __init__(
        self,
        guard: ModelGuard,
        messages: Sequence[Any],
        request: dict[str, Any],
        reader: Reader[models.CompletionEvent] | AsyncReader[models.CompletionEvent],
    ) -> None:
        self._guard = guard
        self._messages = messages
        self._request = request
        self._reader = reader
        self._answer = AnswerGuard(guard.sanitizer, as_json=_wants_json(request))
        self._release = guard.release(None)
        self._back = guard.restorer()
        self._run = current()
        self._opened = False
        self._last = models.CompletionChunk(id="", model=str(request.get("model", "")), choices=[])

    def open(self, chat: Chat) -> Flow[Any, None]:
        """Judges the input and sends the request, unless it is blocked and a refusal is to be answered."""
        return self._guard.or_refusal(self._open(chat), lambda _: None)

    def _open(self, chat: Chat) -> Flow[Any, None]:
        entry = yield from self._guard.admit(self._messages)
        asked = Wait(
            partial(chat.stream, messages=self._messages, **self._request),
            partial(chat.stream_async, messages=self._messages, **self._request),
        )
        upstream: Any
        if entry is None:
            upstream = yield from ask(asked)
        else:
            self._release = self._guard.release(entry)
            upstream = _later(asked.sync) if isinstance(self._reader, Reader) else _alater(asked.awaited)
        self._reader.open(upstream)
        self._opened = True

    def read(self, reader: Reader[models.CompletionEvent]) -> Generator[models.CompletionEvent, None, None]:
        """The answer in safe events; closing it closes the connection."""
        try:
            yield from give(self._events(), self._run)
        finally:
            self._release.close()
            reader.close()

    async def aread(self, reader: AsyncReader[models.CompletionEvent]) -> AsyncGenerator[models.CompletionEvent, None]:
        """The twin of `read`."""
        events = agive(self._events(), self._run)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()
            self._release.close()
            await reader.aclose()

    def _events(self) -> Flow[models.CompletionEvent, None]:
        if not self._opened:
            yield self._refusal()
            return
        blocked: GuardBlocked
        try:
            with self._guard.reporting(self._answer):
                yield from self._guarded()
        except GuardBlocked as error:
            blocked = error
        else:
            return
        if self._guard.refusal is None:
            raise without_content(blocked)
        yield self._refusal()

    def _guarded(self) -> Flow[models.CompletionEvent, None]:
        finish_reason = None
        over = False
        while not over or self._release.pending:
            came = yield from ask(Wait.of(partial(self._reader.next, self._release.pending)))
            over = over or came is Came.END
            if came is Came.END:
                self._put(self._answer.finish())
                self._release.put(Came.END)
            elif came is not Came.VERDICT:
                self._last = came.data
                for choice in came.data.choices[:1]:
                    finish_reason = choice.finish_reason or finish_reason
                    self._put(self._answer.feed(choice.delta.content, choice.delta.tool_calls))
            for piece in self._release.take():
                yield from self._show(piece if self._back is None else self._back.feed(piece))
        if finish_reason is None:
            # An error in mid-stream is no chunk of an answer, and after it the stream is over.
            raise broken_off()
        if self._back is not None:
            yield from self._show(self._back.finish())
        yield self._event(Piece(), finish_reason, self._last.usage)

    def _put(self, clean: Piece) -> None:
        if clean or clean.speaks:
            self._release.put(clean)

    def _show(self, piece: Piece) -> Flow[models.CompletionEvent, None]:
        if piece:
            yield self._event(piece)

    def _event(
        self, piece: Piece, finish_reason: str | None = None, usage: models.UsageInfo | None = None
    ) -> Give[models.CompletionEvent]:
        delta = models.DeltaMessage(role="assistant", content=piece.content, tool_calls=list(piece.tool_calls) or None)
        choice = models.CompletionResponseStreamChoice(
            index=0, delta=delta, finish_reason=UnrecognizedStr(finish_reason) if finish_reason else None
        )
        chunk = models.CompletionChunk(
            id=self._last.id,
            model=self._last.model,
            object=self._last.object,
            created=self._last.created,
            usage=usage,
            choices=[choice],
        )
        return Give(models.CompletionEvent(data=chunk))

    def _refusal(self) -> Give[models.CompletionEvent]:
        return self._event(Piece(text=str(self._guard.refusal)), CONTENT_FILTER)


def _later(begin: Callable[[], Any]) -> Generator[models.CompletionEvent, None, None]:
    upstream = begin()
    with closing(upstream):
        yield from upstream


async def _alater(begin: Callable[[], Awaitable[Any]]) -> AsyncGenerator[models.CompletionEvent, None]:
    upstream = await begin()
    try:
        async for event in upstream:
            yield event
    finally:
        await upstream.close()
