"""One guarded call of a model, as steps that sync and async share; `guard_integrations.core.flow` takes them.

Whatever goes wrong in the model comes back to the caller without content, key or HTTP body.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from langchain_core.callbacks import BaseRunManager
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from guard_integrations.core.findings import Finding
from guard_integrations.core.flow import Flow, Give, Wait, agive, arun, give, run
from guard_integrations.core.model_errors import broken_off, without_traceback
from guard_integrations.core.moderation.pending import settled
from guard_integrations.core.moderation.reading import AsyncReader, Came, Reader
from guard_integrations.core.moderation.release import Release, abeside, beside
from guard_integrations.core.runs import Run, current, outside, run_of
from guard_integrations.errors import GuardBlocked
from guard_integrations.langchain._chunks import ChunkStream, ends
from guard_integrations.langchain._errors import refused
from guard_integrations.langchain._guards import Guards
from guard_integrations.langchain._input import GuardedMessages
from guard_integrations.langchain._messages import moderated_text
from guard_integrations.langchain._metadata import METADATA_KEY, guard_metadata
from guard_integrations.langchain._output import AnswerGuard

__all__ = ["Call", "counts_of", "refusal_alone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a guarded model.

    Args:
        guards: what guards it.
        messages: what the model is asked.
        judge: says what to raise in place of a model's error; a `GuardBlocked` is the refusal of the server's own
            guardrail.
        as_json: whether JSON is asked for.
        counts: the run that what happens is counted in.
        says_when_over: whether the stream, at its end, must have said why it ends; one that has not was broken off.
    """

    guards: Guards
    messages: Sequence[BaseMessage]
    judge: Callable[[Exception], Exception]
    as_json: bool
    counts: Run | None
    says_when_over: Callable[[], bool]

    def answer(self, ask: Callable[[list[BaseMessage]], ChatResult]) -> ChatResult:
        """The whole answer.

        Raises:
            GuardBlocked: when a guard refuses, unless refusals are to be answered.
        """
        return run(_answer(self, ask), self.counts)

    async def aanswer(self, ask: Callable[[list[BaseMessage]], Awaitable[ChatResult]]) -> ChatResult:
        """The twin of `answer`."""
        return await arun(_answer(self, ask), self.counts)

    def stream(
        self, begin: Callable[[list[BaseMessage]], Iterator[ChatGenerationChunk]]
    ) -> Iterator[ChatGenerationChunk]:
        """The answer in pieces. A refusal in the middle ends it: nothing more of the answer is emitted.

        Raises:
            GuardBlocked: when a guard refuses, unless refusals are to be answered.
        """
        reader: Reader[ChatGenerationChunk] = Reader(beside=self.guards.early)
        with closing(reader):
            yield from give(_stream(self, reader, begin), self.counts)

    async def astream(
        self, begin: Callable[[list[BaseMessage]], AsyncIterator[ChatGenerationChunk]]
    ) -> AsyncIterator[ChatGenerationChunk]:
        """The twin of `stream`."""
        reader: AsyncReader[ChatGenerationChunk] = AsyncReader(beside=self.guards.early)
        async with aclosing(reader), aclosing(agive(_stream(self, reader, begin), self.counts)) as chunks:
            async for chunk in chunks:
                yield chunk


def counts_of(run_manager: BaseRunManager | None) -> Run | None:
    """The run that a call's callbacks have begun; the one that goes on here where it has none."""
    return (run_of(run_manager.run_id) if run_manager is not None else None) or current()


def _answer(call: Call, ask: Callable[[list[BaseMessage]], Any]) -> Flow[Any, ChatResult]:
    guards = call.guards
    given = _given(guards, call.messages)
    outcome: ChatResult | GuardBlocked | None = given.blocked
    entry = guards.submit_input(given.messages) if outcome is None and guards.moderates_input else None
    if entry is not None and not guards.concurrent:
        outcome, entry = refused((yield settled(entry)), "input"), None
    if outcome is None:
        asked = partial(ask, given.messages)
        outcome = yield from _from_model(call, _asked(asked, entry))
    if isinstance(outcome, ChatResult):
        outcome = _sanitised(guards, outcome, given, as_json=call.as_json)
    if isinstance(outcome, ChatResult) and guards.moderates_output:
        for text in [moderated_text(generation.message) for generation in outcome.generations]:
            outcome = refused((yield settled(guards.submit_output(text))), "output") or outcome
    if not isinstance(outcome, GuardBlocked):
        return _restored(guards, outcome, as_json=call.as_json)
    if guards.on_block == "raise":
        raise outcome
    message = AIMessage(content=guards.policy.refusal, response_metadata=_refusal_metadata(guards, outcome))
    generation = ChatGeneration(message=message, generation_info={"finish_reason": "content_filter"})
    return ChatResult(generations=[generation], llm_output={"token_usage": {}})


