"""One event loop, in a thread of its own, for everything that a moderator does over the network.

Callers come from any thread and any event loop, and from none. Connections belong to the loop that opened them,
so a client per calling loop would lose its connections with each `asyncio.run`, and a second, blocking client
would be a second pool. One loop of our own has one pool, and a blocking caller gets parallel requests, too.
"""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from guard_integrations.core.forks import keep_through_forks

__all__ = ["LoopClosedError", "LoopThread"]

R = TypeVar("R")
T = TypeVar("T")

_JOIN_SECONDS = 5.0


class LoopClosedError(Exception):
    """Work was handed to a loop that has been closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running(Generic[R]):
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    stop: asyncio.Event
    resource: R
    working: "set[asyncio.Task[Any]]" = field(default_factory=set)

    async def tracked(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> T:
        """Does work, and is known to whoever has to end it."""
        task = asyncio.current_task()
        if task is not None:
            self.working.add(task)
            task.add_done_callback(self.working.discard)
        return await work(self.resource)


class LoopThread(Generic[R]):
    """Runs coroutines over one resource, made in the loop when the first one comes and closed with it.

    A process that was forked starts anew. The thread ends on `close`, with this object, or with the interpreter.

    Args:
        name: of the thread.
        opened: makes the resource; called in the loop.
        closed: closes it; called in the loop.
    """

    def __init__(self, name: str, opened: Callable[[], R], closed: Callable[[R], Awaitable[None]]) -> None:
        self._name = name
        self._open = opened
        self._close = closed
        self._lock = threading.Lock()
        self._running: _Running[R] | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._shut = False
        keep_through_forks(self)

    def submit(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> Future[T]:
        """Starts `work(resource)` in the loop, in a copy of the caller's context.

        Cancelling what comes back cancels the work.

        Raises:
            LoopClosedError: after `close`.
        """
        with self._lock:
            if self._shut:
                raise LoopClosedError
            if self._running is None:
                self._running = self._start()
                self._finalizer = weakref.finalize(self, _stop, self._running)
            return asyncio.run_coroutine_threadsafe(self._running.tracked(work), self._running.loop)

    def close(self) -> None:
        """Cancels what runs, closes the resource and ends the thread. May be called again."""
        with self._lock:
            self._shut = True
            finalizer = self._finalizer
        if finalizer:
            finalizer()

    def _start(self) -> _Running[R]:
        started: Future[_Running[R]] = Future()
        serve = _serve(started, self._open, self._close)
        # A daemon: a program that forgets to close its moderator still ends.
        thread = threading.Thread(target=asyncio.run, args=(serve,), name=self._name, daemon=True)
        thread.start()
        return started.result()

    def after_fork(self) -> None:
        """Lets go of a loop that was left without its thread."""
        if self._finalizer:
            self._finalizer.detach()
        self._lock = threading.Lock()
        # Kept alive for good: closing the copies would touch the epoll object that the parent still uses.
        _ORPHANS.append(self._running)
        self._running = self._finalizer = None


async def _serve(started: Future[_Running[R]], opened: Callable[[], R], closed: Callable[[R], Awaitable[None]]) -> None:
    try:
        resource = opened()
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for it
        started.set_exception(error)
        return
    running = _Running(
        loop=asyncio.get_running_loop(),
        thread=threading.current_thread(),
        stop=asyncio.Event(),
        resource=resource,
    )
    started.set_result(running)
    await running.stop.wait()
    # Only what was handed in: what that has begun in its turn is for the resource to end.
    working = list(running.working)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    await closed(resource)


def _stop(running: _Running[Any]) -> None:
    running.loop.call_soon_threadsafe(running.stop.set)
    if running.thread is not threading.current_thread():
        running.thread.join(_JOIN_SECONDS)


_ORPHANS: list[object] = []
