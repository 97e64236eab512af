"""One flow for sync and async: a generator says what to wait for and what to hand on, two thin drivers do it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from guard_integrations.core.runs import Run, resumed

__all__ = ["Flow", "Give", "Wait", "agive", "arun", "give", "run"]

_Result = TypeVar("_Result")
_Given = TypeVar("_Given")


@dataclass(frozen=True, slots=True)
class Wait:
    """Do something that takes time; the flow is sent its result, or thrown its error.

    Args:
        sync: does it, blocking.
        awaited: does it under asyncio.
    """

    sync: Callable[[], Any]
    awaited: Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Give(Generic[_Given]):
    """Hand a value on to the reader of the stream."""

    value: _Given


Flow: TypeAlias = Generator[Wait | Give[_Given], Any, _Result]


class _Done(Exception):  # noqa: N818 - a signal between this module's own functions
    """A flow has returned; a generator cannot let StopIteration through."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result


def _step(
    flow: Flow[_Given, object], answer: object, error: Exception | None, counts: Run | None = None
) -> Wait | Give[_Given]:
    try:
        with resumed(counts):
            return flow.send(answer) if error is None else flow.throw(error)
    except StopIteration as done:
        result = done.value
    raise _Done(result)


def run(flow: Flow[Any, _Result]) -> _Result:
    """Runs a flow that hands nothing on, and returns what it returns."""
    stream = give(flow)
    try:
        while True:
            next(stream)
    except StopIteration as done:
        result: _Result = done.value
    return result


async def arun(flow: Flow[Any, _Result]) -> _Result:
    """The twin of `run`."""
    answer: object = None
    error: Exception | None = None
    while True:
        try:
            step = _step(flow, answer, error)
        except _Done as done:
            return done.result  # type: ignore[return-value] # what the flow has returned
        answer, error = await _wait(step)


def give(flow: Flow[_Given, _Result], counts: Run | None = None) -> Generator[_Given, None, _Result]:
    """A generator of what a flow hands on; closing it closes the flow.

    Args:
        flow: the flow.
        counts: the run that what happens is counted in, whichever the reader has going on.
    """
    answer: object = None
    error: Exception | None = None
    try:
        while True:
            try:
                step = _step(flow, answer, error, counts)
            except _Done as done:
                return done.result  # type: ignore[return-value] # what the flow has returned
            answer, error = None, None
            if isinstance(step, Give):
                yield step.value
                continue
            try:
                with resumed(counts):
                    answer = step.sync()
            except Exception as raised:  # noqa: BLE001 - the flow decides what to make of it
                error = raised
    finally:
        flow.close()


async def agive(flow: Flow[_Given, object], counts: Run | None = None) -> AsyncGenerator[_Given, None]:
    """The twin of `give`."""
    answer: object = None
    error: Exception | None = None
    try:
        while True:
            try:
                step = _step(flow, answer, error, counts)
            except _Done:
                return
            if isinstance(step, Give):
                answer, error = None, None
                yield step.value
            else:
                with resumed(counts):
                    answer, error = await _wait(step)
    finally:
        flow.close()


async def _wait(step: Wait | Give[Any]) -> tuple[object, Exception | None]:
    try:
        return (await step.awaited() if isinstance(step, Wait) else None), None
    except Exception as raised:  # noqa: BLE001 - the flow decides what to make of it
        return None, raised