def _asked(ask: Callable[[], Any], entry: Any) -> Wait:
    """Asks the model; where the input is still being judged, the answer waits for the verdict."""
    if entry is None:
        return Wait.of(ask)
    return Wait(partial(beside, ask, entry), lambda: abeside(ask(), entry))


def _from_model(call: Call, step: Wait) -> Flow[Any, Any]:
    """What the model gives, or the refusal of the server's own guardrail."""
    try:
        return (yield step)
    except Exception as error:  # noqa: BLE001 - judged, and raised again without content
        failure = call.judge(error)
    if isinstance(failure, GuardBlocked):
        if call.counts is not None:
            call.counts.blocked(failure)
        return without_traceback(failure)
    raise failure.with_traceback(None)


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


def _stream(
    call: Call,
    reader: Reader[ChatGenerationChunk] | AsyncReader[ChatGenerationChunk],
    begin: Callable[[list[BaseMessage]], Any],
) -> Flow[ChatGenerationChunk, None]:
    guards = call.guards
    given = _given(guards, call.messages)
    blocked = given.blocked
    entry = guards.submit_input(given.messages) if blocked is None and guards.moderates_input else None
    if entry is not None and not guards.concurrent:
        blocked, entry = refused((yield settled(entry)), "input"), None
    if blocked is None:
        release = guards.release(entry)
        try:
            reader.open(begin(given.messages))
            yield from _pieces(call, given, reader, release)
        except GuardBlocked as error:
            blocked = without_traceback(error)
        finally:
            release.close()
    if blocked is None:
        return
    if guards.on_block == "raise":
        raise blocked
    yield Give(ChatGenerationChunk(message=_refusal_chunk(guards, blocked)))


def _pieces(
    call: Call,
    given: GuardedMessages,
    reader: Reader[ChatGenerationChunk] | AsyncReader[ChatGenerationChunk],
    release: Release[ChatGenerationChunk],
) -> Flow[ChatGenerationChunk, None]:
    guards = call.guards
    chunks = ChunkStream(AnswerGuard(guards.checking(given.messages), as_json=call.as_json))
    restoring = guards.restoring
    back = None if restoring is None else ChunkStream(AnswerGuard(restoring, as_json=call.as_json))
    over = False
    said_so = False
    refusal: GuardBlocked | None = None
    while refusal is None and (not over or release.pending):
        came = yield from _from_model(call, Wait.of(partial(reader.next, release.pending)))
        if isinstance(came, GuardBlocked):
            raise came
        over = over or came is Came.END
        said_so = said_so or (not isinstance(came, Came) and ends(came))
        if came is Came.END and not said_so and call.says_when_over():
            raise broken_off()
        for clean in _clean(guards, given, chunks, came):
            release.put(clean)
        if isinstance(came, Came):
            release.put(came)
        ready, refusal = _taken(release)
        for piece in ready:
            for shown in (piece,) if back is None else back.feed(piece):
                yield Give(shown)
    if refusal is not None:
        raise refusal
    for piece in back.finish() if back is not None else ():
        yield Give(piece)


def _taken(release: Release[ChatGenerationChunk]) -> tuple[list[ChatGenerationChunk], GuardBlocked | None]:
    """What may go out, and the refusal behind it; that is the end of the answer, whose own end is not shown."""
    ready: list[ChatGenerationChunk] = []
    try:
        ready.extend(release.take())
    except GuardBlocked as error:
        refusal = without_traceback(error)
    else:
        return ready, None
    return [piece for piece in ready if not ends(piece)], refusal


def _clean(
    guards: Guards, given: GuardedMessages, chunks: ChunkStream, came: ChatGenerationChunk | Came
) -> list[ChatGenerationChunk]:
    if came is Came.VERDICT:
        return []
    if not isinstance(came, Came):
        return chunks.feed(came)
    ready = chunks.finish()
    if ready and (said := _metadata(guards, (*given.findings, *chunks.guard.findings))):
        last = ready[-1].message
        last.response_metadata = {**last.response_metadata, **said}
    return ready


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
