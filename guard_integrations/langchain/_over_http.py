"""Whether a stream has come over HTTP: then it must say that it is over, or it was broken off.

LangChain passes over an error frame in silence, and after it the stream is over. Functions that stand in for its own,
as in its tests, give chunks that say nothing of the kind.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

import httpx

__all__ = ["HOOKS", "HOOKS_ASYNC", "Watch"]

_T = TypeVar("_T")


class Watch:
    """Watches one stream.

    Args:
        client: what it comes through; one that lacks our hooks is taken to be asked.
    """

    def __init__(self, client: httpx.Client | httpx.AsyncClient) -> None:
        self.answered = not {_note, _anote} & set(client.event_hooks["response"])

    def stream(self, begin: Callable[..., Iterator[_T]], *args: Any) -> Iterator[_T]:
        """The stream that `begin` begins."""
        items = begin(*args)
        # Not over a `yield`: what a generator sets is seen by whoever reads it.
        token = _watched.set(self)
        try:
            first = next(items, None)
        finally:
            _watched.reset(token)
        if first is not None:
            yield first
            yield from items

    async def astream(self, begin: Callable[..., AsyncIterator[_T]], *args: Any) -> AsyncIterator[_T]:
        """The twin of `stream`."""
        async with aclosing(cast("AsyncGenerator[_T]", begin(*args))) as items:
            token = _watched.set(self)
            try:
                first = await anext(items, None)
            finally:
                _watched.reset(token)
            if first is not None:
                yield first
                async for item in items:
                    yield item


_watched: ContextVar[Watch | None] = ContextVar("guard_watched_stream", default=None)


def _note(_: httpx.Response) -> None:
    watch = _watched.get()
    if watch is not None:
        watch.answered = True


async def _anote(response: httpx.Response) -> None:
    _note(response)


HOOKS: Final = (_note,)
"""For the responses of a blocking client."""
HOOKS_ASYNC: Final = (_anote,)
"""The same for an asynchronous one."""
