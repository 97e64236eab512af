"""One guarded call of a model, written once for sync and async: a generator decides, thin drivers do.

The generator tells its driver what comes next: wait for a verdict, ask the model, fetch a chunk, emit one. Whatever
goes wrong in the model comes back to the driver's caller without content, key or HTTP body.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from guard_integrations.core.findings import Finding
from guard_integrations.core.moderation.pending import asettle, settle
from guard_integrations.errors import GuardBlocked
from guard_integrations.langchain._errors import refused, without_traceback
from guard_integrations.langchain._gate import ChunkGate
from guard_integrations.langchain._guards import Guards
from guard_integrations.langchain._input import GuardedMessages
from guard_integrations.langchain._messages import moderated_text
from guard_integrations.langchain._metadata import METADATA_KEY, guard_metadata
from guard_integrations.langchain._output import AnswerGuard, ChunkStream, ends

if TYPE_CHECKING:
    from concurrent.futures import Future

    from guard_integrations.core.moderation.decision import ModerationResult

__all__ = ["Judge", "answer", "arun", "arun_stream", "refusal_alone", "run", "run_stream", "stream"]

Judge: TypeAlias = Callable[[Exception], Exception]
"""What to raise in place of a model's error; a `GuardBlocked` is the refusal of the server's own guardrail."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model these messages. What comes back is its result, or the refusal of the server's own guardrail."""

    messages: list[BaseMessage]


@dataclass(frozen=True, slots=True)
class Open:
    """Begin a stream of the answer to these messages."""

    messages: list[BaseMessage]


@dataclass(frozen=True, slots=True)
class Next:
    """Fetch the next chunk; None comes back at the end, and the refusal of the server's own guardrail may."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand this chunk to the reader."""

    chunk: ChatGenerationChunk


AnswerFlow: TypeAlias = "Generator[Future[ModerationResult] | Ask, Any, ChatResult]"
StreamFlow: TypeAlias = "Generator[Future[ModerationResult] | Open | Next | Emit, Any, None]"


# -- deciding --------------------------------------------------------------------------------------------------


def answer(guards: Guards, messages: Sequence[BaseMessage], *, as_json: bool) -> AnswerFlow:
    """A whole answer.

    Raises:
        GuardBlocked: when a guard refuses, unless refusals are to be answered.
    """
    given = guards.input.messages(messages)
    outcome: ChatResult | GuardBlocked | None = given.blocked
    if outcome is None and guards.moderates_input:
        outcome = refused((yield guards.submit_input(given.messages)), "input")
    if outcome is None:
        outcome = yield Ask(given.messages)
    if isinstance(outcome, ChatResult):
        outcome = _sanitised(guards, outcome, given, as_json=as_json)
    if isinstance(outcome, ChatResult) and guards.moderates_output:
        for text in [moderated_text(generation.message) for generation in outcome.generations]:
            outcome = refused((yield guards.submit_output(text)), "output") or outcome
    if not isinstance(outcome, GuardBlocked):
        return _restored(guards, outcome, as_json=as_json)
    if guards.on_block == "raise":
        raise outcome
    message = AIMessage(content=guards.policy.refusal, response_metadata=_refusal_metadata(guards, outcome))
    generation = ChatGeneration(message=message, generation_info={"finish_reason": "content_filter"})
    return ChatResult(generations=[generation], llm_output={"token_usage": {}})


def _sanitised(
    guards: Guards, result: ChatResult, given: GuardedMessages, *, as_json: bool
) -> ChatResult | GuardBlocked:
    texts = guards.checking(given.messages)
    clean: list[ChatGeneration] = []
    for generation in result.generations:
        guard = AnswerGuard(texts, as_json=as_json)
        try:
            message = guard.whole(generation.message)
        except GuardBlocked as error:
            return without_traceback(error)
        message.response_metadata = {
            **message.response_metadata,
            **_metadata(guards, (*given.findings, *guard.findings)),
        }
        clean.append(ChatGeneration(message=message, generation_info=generation.generation_info))
    return ChatResult(generations=clean, llm_output=result.llm_output)


