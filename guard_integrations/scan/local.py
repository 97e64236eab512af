"""Units on the cores of this machine, in order, a few at a time."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Final

from guard_integrations.errors import GuardUnavailable
from guard_integrations.scan.units import Unit
from guard_integrations.scan.work import Result, Work

__all__ = ["cores", "run_local"]

_AHEAD: Final = 3
"""Units for each worker that are on their way at once: what bounds the memory."""
_MOST_DEATHS: Final = 3


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_local(units: Iterable[Unit], work: Work, workers: int) -> Iterator[Result]:
    """Does the work in processes of their own, or in this one where there is but one worker or one unit.

    Args:
        units: asked for as they are needed.
        work: what is done with each.
        workers: how many processes.

    Returns:
        The results in the order of the units, whatever order they are done in. A unit whose worker died is done
        again.

    Raises:
        GuardUnavailable: workers die again and again.
    """
    queue = iter(units)
    first = list(islice(queue, 2))
    if workers == 1 or len(first) < 2:  # noqa: PLR2004 - one unit needs no help
        return map(work, chain(first, queue))
    return _Pool(work, workers).map(chain(first, queue))


class _Pool:
    def __init__(self, work: Work, workers: int) -> None:
        self._work = work
        self._workers = workers
        self._waiting: deque[tuple[Unit, Future[Result]]] = deque()
        self._deaths = 0
        self._pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        # Not forked: a fork copies locks that other threads hold.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._workers, mp_context=context, initializer=_prepare, initargs=(self._work,))

    def map(self, units: Iterator[Unit]) -> Iterator[Result]:
        try:
            for unit in units:
                self._submit(unit)
                if len(self._waiting) >= _AHEAD * self._workers:
                    yield self._next()
            while self._waiting:
                yield self._next()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, unit: Unit) -> None:
        try:
            self._waiting.append((unit, self._pool.submit(_do, unit)))
        except BrokenProcessPool:
            self._again()
            self._waiting.append((unit, self._pool.submit(_do, unit)))

    def _next(self) -> Result:
        while True:
            try:
                result = self._waiting[0][1].result()
            except BrokenProcessPool:
                result = None
            if result is not None:
                self._waiting.popleft()
                return result
            self._again()

    def _again(self) -> None:
        """A pool in place of the broken one, with all that it had not done."""
        self._deaths += 1
        if self._deaths > _MOST_DEATHS:
            raise GuardUnavailable("scan", "workers die again and again; is there enough memory? Try fewer workers")
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._started()
        self._waiting = deque(
            (unit, done if _is_good(done) else self._pool.submit(_do, unit)) for unit, done in self._waiting
        )


def _is_good(done: Future[Result]) -> bool:
    return done.done() and not done.cancelled() and done.exception() is None


_task: Callable[[Unit], Result]


def _prepare(work: Work) -> None:
    global _task  # noqa: PLW0603 - a worker's one job
    _task = work


def _do(unit: Unit) -> Result:
    return _task(unit)
