"""Waits for a verdict that is being fetched, with and without an event loop."""

import asyncio
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TypeVar

from guard_integrations.core.flow import Wait
from guard_integrations.core.moderation.decision import COMPONENT
from guard_integrations.errors import GuardUnavailable

__all__ = ["asettle", "closed", "settle", "settled"]

T = TypeVar("T")


def settle(future: "Future[T]") -> T:
    """Blocks until it is there. A caller that stops waiting cancels the request.

    Raises:
        GuardUnavailable: when the moderator was closed meanwhile, besides what the request itself raises.
    """
    try:
        return future.result()
    except CancelledError:
        pass
    finally:
        # No effect on one that is done; without it, Ctrl-C would leave the request running.
        future.cancel()
    raise closed()


async def asettle(future: "Future[T]") -> T:
    """`settle`, awaited under asyncio."""
    if future.done():
        return settle(future)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    raise closed()


def settled(future: "Future[T]") -> Wait:
    """`settle` or `asettle`, as a step of a flow."""
    return Wait(partial(settle, future), partial(asettle, future))


def closed() -> GuardUnavailable:
    """What is raised in place of a verdict that can no longer come."""
    return GuardUnavailable(COMPONENT, "this Moderator has been closed: make another one")
