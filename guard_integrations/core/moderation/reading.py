"""Reads a stream beside the verdicts on it, and says what comes first: a piece, the end, or a verdict.

A stream is read in one thread, or one task, from its start to its end, for a generator may hold what belongs to it.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from enum import Enum, auto
from queue import SimpleQueue
from threading import Lock, Semaphore, Thread
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["AsyncReader", "Came", "Pending", "Reader"]

T = TypeVar("T")

Pending: TypeAlias = "Collection[Future[Any]]"
"""Verdicts that are being fetched."""


class Came(Enum):
    """What came instead of a piece."""

    END = auto()
    """The stream is over."""
    VERDICT = auto()
    """A verdict is there, or was meanwhile; whoever waits looks for himself."""


class _Failed:
    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Reader(Generic[T]):
    """Reads a blocking stream.

    Args:
        beside: whether verdicts are waited for while the stream goes on. A thread of its own reads it then.
    """

    def __init__(self, *, beside: bool) -> None:
        self._beside = beside
        self._items: Iterator[T] = iter(())
        self._thread: Thread | None = None
        self._mailbox: SimpleQueue[T | Came | _Failed] = SimpleQueue()
        self._watched: set[Future[Any]] = set()
        # One piece ahead of the reader, and no more.
        self._room = Semaphore(1)
        self._lock = Lock()
        self._asking = self._ended = self._left = False

    def open(self, items: Iterator[T]) -> None:
        """Begins with a stream, which is closed with this."""
        self._items = items

    def next(self, until: Pending = ()) -> T | Came:
        """Waits for the next piece, the end, or one of these verdicts; verdicts that are there come first.

        Raises:
            BaseException: what the stream raised.
        """
        if any(verdict.done() for verdict in until):
            return Came.VERDICT
        if self._ended:
            wait_for(until, return_when=FIRST_COMPLETED)
            return Came.VERDICT
        came = self._from_thread(until) if self._beside else next(self._items, Came.END)
        if isinstance(came, _Failed):
            raise came.error
        self._ended = came is Came.END
        return came

    def _from_thread(self, until: Pending) -> T | Came | _Failed:
        for verdict in until:
            if verdict not in self._watched:
                self._watched.add(verdict)
                verdict.add_done_callback(lambda _: self._mailbox.put(Came.VERDICT))
        if self._thread is None:
            read = contextvars.copy_context().run
            # A daemon: a model that says nothing more does not keep a program from ending.
            self._thread = Thread(target=read, args=(self._read,), name="guard-reader", daemon=True)
            self._thread.start()
        came = self._mailbox.get()
        if not isinstance(came, Came | _Failed):
            self._room.release()
        return came

    def close(self) -> None:
        """Ends the reading and closes the stream; where a piece is being waited for, as soon as it is there."""
        if self._thread is None:
            _close(self._items)
            return
        with self._lock:
            self._left = True
            asking = self._asking
        self._room.release()
        if not asking:
            self._thread.join()

    def _read(self) -> None:
        try:
            while self._may_ask():
                item = next(self._items)
                with self._lock:
                    self._asking = False
                self._mailbox.put(item)
        except StopIteration:
            self._mailbox.put(Came.END)
        except BaseException as error:  # noqa: BLE001 - raised again where the stream is read
            self._mailbox.put(_Failed(error))
        finally:
            self._asking = False
            with suppress(Exception):  # nobody is there any more who could be told
                _close(self._items)

    def _may_ask(self) -> bool:
        self._room.acquire()
        with self._lock:
            self._asking = not self._left
        return self._asking


def _close(items: Iterator[Any]) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()


class AsyncReader(Generic[T]):
    """Reads a stream under asyncio.

    Args:
        beside: whether verdicts are waited for while the stream goes on. A task of its own reads it then.
    """

    def __init__(self, *, beside: bool) -> None:
        self._beside = beside
        self._items: AsyncIterator[T] | None = None
        self._task: asyncio.Task[None] | None = None
        self._mailbox: deque[T | Came | _Failed] = deque()
        self._posted = asyncio.Event()
        self._watched: set[Future[Any]] = set()
        self._room = asyncio.Semaphore(1)
        self._ended = False

    def open(self, items: AsyncIterator[T]) -> None:
        """Begins with a stream, which is closed with this."""
        self._items = items

    async def next(self, until: Pending = ()) -> T | Came:
        """As `Reader.next`, awaited."""
        if any(verdict.done() for verdict in until):
            return Came.VERDICT
        if not self._beside and not self._ended and self._items is not None:
            try:
                return await anext(self._items)
            except StopAsyncIteration:
                self._ended = True
                return Came.END
        came = await self._posted_next(until)
        if isinstance(came, _Failed):
            raise came.error
        if came is Came.END:
            self._ended = True
        elif came is not Came.VERDICT:
            self._room.release()
        return came

    async def _posted_next(self, until: Pending) -> T | Came | _Failed:
        loop = asyncio.get_running_loop()

        def tell(_: "Future[Any]") -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._post, Came.VERDICT)

        for verdict in until:
            if verdict not in self._watched:
                self._watched.add(verdict)
                verdict.add_done_callback(tell)
        if self._task is None and not self._ended:
            self._task = asyncio.create_task(self._read())
        while not self._mailbox:
            self._posted.clear()
            await self._posted.wait()
        return self._mailbox.popleft()

    async def aclose(self) -> None:
        """Ends the reading, at once, and closes the stream."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        else:
            await self._close()

    async def _read(self) -> None:
        ended: Came | _Failed = Came.END
        try:
            if self._items is not None:
                async for item in self._items:
                    self._post(item)
                    await self._room.acquire()
        except Exception as error:  # noqa: BLE001 - raised again where the stream is read
            ended = _Failed(error)
        finally:
            await self._close()
        self._post(ended)

    async def _close(self) -> None:
        # Mistral's SDK calls it `close`.
        close = getattr(self._items, "aclose", None) or getattr(self._items, "close", None)
        if close is not None:
            await close()

    def _post(self, came: T | Came | _Failed) -> None:
        self._mailbox.append(came)
        self._posted.set()
