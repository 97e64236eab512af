"""The Mistral SDK's client behind a guard: all that `MistralAI` asks of it, and nothing else."""

from collections import deque
from collections.abc import AsyncGenerator, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mistralai.client import Mistral, models
from mistralai.client.chat import Chat
from mistralai.client.types.basemodel import UnrecognizedStr

from guard_integrations.core.flow import Flow, Give, agive, arun, give, run
from guard_integrations.core.moderation.windows import Gate, Window, gate_for
from guard_integrations.core.runs import current
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._answers import AnswerGuard, Piece
from guard_integrations.llama_index._errors import without_content
from guard_integrations.llama_index._guard import ModelGuard, ask

if TYPE_CHECKING:
    from concurrent.futures import Future

    from guard_integrations.core.moderation import ModerationResult

__all__ = ["CONTENT_FILTER", "GuardedClient"]

CONTENT_FILTER: Final = "content_filter"
"""Finish reason of an answer that a guard has replaced."""


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
        """An answer in pieces. The request is sent at once, so that what is wrong with it is raised here."""
        call = _Streamed(self._guard, messages, request)
        return call.read(run(call.open(self._client.chat)))

    async def stream_async(
        self,
        *,
        messages: Sequence[Any],
        **request: Any,  # noqa: ANN401 - as above
    ) -> AsyncGenerator[models.CompletionEvent, None]:
        """The twin of `stream`."""
        call = _Streamed(self._guard, messages, request)
        return call.aread(await arun(call.open(self._client.chat)))

    def _complete(self, messages: Sequence[Any], request: dict[str, Any]) -> Flow[Any, models.ChatCompletionResponse]:
        chat = self._client.chat
        flow = _answer(
            self._guard,
            messages,
            ask(
                partial(chat.complete, messages=messages, **request),
                partial(chat.complete_async, messages=messages, **request),
            ),
            as_json=_wants_json(request),
        )
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
            ask(
                partial(fim.complete, prompt=prompt, **request),
                partial(fim.complete_async, prompt=prompt, **request),
            ),
        )
        return self._guard.or_refusal(flow, partial(_refused, request))


def _answer(
    guard: ModelGuard, messages: Sequence[Any], asked: Flow[Any, Any], *, as_json: bool = False
) -> Flow[Any, models.ChatCompletionResponse]:
    """A whole answer, each of its choices made safe and judged."""
    yield from guard.admit(messages)
    response = yield from asked
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

    def __init__(self, guard: ModelGuard, messages: Sequence[Any], request: dict[str, Any]) -> None:
        self._guard = guard
        self._messages = messages
        self._request = request
        self._answer = AnswerGuard(guard.sanitizer, as_json=_wants_json(request))
        self._gate = _PieceGate(guard)
        self._back = guard.restorer()
        self._run = current()
        self._last = models.CompletionChunk(id="", model=str(request.get("model", "")), choices=[])

    def open(self, chat: Chat) -> Flow[Any, Any]:
        """Judges the input and sends the request; None where it is blocked and a refusal is to be answered."""
        return self._guard.or_refusal(self._open(chat), lambda _: None)

    def _open(self, chat: Chat) -> Flow[Any, Any]:
        yield from self._guard.admit(self._messages)
        return (
            yield from ask(
                partial(chat.stream, messages=self._messages, **self._request),
                partial(chat.stream_async, messages=self._messages, **self._request),
            )
        )

    def read(self, upstream: Any) -> Generator[models.CompletionEvent, None, None]:  # noqa: ANN401 - the SDK's stream, or None
        """The answer in safe events; closing it closes the connection."""
        try:
            yield from give(self._events(upstream), self._run)
        finally:
            self._gate.close()
            if upstream is not None:
                upstream.close()

    async def aread(self, upstream: Any) -> AsyncGenerator[models.CompletionEvent, None]:  # noqa: ANN401 - as above
        """The twin of `read`."""
        events = agive(self._events(upstream), self._run)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()
            self._gate.close()
            if upstream is not None:
                await upstream.close()

    def _events(self, upstream: Any) -> Flow[models.CompletionEvent, None]:  # noqa: ANN401 - as above
        if upstream is None:
            yield self._refusal()
            return
        blocked: GuardBlocked
        try:
            with self._guard.reporting(self._answer):
                yield from self._guarded(upstream)
        except GuardBlocked as error:
            blocked = error
        else:
            return
        if self._guard.refusal is None:
            raise without_content(blocked)
        yield self._refusal()

    def _guarded(self, upstream: Any) -> Flow[models.CompletionEvent, None]:  # noqa: ANN401 - as above
        finish_reason = None
        while True:
            event = yield from ask(partial(next, upstream, None), partial(anext, upstream, None))
            if event is None:
                break
            self._last = event.data
            for choice in event.data.choices[:1]:
                finish_reason = choice.finish_reason or finish_reason
                yield from self._release(self._answer.feed(choice.delta.content, choice.delta.tool_calls))
        yield from self._release(self._answer.finish(), over=True)
        yield self._event(Piece(), finish_reason or "stop", self._last.usage)

    def _release(self, clean: Piece, *, over: bool = False) -> Flow[models.CompletionEvent, None]:
        """Hands on what may be read now."""
        yield from self._gate.add(clean, over=over)
        for piece in self._gate.take():
            yield from self._show(piece if self._back is None else self._back.feed(piece))
        if over and self._back is not None:
            yield from self._show(self._back.finish())

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


class _PieceGate:
    """Holds the pieces of an answer until moderation has passed them; lets them through where nobody judges.

    Verdicts are fetched while the model goes on writing, and looked at when the next piece comes.
    """

    def __init__(self, guard: ModelGuard) -> None:
        self._guard = guard
        self._submit = guard.submit_output()
        self._gate: Gate[Piece] = gate_for(guard.stream_moderation, lambda piece: piece.moderated)
        self._passed: list[Piece] = []
        self._pending: deque[tuple[Window[Piece], Future[ModerationResult]]] = deque()

    def add(self, piece: Piece, *, over: bool) -> Flow[Any, None]:
        """Takes a piece that is clean.

        Raises:
            GuardBlocked: when a verdict refuses the answer.
        """
        if self._submit is None:
            self._passed.append(piece)
            return
        windows = [self._gate.feed(piece)] if piece else []
        for window in [*windows, self._gate.finish() if over else None]:
            if window is not None and window.text is not None:
                self._pending.append((window, self._submit(window.text)))
        while self._pending and (over or self._pending[0][1].done()):
            window, verdict = self._pending.popleft()
            self._gate.verdict(window, (yield from self._guard.verdict(verdict, "output")))

    def take(self) -> list[Piece]:
        """What may be shown now; each piece is given once."""
        if self._submit is not None:
            return self._gate.ready()
        passed, self._passed = self._passed, []
        return passed

    def close(self) -> None:
        """Cancels what is still being fetched."""
        for _, verdict in self._pending:
            verdict.cancel()
