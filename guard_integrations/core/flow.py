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

    @classmethod
    def of(cls, call: Callable[[], Any]) -> "Wait":
        """For a call that blocks, or is awaited, as the driver will have it."""
        return cls(call, call)


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


class _Outcome:
    """What a flow is sent next: an answer, or an error, which is given away once.

    What a flow raises in an error's place has these frames in its traceback: no name in them may hold the original.
    """

    __slots__ = ("_answer", "_counts", "_errors")

    def __init__(self, counts: Run | None = None) -> None:
        self._counts = counts
        self._answer: object = None
        self._errors: list[Exception] = []

    def answered(self, answer: object) -> None:
        self._answer = answer

    def failed(self, error: Exception) -> None:
        self._errors.append(error)

    def send(self, flow: Flow[_Given, object]) -> Wait | Give[_Given]:
        """The flow's next step.

        Raises:
            _Done: when it has returned.
        """
        try:
            with resumed(self._counts):
                if self._errors:
                    return flow.throw(self._errors.pop())
                answer, self._answer = self._answer, None
                return flow.send(answer)
        except StopIteration as done:
            result = done.value
        raise _Done(result)


def run(flow: Flow[Any, _Result], counts: Run | None = None) -> _Result:
    """Runs a flow that hands nothing on, and returns what it returns."""
    stream = give(flow, counts)
    try:
        while True:
            next(stream)
    except StopIteration as done:
        result: _Result = done.value
    return result


async def arun(flow: Flow[Any, _Result], counts: Run | None = None) -> _Result:
    """The twin of `run`."""
    outcome = _Outcome(counts)
    while True:
        try:
            step = outcome.send(flow)
        except _Done as done:
            return done.result  # type: ignore[return-value] # what the flow has returned
        await _wait(step, outcome, counts)


def give(flow: Flow[_Given, _Result], counts: Run | None = None) -> Generator[_Given, None, _Result]:
    """A generator of what a flow hands on; closing it closes the flow.

    Args:
        flow: the flow.
        counts: the run that what happens is counted in, whichever the reader has going on.
    """
    outcome = _Outcome(counts)
    try:
        while True:
            try:
                step = outcome.send(flow)
            except _Done as done:
                return done.result  # type: ignore[return-value] # what the flow has returned
            if isinstance(step, Give):
                yield step.value
                continue
            try:
                with resumed(counts):
                    outcome.answered(step.sync())
            except Exception as raised:  # noqa: BLE001 - the flow decides what to make of it
                outcome.failed(raised)
    finally:
        flow.close()


async def agive(flow: Flow[_Given, object], counts: Run | None = None) -> AsyncGenerator[_Given, None]:
    """The twin of `give`."""
    outcome = _Outcome(counts)
    try:
        while True:
            try:
                step = outcome.send(flow)
            except _Done:
                return
            if isinstance(step, Give):
                yield step.value
            else:
                await _wait(step, outcome, counts)
    finally:
        flow.close()


async def _wait(step: Wait | Give[Any], outcome: _Outcome, counts: Run | None) -> None:
    if isinstance(step, Wait):
        try:
            with resumed(counts):
                outcome.answered(await step.awaited())
        except Exception as raised:  # noqa: BLE001 - the flow decides what to make of it
            outcome.failed(raised)
