"""Thin drivers, sync and async, that do what a guarded call's flow (`_flow`) decides.

What happens meanwhile is counted in the run that the call belongs to.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import closing
from typing import Any, TypeAlias

from langchain_core.callbacks import BaseRunManager
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from guard_integrations.core.moderation.pending import asettle, settle
from guard_integrations.core.runs import Run, current, resumed, run_of
from guard_integrations.errors import GuardBlocked
from guard_integrations.langchain._flow import AnswerFlow, Ask, Emit, Next, Open, StreamFlow

__all__ = ["Judge", "arun", "arun_stream", "counts_of", "run", "run_stream"]

Judge: TypeAlias = Callable[[Exception], Exception]
"""What to raise in place of a model's error; a `GuardBlocked` is the refusal of the server's own guardrail."""


def counts_of(run_manager: BaseRunManager | None) -> Run | None:
    """The run that a call's callbacks have begun; the one that goes on here where it has none."""
    return (run_of(run_manager.run_id) if run_manager is not None else None) or current()


def run(
    flow: AnswerFlow, ask: Callable[[list[BaseMessage]], ChatResult], judge: Judge, counts: Run | None
) -> ChatResult:
    """Drives `answer`; what happens is counted in a run."""
    with resumed(counts):
        return _run(flow, ask, judge, counts)


def _run(
    flow: AnswerFlow, ask: Callable[[list[BaseMessage]], ChatResult], judge: Judge, counts: Run | None
) -> ChatResult:
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
            reply = _refusal_or_raise(failure, counts)


async def arun(
    flow: AnswerFlow, ask: Callable[[list[BaseMessage]], Awaitable[ChatResult]], judge: Judge, counts: Run | None
) -> ChatResult:
    """Drives `answer` under asyncio; what happens is counted in a run."""
    with resumed(counts):
        return await _arun(flow, ask, judge, counts)


async def _arun(
    flow: AnswerFlow, ask: Callable[[list[BaseMessage]], Awaitable[ChatResult]], judge: Judge, counts: Run | None
) -> ChatResult:
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
            reply = _refusal_or_raise(failure, counts)


def run_stream(
    flow: StreamFlow,
    begin: Callable[[list[BaseMessage]], Iterator[ChatGenerationChunk]],
    judge: Judge,
    counts: Run | None,
) -> Iterator[ChatGenerationChunk]:
    """Drives `stream`; what happens is counted in a run, whichever the reader has going on between two chunks."""
    chunks: Iterator[ChatGenerationChunk] = iter(())
    reply: Any = None
    with closing(flow):
        try:
            while True:
                try:
                    with resumed(counts):
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
                            with resumed(counts):
                                reply = next(chunks, None)
                        except Exception as error:  # noqa: BLE001 - judged, and raised again without content
                            failure = judge(error)
                    case _:
                        reply = settle(step)
                if failure is not None:
                    reply = _refusal_or_raise(failure, counts)
        finally:
            _close(chunks)


async def arun_stream(
    flow: StreamFlow,
    begin: Callable[[list[BaseMessage]], AsyncIterator[ChatGenerationChunk]],
    judge: Judge,
    counts: Run | None,
) -> AsyncGenerator[ChatGenerationChunk]:
    """`run_stream` under asyncio."""
    chunks: AsyncIterator[ChatGenerationChunk] | None = None
    reply: Any = None
    with closing(flow):
        try:
            while True:
                try:
                    with resumed(counts):
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
                            with resumed(counts):
                                reply = await anext(chunks, None)  # type: ignore[arg-type] # Open comes before Next
                        except Exception as error:  # noqa: BLE001 - judged, and raised again without content
                            failure = judge(error)
                    case _:
                        reply = await asettle(step)
                if failure is not None:
                    reply = _refusal_or_raise(failure, counts)
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()


def _refusal_or_raise(failure: Exception, counts: Run | None) -> GuardBlocked:
    if isinstance(failure, GuardBlocked):
        if counts is not None:
            counts.blocked(failure)
        return failure
    raise failure.with_traceback(None)


def _close(chunks: Iterator[ChatGenerationChunk]) -> None:
    if isinstance(chunks, Generator):
        chunks.close()
