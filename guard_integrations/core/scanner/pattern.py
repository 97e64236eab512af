"""A pattern of the portable subset, and what is derived from its tree.

That is everything else: the source for RE2, the width, and the *live* pattern.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from guard_integrations.core.scanner.syntax import (
    Alternatives,
    Characters,
    Edge,
    Node,
    Repeat,
    Sequence,
    merged,
    parse,
)
from guard_integrations.errors import PolicyError

__all__ = ["Pattern"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern.

    Args:
        source: as it was written.
        root: its tree.
        ignore_case: whether upper and lower case are one; by Unicode's simple folding, so that `k` also stands
            for the Kelvin sign, `s` for the long s, and `i` for the Turkish ones with and without a dot.
    """

    source: str
    root: Node
    ignore_case: bool = False

    @classmethod
    def parse(cls, source: str, *, ignore_case: bool = False) -> "Pattern":
        """Reads a pattern.

        Raises:
            PolicyError: when it is not of the portable subset; says at which character, and why.
        """
        return cls(source=source, root=parse(source), ignore_case=ignore_case)

    @property
    def width(self) -> tuple[int, int | None]:
        """Fewest and most characters of a match; None where there is no bound."""
        return _width(self.root)

    @property
    def re2(self) -> str:
        """The pattern in RE2's syntax."""
        return self._cased(_re2(self._folded))

    @property
    def live(self) -> str | None:
        """The RE2 pattern of every text that is not a whole match yet, or could still become a longer one.

        These are the proper prefixes of the matches. Where a match ends in `\\b`, the whole of it belongs to
        them too, since the next character decides. None when there are no such texts. Needs a bounded pattern.
        """  # noqa: D301 - the backslash is written twice on purpose
        found = _prefixes(self._folded, whole=False)
        return None if found is None else self._cased(found)

    @property
    def prefixes(self) -> str:
        """The RE2 pattern of every text that a match begins with, and of every match."""
        return self._cased(_prefixes(self._folded, whole=True) or "")

    def beginning(self, length: int) -> "Pattern":
        """The pattern of the first so many characters of every match, and of every match that is shorter."""
        cut = tuple(node for _, node in sorted(_cut(self.root, length).items()))
        return Pattern(self.source, Alternatives(cut), ignore_case=self.ignore_case)

    def has_edge(self, kind: str) -> bool:
        """Whether such an edge (`b`, `A`) stands anywhere in it."""
        return _has_edge(self.root, kind)

    @property
    def _folded(self) -> Node:
        return _with_turkish_i(self.root) if self.ignore_case else self.root

    def _cased(self, text: str) -> str:
        return f"(?i:{text})" if self.ignore_case else f"(?:{text})"

    def problems(self) -> Iterator[str]:
        """What would make this pattern slow, or deaf, on some texts."""
        if self.width[1] is None:
            yield "has no bound: bound it, and put the open end into the rule's tail"
        if not self.width[0]:
            yield "matches the empty text"
        yield from _deaf_edges(self.root)


def _width(node: Node) -> tuple[int, int | None]:
    match node:
        case Characters():
            return 1, 1
        case Edge():
            return 0, 0
        case Sequence(items):
            widths = [_width(item) for item in items]
            highs = [high for _, high in widths if high is not None]
            return sum(low for low, _ in widths), sum(highs) if len(highs) == len(widths) else None
        case Alternatives(branches):
            widths = [_width(branch) for branch in branches]
            highs = [high for _, high in widths if high is not None]
            return min(low for low, _ in widths), max(highs) if len(highs) == len(widths) else None
        case Repeat(item, low, high):
            least, most = _width(item)
            if most == 0 or high == 0:
                return 0, 0
            return least * low, None if high is None or most is None else most * high


def _has_edge(node: Node, kind: str) -> bool:
    match node:
        case Characters():
            return False
        case Edge(own):
            return own == kind
        case Repeat(item):
            return _has_edge(item, kind)
        case Sequence(items) | Alternatives(items):
            return any(_has_edge(item, kind) for item in items)


def _with_turkish_i(node: Node) -> Node:
    """Without regard to case, `i` stands for the dotless and the dotted i too: in Python it does, in RE2 not."""
    match node:
        case Characters(ranges, negated) if any(low <= code <= high for low, high in ranges for code in (0x49, 0x69)):
            return Characters(merged((*ranges, (0x130, 0x131))), negated=negated)
        case Sequence(items):
            return Sequence(tuple(map(_with_turkish_i, items)))
        case Alternatives(branches):
            return Alternatives(tuple(map(_with_turkish_i, branches)))
        case Repeat(item, low, high):
            return Repeat(_with_turkish_i(item), low, high)
        case _:
            return node


def _point(code: int) -> str:
    char = chr(code)
    return char if char.isascii() and char.isalnum() else f"\\x{{{code:x}}}"


def _re2(node: Node) -> str:
    match node:
        case Characters(((low, high),), False) if low == high:
            return _point(low)
        case Characters(ranges, negated):
            body = "".join(_point(low) if low == high else f"{_point(low)}-{_point(high)}" for low, high in ranges)
            return f"[{'^' if negated else ''}{body}]"
        case Edge(kind):
            return f"\\{kind}"
        case Sequence(items):
            return "".join(_grouped(item) if isinstance(item, Alternatives) else _re2(item) for item in items)
        case Alternatives(branches):
            return "|".join(_re2(branch) for branch in branches)
        case Repeat(item, low, high):
            return _grouped(item) + _counter(low, high)


def _grouped(node: Node) -> str:
    return _re2(node) if isinstance(node, Characters) else f"(?:{_re2(node)})"


def _counter(low: int, high: int | None) -> str:
    if high is None:
        return {0: "*", 1: "+"}.get(low, f"{{{low},}}")
    if (low, high) == (0, 1):
        return "?"
    return f"{{{low}}}" if low == high else f"{{{low},{high}}}"


