"""What a forked child has to make anew: a lock that a thread of the parent's held would stay locked for good."""

import os
from typing import Protocol
from weakref import WeakKeyDictionary

__all__ = ["Forkable", "keep_through_forks"]


class Forkable(Protocol):
    """Something with locks or threads."""

    def after_fork(self) -> None:
        """Makes them anew; called in the child, before anything else runs there."""


_KEPT: WeakKeyDictionary[Forkable, None] = WeakKeyDictionary()


def keep_through_forks(thing: Forkable) -> None:
    """Has `thing.after_fork` called in each child, as long as it lives."""
    _KEPT[thing] = None


def _after_fork() -> None:
    # The newest first: a ring's lock must be free before the state that it shares, made before it, starts its thread.
    for thing in reversed(list(_KEPT)):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
