"""One guarded call of a model, written once for sync and async: a generator decides, thin drivers (`_drive`) do.

The generator tells its driver what comes next: wait for a verdict, ask the model, fetch a chunk, emit one. Whatever
goes wrong in the model comes back to the driver's caller without content, key or HTTP body.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from guard_integrations.core.findings import Finding
from guard_integrations.core.runs import current, outside
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

__all__ = [
    "AnswerFlow", "Ask", "Emit", "Next", "Open", "StreamFlow", "answer", "refusal_alone", "stream",
]  # fmt: skip


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


def answer(guards: Guards, messages: Sequence[BaseMessage], *, as_json: bool) -> AnswerFlow:
    """A whole answer.

    Raises:
        GuardBlocked: when a guard refuses, unless refusals are to be answered.
    """
    given = _given(guards, messages)
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


def _given(guards: Guards, messages: Sequence[BaseMessage]) -> GuardedMessages:
    with outside():  # what was found when the call came in was told then; here it is counted, all of it
        given = guards.input.messages(messages)
    if (counts := current()) is not None:
        counts.policy = guards.fingerprint
        counts.found(given.findings)
        if given.blocked is not None:
            counts.blocked(given.blocked)
    return given


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
    given = _given(guards, messages)
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
