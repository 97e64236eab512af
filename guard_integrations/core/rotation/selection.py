"""Which key a call may use now. Pure."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from math import inf
from typing import NamedTuple

from guard_integrations.core.rotation.health import Key

__all__ = ["PREFERRED", "Choice", "Wish", "choose"]

PREFERRED = -1
"""The rank of the key that a call wants to stay with."""


class Wish(NamedTuple):
    """What a call asks of its next key; a tuple, since one is made for every attempt.

    Args:
        tried: labels the call has used: only used again where no other is ready.
        refused: labels the call must not use again.
        prefer: a label to stay with while it may be used.
    """

    tried: AbstractSet[str] = frozenset()
    refused: AbstractSet[str] = frozenset()
    prefer: str | None = None


class Choice(NamedTuple):
    """The best key that is ready; a tuple, as above.

    Args:
        key: None where none is.
        rank: how far it is from being the right one; the lower the better.
        soonest: when another one may be ready; infinite where waiting heals none.
    """

    key: Key | None
    rank: float
    soonest: float


def choose(keys: Sequence[Key], first: int, now: float, wish: Wish, *, due: bool) -> Choice:
    """The best of the keys, looked at from one on and round.

    Args:
        keys: all of them.
        first: place of the current key, or of the next one when a rotation is due.
        now: the clock's time.
        wish: what the call asks for.
        due: whether a rotation is.
    """
    best, best_rank, soonest = None, inf, inf
    for offset in range(len(keys)):
        key = keys[(first + offset) % len(keys)]
        if key.label in wish.refused or key.retires_at <= now:
            continue
        if (ready_at := key.ready_at()) > now:
            if not key.dead and ready_at < key.retires_at:
                soonest = min(soonest, ready_at)
            continue
        rank = _rank(key, now, wish, due=due)
        if rank < best_rank:
            best, best_rank = key, rank
        if rank <= 0:
            break
    return Choice(best, best_rank, soonest)


def _rank(key: Key, now: float, wish: Wish, *, due: bool) -> int:
    """How far a ready key is from being the right one; 0 and below end the search."""
    if key.label == wish.prefer:
        return PREFERRED
    rank = (8 if key.retires_at < inf else 0) + (4 if key.label in wish.tried else 0)
    # A key that failed before is tried by one call when a rotation comes to it, and else only in need.
    if key.failures and key.probe_until > now:
        return rank + 3
    if key.failures and not due:
        return rank + 2
    return rank + (1 if wish.prefer else 0)
