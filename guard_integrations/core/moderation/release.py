"""Streams and calls that wait for their verdict, sync and async; what they decide stands in `windows`.

All of them pass on `GuardError` as it is. Any other error that comes after the first piece of a stream becomes a
`GuardUnavailable`: a client's error, and a parser's, may quote text that nobody has judged. One that comes before the
first piece stays what it is, so that fallbacks and retries see the model's own error.
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from guard_integrations.core.events import EventKind, GuardEvent, emit
from guard_integrations.core.findings import Stage
from guard_integrations.core.flow import Flow, Give, Wait, agive, give
from guard_integrations.core.moderation.decision import COMPONENT, ModerationResult
from guard_integrations.core.moderation.pending import asettle, settle
from guard_integrations.core.moderation.reading import AsyncReader, Came, Reader
from guard_integrations.core.moderation.windows import Gate, Hold, Window
from guard_integrations.errors import GuardError, GuardUnavailable

__all__ = ["Judge", "Release", "abeside", "ahold", "arelease", "beside", "hold", "release"]

Judge: TypeAlias = Callable[[str], "Future[ModerationResult]"]
"""Starts the moderation of a text: `moderator.submit`, or a function that puts the text into its conversation."""

T = TypeVar("T")


class Release(Generic[T]):
    """An answer between a model and its reader: `put` in what comes, `take` what may go out.

    Args:
        gate: what goes out when, see `gate_for`, and a new one for each answer; None where nobody judges the answer.
        judge: starts the moderation of a text.
        entry: the verdict on the input, where it is judged beside the answer: nothing goes out before it.
    """

    def __init__(
        self, gate: Gate[T] | None, judge: Judge | None, entry: "Future[ModerationResult] | None" = None
    ) -> None:
        self._gate = gate
        self._judge = judge
        self._ungated: list[T] = []
        self._hold: Hold[T] | None = None
        self._judged: dict[Future[ModerationResult], tuple[Gate[T], Window[T]]] = {}
        if entry is not None:
            self._hold = Hold()
            self._judged[entry] = (self._hold, Window(items=[], text=None))

    @property
    def early(self) -> bool:
        """Whether there may be a verdict to act on while the answer is still being written."""
        return self._hold is not None or (self._gate is not None and self._gate.early)

    @property
    def pending(self) -> "tuple[Future[ModerationResult], ...]":
        """The verdicts that are being fetched, in the order of what they judge."""
        return tuple(self._judged)

    def put(self, came: T | Came) -> None:
        """Takes a piece of the answer, or its end; starts the moderation of what is to be judged now."""
        if came is Came.VERDICT:
            return
        if self._gate is None:
            if not isinstance(came, Came):
                self._ungated.append(came)
            return
        window = self._gate.finish() if isinstance(came, Came) else self._gate.feed(came)
        if window is not None and window.text is not None and self._judge is not None:
            self._judged[self._judge(window.text)] = (self._gate, window)

    def take(self) -> Iterator[T]:
        """What may go out now; each piece is given once.

        Raises:
            GuardBlocked: at an unsafe verdict, after what had passed before it; nothing may be passed on then.
            GuardUnavailable: when a verdict could not be had.
        """
        for verdict in [each for each in self._judged if each.done()]:
            gate, window = self._judged.pop(verdict)
            gate.verdict(window, settle(verdict))
            yield from self._ready()
        yield from self._ready()

    def close(self) -> None:
        """Cancels what is still being fetched."""
        for verdict in self._judged:
            verdict.cancel()

    def _ready(self) -> list[T]:
        if self._gate is not None:
            ready = self._gate.ready()
        else:
            ready, self._ungated = self._ungated, []
        if self._hold is None:
            return ready
        for item in ready:
            self._hold.feed(item)
        return self._hold.ready()


def release(items: Iterator[T], *, gate: Gate[T], judge: Judge) -> Iterator[T]:
    """The same pieces, each of them after its verdict, which is acted on as soon as it is there.

    Args:
        items: the pieces of an answer; closed when this ends, however it ends.
        gate: what goes out when, see `gate_for`; a new one for each answer.
        judge: starts the moderation of a text.

    Raises:
        GuardBlocked: at the first unsafe verdict; nothing is passed on after it.
        GuardUnavailable: when a verdict could not be had, or the stream broke off.
    """
    return _run(items, Release(gate, judge), gate.stage)


def arelease(items: AsyncIterator[T], *, gate: Gate[T], judge: Judge) -> AsyncGenerator[T]:
    """`release` for asyncio."""
    return _arun(items, Release(gate, judge), gate.stage)


def hold(items: Iterator[T], verdict: "Future[ModerationResult]") -> Iterator[T]:
    """The same pieces, held until the input that they answer was found safe; then they go out as they come.

    Raises:
        GuardBlocked: when it was not; `items` is closed, and nothing has been passed on.
        GuardUnavailable: when a verdict could not be had, or the stream broke off.
    """
    return _run(items, Release(None, None, verdict), "input")


def ahold(items: AsyncIterator[T], verdict: "Future[ModerationResult]") -> AsyncGenerator[T]:
    """`hold` for asyncio: a hit cancels the generation at once."""
    return _arun(items, Release(None, None, verdict), "input")


def beside(work: Callable[[], T], verdict: "Future[ModerationResult]") -> T:
    """Does `work` while its input is judged; returns its result once the input was found safe.

    A blocking call cannot be cancelled: on a hit this raises at once, and what `work` returns later is dropped.

    Raises:
        GuardBlocked: when the input is not safe.
        GuardUnavailable: when a verdict could not be had.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="guard-beside")
    try:
        done = executor.submit(contextvars.copy_context().run, work)
        both: tuple[Future[Any], ...] = (done, verdict)
        wait_for(both, return_when=FIRST_COMPLETED)
        # An error of the work needs no verdict: it releases nothing.
        if not verdict.done() and done.exception() is not None:
            return done.result()
        settle(verdict).raise_if_unsafe("input")
        return done.result()
    finally:
        verdict.cancel()
        executor.shutdown(wait=False, cancel_futures=True)


