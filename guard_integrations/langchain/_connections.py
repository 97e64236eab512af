"""The connections of an asynchronous model's client: one for each call that is on its way.

The pool of `httpcore` offers one idle connection to every request that waits for one, and looks at all of them each
time. With 64 calls at once that takes more of the processor than everything else in a call together. Here each request
has a transport to itself, of one connection; limits and time-outs are those of `httpx`.
"""

import asyncio
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
        self._of_loop: dict[asyncio.AbstractEventLoop, _Connections] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        here = self._here()
        await here.close_old()
        await here.wait_for_room(request)
        one = here.take()
        try:
            response = await one.handle_async_request(request)
        except BaseException:
            here.give_back(one)
            raise
        response.stream = _Body(cast("httpx.AsyncByteStream", response.stream), here, one)
        return response

    async def aclose(self) -> None:
        """Ends every connection of this event loop."""
        await self._here().close()

    def _here(self) -> "_Connections":
        """Those of this event loop: in another one a connection fails, as when a program calls `asyncio.run` twice."""
        loop = asyncio.get_running_loop()
        here = self._of_loop.get(loop)
        if here is None:
            here = _Connections(self._verify)
            going_on = {each: its for each, its in self._of_loop.items() if not each.is_closed()}
            self._of_loop = {**going_on, loop: here}
        return here


class _Connections:
    """The connections of one event loop.

    Args:
        verify: how servers are verified.
    """

    def __init__(self, verify: SSLContext) -> None:
        self._verify = verify
        self._room = anyio.Semaphore(MOST)
        self._all: set[httpx.AsyncHTTPTransport] = set()
        # Used from the right, so that few are kept warm; what has not been used for long is at the left.
        self._idle: deque[tuple[float, httpx.AsyncHTTPTransport]] = deque()

    async def wait_for_room(self, request: httpx.Request) -> None:
        """Waits until there may be one more.

        Raises:
            httpx.PoolTimeout: when that takes too long.
        """
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

    def take(self) -> httpx.AsyncHTTPTransport:
        """One that nobody uses."""
        if self._idle:
            return self._idle.pop()[1]
        made = httpx.AsyncHTTPTransport(verify=self._verify, limits=_ONE)
        self._all.add(made)
        return made

    def give_back(self, one: httpx.AsyncHTTPTransport) -> None:
        """Nobody uses it any more."""
        if one in self._all:
            self._idle.append((time.monotonic(), one))
        self._room.release()

    async def close_old(self) -> None:
        """Ends those that nobody has used for long."""
        before = time.monotonic() - IDLE
        while self._idle and self._idle[0][0] < before:
            _, old = self._idle.popleft()
            self._all.discard(old)
            await old.aclose()

    async def close(self) -> None:
        """Ends all of them."""
        self._idle.clear()
        while self._all:
            await self._all.pop().aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; its end gives the connection back."""

    def __init__(self, body: httpx.AsyncByteStream, owner: _Connections, one: httpx.AsyncHTTPTransport) -> None:
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
                self._owner.give_back(one)
