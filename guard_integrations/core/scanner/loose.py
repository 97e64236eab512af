"""A pattern without the bounds of its gaps: it matches wherever the pattern does, and at little cost.

`a[^.]{0,60}b[^.]{0,60}c` keeps count of every `a` and `b` in reach: on hostile text each character makes another state
(0.5 to 2 MB/s). `a[^.]*b[^.]*c` has a handful of states on any text. Where it matches, the pattern itself is tried
there, and from one place only, which keeps one count.
"""

from typing import Final

from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.prefilter import is_broad
from guard_integrations.core.scanner.syntax import Alternatives, Characters, Node, Repeat, Sequence

__all__ = ["loosened"]

_FEW: Final = 8
"""Times that a class may be repeated without being a gap."""


def loosened(pattern: Pattern) -> str | None:
    """The pattern in RE2's syntax with gaps of any width; None where it has no gaps."""
    root = _loose(pattern.root)
    return None if root == pattern.root else Pattern("", root, ignore_case=pattern.ignore_case).re2


def _loose(node: Node) -> Node:
    match node:
        case Repeat(Characters() as item, low, high):
            gap = is_broad(item) and (high is None or high > _FEW)
            return Repeat(item, min(low, 1), None) if gap else node
        case Repeat(item, low, high):
            return Repeat(_loose(item), low, high)
        case Sequence(items):
            return Sequence(tuple(map(_loose, items)))
        case Alternatives(branches):
            return Alternatives(tuple(map(_loose, branches)))
        case _:
            return node
