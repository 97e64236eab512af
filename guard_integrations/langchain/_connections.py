"""The connections of an asynchronous model's client: one for each call that is on its way.

The pool of `httpcore` offers one idle connection to every request that waits for one, and looks at all of them each
time. With 64 calls at once that takes more of the processor than everything else in a call together. Here each request
has a transport to itself, of one connection; limits and time-outs are those of `httpx`.
"""

import time
from collections import deque
from collections.abc import AsyncIterator
from ssl import SSLContext
from typing import Final, cast
from urllib.request import getproxies

import anyio
import httpx

__all__ = ["connections"]

MOST: Final = 100
"""Connections at once; what comes on top waits for one, for as long as the client's time-out for the pool says."""
IDLE: Final = 5.0
"""Seconds that an unused connection is kept."""

_ONE: Final = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE)


def connections(verify: SSLContext) -> httpx.AsyncBaseTransport | None:
    """The transport for a client that is to be made; None for the client's own, which knows the environment's proxies.

    Args:
        verify: how servers are verified.
    """
    return None if getproxies() else _OnePerCall(verify)


class _OnePerCall(httpx.AsyncBaseTransport):
    def __init__(self, verify: SSLContext) -> None:
        self._verify = verify
        self._room = anyio.Semaphore(MOST)
        self._all: set[httpx.AsyncHTTPTransport] = set()
        # Used from the right, so that few are kept warm; what has not been used for long is at the left.
        self._idle: deque[tuple[float, httpx.AsyncHTTPTransport]] = deque()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._close_old()
        await self._wait_for_room(request)
        one = self._take()
        try:
            response = await one.handle_async_request(request)
        except BaseException:
            self._give_back(one)
            raise
        response.stream = _Body(cast("httpx.AsyncByteStream", response.stream), self, one)
        return response

    async def aclose(self) -> None:
        """Ends every connection."""
        self._idle.clear()
        while self._all:
            await self._all.pop().aclose()

    async def _wait_for_room(self, request: httpx.Request) -> None:
        try:
            self._room.acquire_nowait()
        except anyio.WouldBlock:
            pass
        else:
            return
        with anyio.move_on_after(request.extensions.get("timeout", {}).get("pool")):
            await self._room.acquire()
            return
        raise httpx.PoolTimeout("no connection became free in time", request=request)

    def _take(self) -> httpx.AsyncHTTPTransport:
        if self._idle:
            return self._idle.pop()[1]
        made = httpx.AsyncHTTPTransport(verify=self._verify, limits=_ONE)
        self._all.add(made)
        return made

    def _give_back(self, one: httpx.AsyncHTTPTransport) -> None:
        if one in self._all:
            self._idle.append((time.monotonic(), one))
        self._room.release()

    async def _close_old(self) -> None:
        before = time.monotonic() - IDLE
        while self._idle and self._idle[0][0] < before:
            _, old = self._idle.popleft()
            self._all.discard(old)
            await old.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; its end gives the connection back."""

    def __init__(self, body: httpx.AsyncByteStream, owner: _OnePerCall, one: httpx.AsyncHTTPTransport) -> None:
        self._body = body
        self._owner = owner
        self._one: httpx.AsyncHTTPTransport | None = one

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            one, self._one = self._one, None
            if one is not None:
                self._owner._give_back(one)  # noqa: SLF001 - the owner's own module
