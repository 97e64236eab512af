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
from typing import Any, Generic, TypeAlias, TypeVar

from guard_integrations.core.events import EventKind, GuardEvent, emit
from guard_integrations.core.findings import Stage
from guard_integrations.core.moderation.decision import COMPONENT, ModerationResult
from guard_integrations.core.moderation.pending import asettle, settle
from guard_integrations.core.moderation.windows import Gate, Hold, Window
from guard_integrations.errors import GuardError, GuardUnavailable

__all__ = ["Judge", "abeside", "ahold", "arelease", "beside", "hold", "release"]

Judge: TypeAlias = Callable[[str], "Future[ModerationResult]"]
"""Starts the moderation of a text: `moderator.submit`, or a function that puts the text into its conversation."""

T = TypeVar("T")


def release(items: Iterator[T], *, gate: Gate[T], judge: Judge) -> Iterator[T]:
    """The same pieces, each of them after its verdict.

    A verdict that comes while the next piece is being made is acted on when that piece is there; `arelease` acts at
    once.

    Args:
        items: the pieces of an answer; closed when this ends, however it ends.
        gate: what goes out when, see `gate_for`; a new one for each answer.
        judge: starts the moderation of a text.

    Raises:
        GuardBlocked: at the first unsafe verdict; nothing is passed on after it.
        GuardUnavailable: when a verdict could not be had, or the stream broke off.
    """
    return _run(items, gate, judge, {})


def arelease(items: AsyncIterator[T], *, gate: Gate[T], judge: Judge) -> AsyncGenerator[T]:
    """`release` for asyncio."""
    return _arun(items, gate, judge, None)


def hold(items: Iterator[T], verdict: "Future[ModerationResult]") -> Iterator[T]:
    """The same pieces, held until the input that they answer was found safe; then they go out as they come.

    Raises:
        GuardBlocked: when it was not; `items` is closed, and nothing has been passed on.
        GuardUnavailable: when a verdict could not be had, or the stream broke off.
    """
    return _run(items, Hold(), _nothing_to_judge, {verdict: Window(items=[], text=None)})


def ahold(items: AsyncIterator[T], verdict: "Future[ModerationResult]") -> AsyncGenerator[T]:
    """`hold` for asyncio: a hit cancels the generation at once."""
    return _arun(items, Hold(), _nothing_to_judge, verdict)


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


def _run(
    items: Iterator[T], gate: Gate[T], judge: Judge, judged: "dict[Future[ModerationResult], Window[T]]"
) -> Iterator[T]:
    def note(window: Window[T] | None) -> None:
        if window is not None and window.text is not None:
            judged[judge(window.text)] = window
        for future in [future for future in judged if future.done()]:
            gate.verdict(judged.pop(future), settle(future))

    try:
        for item in _unbroken(items, gate.stage):
            note(gate.feed(item))
            yield from gate.ready()
        note(gate.finish())
        yield from gate.ready()
        while judged:
            wait_for(judged, return_when=FIRST_COMPLETED)
            note(None)
            yield from gate.ready()
    finally:
        for future in judged:
            future.cancel()
        close = getattr(items, "close", None)
        if close is not None:
            close()


async def _arun(
    items: AsyncIterator[T], gate: Gate[T], judge: Judge, first: "Future[ModerationResult] | None"
) -> AsyncGenerator[T]:
    pump = _Pump(items, gate.stage)
    if first is not None:
        pump.watch(first, Window(items=[], text=None))
    try:
        async for happened in pump:
            window: Window[T] | None = None
            match happened:
                case _Piece(item):
                    window = gate.feed(item)
                case _Verdict(judged, result):
                    gate.verdict(judged, result)
                case _End():
                    window = gate.finish()
            if window is not None and window.text is not None:
                pump.watch(judge(window.text), window)
            for item in gate.ready():
                yield item
    finally:
        await pump.aclose()


class _Piece(Generic[T]):
    __match_args__ = ("item",)
    __slots__ = ("item",)

    def __init__(self, item: T) -> None:
        self.item = item


class _Verdict(Generic[T]):
    __match_args__ = ("window", "result")
    __slots__ = ("result", "window")

    def __init__(self, window: Window[T], result: ModerationResult) -> None:
        self.window = window
        self.result = result


class _End:
    __slots__ = ("error",)

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class _Pump(Generic[T]):
    """What happens next: a piece of the stream, a verdict, or the end of the stream, whichever comes first.

    One task reads the stream from its start to its end, for a generator may hold what belongs to its task.
    """

    def __init__(self, items: AsyncIterator[T], stage: Stage) -> None:
        self._items = items
        self._stage: Stage = stage
        self._read: asyncio.Queue[_Piece[T] | _End] = asyncio.Queue(1)
        self._reader = asyncio.ensure_future(self._pull())
        self._next: asyncio.Future[_Piece[T] | _End] | None = asyncio.ensure_future(self._read.get())
        self._judged: dict[asyncio.Future[ModerationResult], Window[T]] = {}

    def watch(self, verdict: "Future[ModerationResult]", window: Window[T]) -> None:
        self._judged[asyncio.ensure_future(asettle(verdict))] = window

    def __aiter__(self) -> "_Pump[T]":
        return self

    async def __anext__(self) -> _Piece[T] | _Verdict[T] | _End:
        waiting: list[asyncio.Future[Any]] = [*self._judged, *((self._next,) if self._next else ())]
        if not waiting:
            raise StopAsyncIteration
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        # Verdicts first: a hit must come before whatever the stream has ready.
        for verdict, window in self._judged.items():
            if verdict in done:
                del self._judged[verdict]
                return _Verdict(window, verdict.result())
        piece = done.pop().result()
        self._next = None if isinstance(piece, _End) else asyncio.ensure_future(self._read.get())
        if isinstance(piece, _End) and piece.error is not None:
            raise piece.error
        happened: _Piece[T] | _End = piece
        return happened

    async def aclose(self) -> None:
        await _cancel(self._reader, *self._judged, *((self._next,) if self._next else ()))

    async def _pull(self) -> None:
        begun = False
        ended: Exception | None = None
        try:
            async for item in self._items:
                begun = True
                await self._read.put(_Piece(item))
        except GuardError as error:
            ended = error
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            ended = _broken(error, self._stage) if begun else error
        finally:
            close = getattr(self._items, "aclose", None)
            if close is not None:
                await close()
        await self._read.put(_End(ended))


def _unbroken(items: Iterator[T], stage: Stage) -> Iterator[T]:
    begun = False
    while True:
        failure: GuardUnavailable | None = None
        try:
            item = next(items)
        except StopIteration:
            return
        except GuardError:
            raise
        except Exception as error:
            if not begun:
                raise
            failure = _broken(error, stage)
        if failure is not None:
            raise failure
        begun = True
        yield item


def _broken(error: Exception, stage: Stage) -> GuardUnavailable:
    """What stands for an error in mid-stream."""
    name = type(error).__name__
    emit(GuardEvent(kind=EventKind.UNAVAILABLE, stage=stage, error=name if name.isidentifier() else None))
    return GuardUnavailable(COMPONENT, f"the stream broke off in the middle ({name}): what was not judged is dropped")


def _nothing_to_judge(_: str) -> "Future[ModerationResult]":
    raise AssertionError("a gate that only holds has no windows")


async def _cancel(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