def _prefixes(node: Node, *, whole: bool) -> str | None:
    """The non-empty prefixes of a node's words: those that more text could extend within it, or with `whole`, all."""
    match node:
        case Characters():
            return _re2(node) if whole else None
        case Edge():
            return None
        case Alternatives(branches):
            return _either(_prefixes(branch, whole=whole) for branch in branches)
        case Repeat(item, _, high):
            return _prefixes_of_repeat(item, high, whole=whole)
        case Sequence(items):
            return _prefixes_of_sequence(items, whole=whole)


def _prefixes_of_sequence(items: tuple[Node, ...], *, whole: bool) -> str | None:
    """Built from the end: the prefixes that end inside the first item, or the first item and a prefix of the rest."""
    found: str | None = None
    open_after = whole  # whether a whole word of what has been built so far still counts
    for item in reversed(items):
        if isinstance(item, Edge):
            # Undecided until the next character is there, so whole words before it count.
            open_after = True
            found = None if found is None else _re2(item) + found
            continue
        here = _prefixes(item, whole=open_after)
        beyond = None if found is None else _grouped(item) + found
        found = _either((here, beyond))
        open_after = open_after or _width(item)[1] != 0
    return found


def _prefixes_of_repeat(item: Node, high: int | None, *, whole: bool) -> str | None:
    if high is None:
        raise PolicyError("the pattern has no bound, so no prefix of it is ever decided")
    if high == 0:
        return None
    copies = high if whole else high - 1
    if isinstance(item, Characters):
        return _re2(item) + _counter(1, copies) if copies else None
    inside = _prefixes(item, whole=False)
    before = _grouped(item) + _counter(0, high - 1) if high > 1 else ""
    return _either(
        (
            None if inside is None else before + inside,
            _grouped(item) + _counter(1, copies) if copies and _width(item)[1] else None,
        )
    )


def _cut(node: Node, room: int) -> dict[int, Node]:
    """What the texts of a node begin with, by its length: `room` characters, or all of a shorter one."""
    match node:
        case Characters():
            return {1: node}
        case Edge():
            return {0: node}
        case Alternatives(branches):
            return _by_length(part for branch in branches for part in _cut(branch, room).items())
        case Repeat(Characters() as item, low, high):
            most = room if high is None else min(room, high)
            return {number: Repeat(item, number, number) for number in range(min(low, most), most + 1)}
        case Repeat(item, low, high):
            found: list[tuple[int, Node]] = [] if low else [(0, Sequence(()))]
            open_ends: dict[int, Node] = {0: Sequence(())}
            for number in range(1, (room + low if high is None else high) + 1):
                open_ends = _joined(open_ends, item, room)
                found += [part for part in open_ends.items() if number >= low or part[0] == room]
                open_ends = {length: part for length, part in open_ends.items() if length < room}
                if not open_ends:
                    break
            return _by_length(found)
        case Sequence(items):
            whole: dict[int, Node] = {0: Sequence(())}
            for item in items:
                whole = _joined(whole, item, room)
            return whole


def _joined(parts: dict[int, Node], item: Node, room: int) -> dict[int, Node]:
    return _by_length(
        (length + more, Sequence((part, node))) if length < room else (length, part)
        for length, part in parts.items()
        for more, node in (_cut(item, room - length).items() if length < room else [(0, part)])
    )


def _by_length(parts: Iterable[tuple[int, Node]]) -> dict[int, Node]:
    found: dict[int, list[Node]] = {}
    for length, node in parts:
        found.setdefault(length, []).append(node)
    return {length: nodes[0] if len(nodes) == 1 else Alternatives(tuple(nodes)) for length, nodes in found.items()}


def _either(found: Iterable[str | None]) -> str | None:
    some = [text for text in found if text is not None]
    return None if not some else some[0] if len(some) == 1 else f"(?:{'|'.join(some)})"


def _deaf_edges(node: Node) -> Iterator[str]:
    r"""A `\b` beside a letter that is not ASCII is never where one would expect it."""
    match node:
        case Sequence(items):
            for item in items:
                yield from _deaf_edges(item)
            for index, item in enumerate(items):
                if item == Edge("b"):
                    beside = [*_last(items[:index]), *_first(items[index + 1 :])]
                    if any(_has_foreign_letter(one) for one in beside):
                        yield r"has a \b beside a letter that is not ASCII, where it never is: leave it out, or use `lead`"
        case Alternatives(branches):
            for branch in branches:
                yield from _deaf_edges(branch)
        case Repeat(item):
            yield from _deaf_edges(item)


def _has_foreign_letter(characters: Characters) -> bool:
    if characters.negated:
        return False
    return any(
        chr(code).isalnum()
        for low, high in characters.ranges
        for code in range(max(low, 0x80), min(high, low + 99) + 1)
    )


def _first(items: tuple[Node, ...]) -> Iterator[Characters]:
    """The sets that the first character of these items may be of."""
    for item in items:
        match item:
            case Characters():
                yield item
            case Sequence(inner):
                yield from _first(inner)
            case Alternatives(branches):
                for branch in branches:
                    yield from _first((branch,))
            case Repeat(inner_item):
                yield from _first((inner_item,))
        if _width(item)[0]:
            return


def _last(items: tuple[Node, ...]) -> Iterator[Characters]:
    """The sets that the last character of these items may be of."""
    for item in reversed(items):
        match item:
            case Characters():
                yield item
            case Sequence(inner):
                yield from _last(inner)
            case Alternatives(branches):
                for branch in branches:
                    yield from _last((branch,))
            case Repeat(inner_item):
                yield from _last((inner_item,))
        if _width(item)[0]:
            return