def _restored(guards: Guards, result: ChatResult, *, as_json: bool) -> ChatResult:
    if (restoring := guards.restoring) is None:
        return result
    generations = [
        ChatGeneration(
            message=AnswerGuard(restoring, as_json=as_json).whole(generation.message),
            generation_info=generation.generation_info,
        )
        for generation in result.generations
    ]
    return ChatResult(generations=generations, llm_output=result.llm_output)


def stream(guards: Guards, messages: Sequence[BaseMessage], *, as_json: bool) -> StreamFlow:
    """An answer in pieces. A refusal in the middle ends it: nothing more of the answer is emitted.

    Raises:
        GuardBlocked: when a guard refuses, unless refusals are to be answered.
    """
    given = guards.input.messages(messages)
    blocked = given.blocked
    if blocked is None and guards.moderates_input:
        blocked = refused((yield guards.submit_input(given.messages)), "input")
    if blocked is None:
        yield Open(given.messages)
        chunks = ChunkStream(AnswerGuard(guards.checking(given.messages), as_json=as_json))
        gate = ChunkGate(guards.stream_moderation, guards.submit_output) if guards.moderates_output else None
        try:
            yield from _pieces(guards, given, chunks, gate)
        except GuardBlocked as error:
            blocked = without_traceback(error)
        finally:
            if gate is not None:
                gate.close()
    if blocked is None:
        return
    if guards.on_block == "raise":
        raise blocked
    yield Emit(ChatGenerationChunk(message=_refusal_chunk(guards, blocked)))


def _pieces(guards: Guards, given: GuardedMessages, chunks: ChunkStream, gate: ChunkGate | None) -> StreamFlow:
    restoring = guards.restoring
    back = None if restoring is None else ChunkStream(AnswerGuard(restoring, as_json=chunks.guard.as_json))
    over = False
    while not over:
        chunk = yield Next()
        if isinstance(chunk, GuardBlocked):
            raise chunk
        over = chunk is None
        if chunk is not None:
            ready = chunks.feed(chunk)
        else:
            ready = chunks.finish()
            if ready and (said := _metadata(guards, (*given.findings, *chunks.guard.findings))):
                last = ready[-1].message
                last.response_metadata = {**last.response_metadata, **said}
        refusal: GuardBlocked | None = None
        if gate is not None:
            try:
                yield from gate.add(ready, over=over)
            except GuardBlocked as error:
                refusal = without_traceback(error)
            # The refusal is the end of the answer: the model's own is not shown.
            ready = [piece for piece in gate.take() if refusal is None or not ends(piece)]
        if back is not None:
            ready = [restored for piece in ready for restored in back.feed(piece)] + (
                back.finish() if over and refusal is None else []
            )
        for piece in ready:
            yield Emit(piece)
        if refusal is not None:
            raise refusal


def _metadata(guards: Guards, findings: Sequence[Finding]) -> dict[str, Any]:
    return {METADATA_KEY: guard_metadata(findings, policy=guards.fingerprint)} if findings else {}


def _refusal_metadata(guards: Guards, blocked: GuardBlocked) -> dict[str, Any]:
    said = {"policy": guards.fingerprint, "findings": {rule: {"block": 1} for rule in blocked.rules}}
    return {"finish_reason": "content_filter", METADATA_KEY: said}


def _refusal_chunk(guards: Guards, blocked: GuardBlocked) -> AIMessageChunk:
    return AIMessageChunk(
        content=guards.policy.refusal, response_metadata=_refusal_metadata(guards, blocked), chunk_position="last"
    )