async def abeside(work: Awaitable[T], verdict: "Future[ModerationResult]") -> T:
    """`beside` for asyncio: a hit cancels the work.

    Raises:
        GuardBlocked: when the input is not safe.
        GuardUnavailable: when a verdict could not be had.
    """
    done = asyncio.ensure_future(work)
    judged = asyncio.ensure_future(asettle(verdict))
    try:
        await asyncio.wait((done, judged), return_when=asyncio.FIRST_COMPLETED)
        if judged.done() or done.exception() is None:
            (await judged).raise_if_unsafe("input")
        return await done
    finally:
        await _cancel(done, judged)


def _run(items: Iterator[T], release: Release[T], stage: Stage) -> Iterator[T]:
    reader: Reader[T] = Reader(beside=release.early)
    reader.open(items)
    try:
        yield from give(_released(reader, release, stage))
    finally:
        release.close()
        reader.close()


async def _arun(items: AsyncIterator[T], release: Release[T], stage: Stage) -> AsyncGenerator[T]:
    reader: AsyncReader[T] = AsyncReader(beside=release.early)
    reader.open(items)
    try:
        async with aclosing(agive(_released(reader, release, stage))) as pieces:
            async for piece in pieces:
                yield piece
    finally:
        release.close()
        await reader.aclose()


def _released(reader: Reader[T] | AsyncReader[T], release: Release[T], stage: Stage) -> Flow[T, None]:
    begun = over = False
    while not over or release.pending:
        failure: GuardUnavailable | None = None
        try:
            came = yield Wait.of(partial(reader.next, release.pending))
        except GuardError:
            raise
        except Exception as error:
            if not begun:
                raise
            failure = _broken(error, stage)
        if failure is not None:
            raise failure
        over = over or came is Came.END
        begun = begun or not isinstance(came, Came)
        release.put(came)
        for piece in release.take():
            yield Give(piece)


def _broken(error: Exception, stage: Stage) -> GuardUnavailable:
    """What stands for an error in mid-stream."""
    name = type(error).__name__
    emit(GuardEvent(kind=EventKind.UNAVAILABLE, stage=stage, error=name if name.isidentifier() else None))
    return GuardUnavailable(COMPONENT, f"the stream broke off in the middle ({name}): what was not judged is dropped")


async def _cancel(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
