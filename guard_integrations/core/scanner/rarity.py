"""How rare things are in prose, roughly: what is rare is looked for first."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from guard_integrations.core.scanner.syntax import Alternatives, Characters, Edge, Node, Range, Repeat, Sequence

__all__ = ["likely", "necessary"]

_LONGEST: Final = 24
"""Characters of what is looked for."""
_NOTHING: Final = (1.0, Sequence(()))
_SHARES: Final = ((0x20, 0x20, 0.17), (0x21, 0x2F, 0.003), (0x30, 0x40, 0.001), (0x41, 0x60, 0.001), (0x61, 0x7A, 0.03))
"""How often characters, first to last, occur in prose."""


def likely(node: Node) -> float:
    """How often a text that the node stands for begins at a place in prose."""
    match node:
        case Characters(ranges, negated):
            return 1 - _share(ranges) if negated else _share(ranges)
        case Sequence(items):
            product = 1.0
            for item in items:
                product *= likely(item)
            return product
        case Alternatives(branches):
            return sum(map(likely, branches))
        case Repeat(item, low, _):
            return likely(item) ** low
        case Edge():
            return 1.0


@lru_cache(maxsize=4096)
def _share(ranges: tuple[Range, ...]) -> float:
    return sum(
        share * max(0, min(high, last) - max(low, first) + 1) for low, high in ranges for first, last, share in _SHARES
    )


def necessary(node: Node) -> Node:
    """What every text that the node stands for holds: the rarest that is easily found."""
    return _necessary(node)[1]


def _necessary(node: Node) -> tuple[float, Node]:
    match node:
        case Characters():
            return likely(node), node
        case Sequence(items):
            runs = [_beginning(run[start:]) for run in _runs(items) for start in range(len(run))]
            return min((*map(_necessary, items), *runs), key=_first, default=_NOTHING)
        case Alternatives(branches):
            each = [_necessary(branch) for branch in branches]
            return sum(map(_first, each)), Alternatives(tuple(dict.fromkeys(need for _, need in each)))
        case Repeat(item, low, _) if low:
            return _beginning([node]) if isinstance(item, Characters) else _necessary(item)
        case _:
            return _NOTHING


def _runs(items: tuple[Node, ...]) -> Iterator[list[Node]]:
    """Stretches of a sequence in which every character has its place."""
    run: list[Node] = []
    for item in items:
        repeats = isinstance(item, Repeat) and isinstance(item.item, Characters) and item.low > 0
        if isinstance(item, Characters) or repeats:
            run.append(item)
            if isinstance(item, Repeat) and item.low != item.high:
                yield run
                run = [item]
        elif not isinstance(item, Edge):
            yield run
            run = []
    yield run


def _beginning(run: list[Node]) -> tuple[float, Node]:
    """The first so many characters of a run."""
    kept: list[Node] = []
    room = _LONGEST
    for item in run:
        single, number = (item.item, item.low) if isinstance(item, Repeat) else (item, 1)
        if not room:
            break
        kept.append(Repeat(single, min(room, number), min(room, number)))
        room -= min(room, number)
    node = Sequence(tuple(kept))
    return likely(node), node


def _first(pair: tuple[float, Node]) -> float:
    return pair[0]