def refusal_alone(result: ChatResult, refusal: str) -> ChatResult:
    """An answer that was refused in mid-stream and then put together: state and memory keep the refusal alone."""
    for generation in result.generations:
        message = generation.message
        said = message.response_metadata
        if said.get("finish_reason") != "content_filter" or METADATA_KEY not in said:
            continue
        chunked: dict[str, Any] = {"tool_call_chunks": []} if isinstance(message, AIMessageChunk) else {}
        generation.message = message.model_copy(
            update={
                "content": [{"type": "text", "text": refusal}] if isinstance(message.content, list) else refusal,
                "additional_kwargs": {},
                "tool_calls": [],
                "invalid_tool_calls": [],
                **chunked,
            }
        )
        generation.text = refusal
    return result


# -- doing -----------------------------------------------------------------------------------------------------


def run(flow: AnswerFlow, ask: Callable[[list[BaseMessage]], ChatResult], judge: Judge) -> ChatResult:
    """Drives `answer`."""
    reply: Any = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return] # an AnswerFlow returns a result
        if not isinstance(step, Ask):
            reply = settle(step)
            continue
        failure: Exception | None = None
        try:
            reply = ask(step.messages)
        except Exception as error:  # noqa: BLE001 - judged, and raised again without content
            failure = judge(error)
        if failure is not None:
            reply = _refusal_or_raise(failure)


async def arun(flow: AnswerFlow, ask: Callable[[list[BaseMessage]], Awaitable[ChatResult]], judge: Judge) -> ChatResult:
    """Drives `answer` under asyncio."""
    reply: Any = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return] # an AnswerFlow returns a result
        if not isinstance(step, Ask):
            reply = await asettle(step)
            continue
        failure: Exception | None = None
        try:
            reply = await ask(step.messages)
        except Exception as error:  # noqa: BLE001 - judged, and raised again without content
            failure = judge(error)
        if failure is not None:
            reply = _refusal_or_raise(failure)


def run_stream(
    flow: StreamFlow, begin: Callable[[list[BaseMessage]], Iterator[ChatGenerationChunk]], judge: Judge
) -> Iterator[ChatGenerationChunk]:
    """Drives `stream`."""
    chunks: Iterator[ChatGenerationChunk] = iter(())
    reply: Any = None
    with closing(flow):
        try:
            while True:
                try:
                    step = flow.send(reply)
                except StopIteration:
                    return
                reply = failure = None
                match step:
                    case Emit(chunk):
                        yield chunk
                    case Open(messages):
                        chunks = begin(messages)
                    case Next():
                        try:
                            reply = next(chunks, None)
                        except Exception as error:  # noqa: BLE001 - judged, and raised again without content
                            failure = judge(error)
                    case _:
                        reply = settle(step)
                if failure is not None:
                    reply = _refusal_or_raise(failure)
        finally:
            _close(chunks)


async def arun_stream(
    flow: StreamFlow, begin: Callable[[list[BaseMessage]], AsyncIterator[ChatGenerationChunk]], judge: Judge
) -> AsyncGenerator[ChatGenerationChunk]:
    """Drives `stream` under asyncio."""
    chunks: AsyncIterator[ChatGenerationChunk] | None = None
    reply: Any = None
    with closing(flow):
        try:
            while True:
                try:
                    step = flow.send(reply)
                except StopIteration:
                    return
                reply = failure = None
                match step:
                    case Emit(chunk):
                        yield chunk
                    case Open(messages):
                        chunks = begin(messages)
                    case Next():
                        try:
                            reply = await anext(chunks, None)  # type: ignore[arg-type] # Open comes before Next
                        except Exception as error:  # noqa: BLE001 - judged, and raised again without content
                            failure = judge(error)
                    case _:
                        reply = await asettle(step)
                if failure is not None:
                    reply = _refusal_or_raise(failure)
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()


def _refusal_or_raise(failure: Exception) -> GuardBlocked:
    if isinstance(failure, GuardBlocked):
        return failure
    raise failure.with_traceback(None)


def _close(chunks: Iterator[ChatGenerationChunk]) -> None:
    if isinstance(chunks, Generator):
        chunks.close()
