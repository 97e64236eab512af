r"""The portable subset of regular expressions that rules are written in.

The subset is what a linear-time engine runs and what a stream can decide: literals, escapes, classes, `.`,
`(?:…)`, `|`, the greedy `?`, `*`, `+`, `{m}`, `{m,n}`, and the edges `\b` and `\A`. A pattern is parsed into a small
tree, from which everything else is derived: the source for RE2, the width, and the *live* pattern.

`\d`, `\w` and `\b` are ASCII; `\s` is every white space of Unicode, as in Python's own `re`; `.` is any character but a
line break. Of all matches that begin at one place the longest counts, so the order of alternatives means nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from guard_integrations.errors import PolicyError

__all__ = ["MAX_COUNT", "Alternatives", "Characters", "Edge", "Node", "Pattern", "Repeat", "Sequence"]

MAX_COUNT: Final = 200
"""Counters above this make an engine slow on hostile text."""

Range: TypeAlias = tuple[int, int]
"""First and last code point."""

_DIGIT: Final[tuple[Range, ...]] = ((0x30, 0x39),)
_WORD: Final[tuple[Range, ...]] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Final[tuple[Range, ...]] = (
    (0x09, 0x0D),
    (0x1C, 0x20),
    (0x85, 0x85),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
)
_CLASSES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B, "a": 0x07, "0": 0x00}
_LAST: Final = 0x10FFFF
_NOT_LITERAL: Final = frozenset("\\^$.|?*+()[]{}")


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of a set, or one that is not of it."""

    ranges: tuple[Range, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    r"""A place without width: `\b` or `\A`."""

    kind: Literal["b", "A"]


@dataclass(frozen=True, slots=True)
class Sequence:
    """One thing after another."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of several."""

    branches: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same thing `low` to `high` times; without a `high`, any number."""

    item: "Node"
    low: int
    high: int | None


Node: TypeAlias = Characters | Edge | Sequence | Alternatives | Repeat


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
        return cls(source=source, root=_parsed(source), ignore_case=ignore_case)

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


@lru_cache(maxsize=1024)
def _parsed(source: str) -> Node:
    return _Parser(source).parse()


class _Parser:
    """Recursive descent over the source, one method a level of precedence."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def parse(self) -> Node:
        node = self._alternatives()
        if self._at < len(self._source):
            self._fail("a ) without its (")
        return node

    def _fail(self, why: str, at: int | None = None) -> None:
        raise PolicyError(f"character {(self._at if at is None else at) + 1} of the pattern: {why}")

    def _peek(self, text: str) -> bool:
        return self._source.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        if not self._peek(text):
            return False
        self._at += len(text)
        return True

    def _next(self, wanted: str) -> str:
        if self._at >= len(self._source):
            self._fail(f"the pattern ends where {wanted} is expected")
        char = self._source[self._at]
        self._at += 1
        return char

    def _alternatives(self) -> Node:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Alternatives(tuple(branches))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while self._at < len(self._source) and not self._peek("|") and not self._peek(")"):
            items.append(self._repeat(self._atom()))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _atom(self) -> Node:
        start = self._at
        char = self._next("something")
        if char == "(":
            if not self._take("?:"):
                self._fail("only (?:…) groups: no captures, look-around, flags or back-references", start)
            node = self._alternatives()
            if not self._take(")"):
                self._fail("this ( has no )", start)
            return node
        if char == "[":
            return self._class(start)
        if char == ".":
            return Characters(((0x0A, 0x0A),), negated=True)
        if char == "\\":
            return self._escape(start)
        if char in _NOT_LITERAL:
            what = {"^": r"use \A", "$": r"there is no end of text in a stream"}.get(char, f"write \\{char}")
            self._fail(f"{char} does not stand for itself: {what}", start)
        return _literal(ord(char))

    def _escape(self, start: int) -> Node:
        char = self._next("an escaped character")
        if char == "b":
            return Edge("b")
        if char == "A":
            return Edge("A")
        if char.lower() in _CLASSES:
            return Characters(_CLASSES[char.lower()], negated=char.isupper())
        return _literal(self._code_point(char, start))

    def _code_point(self, char: str, start: int) -> int:
        """The code point of an escape whose first character has been read."""
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char in "xuU":
            digits = ""
            if char == "x" and self._take("{"):
                while not self._take("}"):
                    digits += self._next("}")
            else:
                digits = "".join(self._next("a hexadecimal digit") for _ in range({"x": 2, "u": 4, "U": 8}[char]))
            if not digits or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
                self._fail("not a hexadecimal number", start)
            code = int(digits, 16)
            if code > _LAST:
                self._fail("past the last code point", start)
            return code
        if char.isascii() and char.isalnum():
            self._fail(f"\\{char} is not of the portable subset", start)
        return ord(char)

    def _class(self, start: int) -> Node:
        negated = self._take("^")
        ranges: list[Range] = []
        while not self._take("]"):
            first = self._class_item(start)
            if len(first) == 1 and first[0][0] == first[0][1] and self._peek("-") and not self._peek("-]"):
                self._at += 1
                last = self._class_item(start)
                low, high = first[0][0], last[0][1]
                if len(last) != 1 or last[0][0] != high or high < low:
                    self._fail("not a range", start)
                ranges.append((low, high))
            else:
                ranges.extend(first)
        if not ranges:
            self._fail("an empty class", start)
        return Characters(_merged(ranges), negated=negated)

    def _class_item(self, start: int) -> tuple[Range, ...]:
        if self._at >= len(self._source):
            self._fail("this [ has no ]", start)
        at = self._at
        char = self._next("a character")
        if char == "[":
            self._fail("write \\[ inside a class", at)
        if char != "\\":
            return ((ord(char), ord(char)),)
        char = self._next("an escaped character")
        if char.lower() in _CLASSES:
            ranges = _CLASSES[char.lower()]
            return _complement(ranges) if char.isupper() else ranges
        code = self._code_point(char, at)
        return ((code, code),)

    def _repeat(self, item: Node) -> Node:
        start = self._at
        low, high = 0, None
        if self._take("?"):
            high = 1
        elif self._take("+"):
            low = 1
        elif self._take("{"):
            low = self._number()
            high = (None if self._peek("}") else self._number()) if self._take(",") else low
            if not self._take("}"):
                self._fail("a counter is {m}, {m,} or {m,n}", start)
            if high is not None and high < low:
                self._fail("the counter runs backwards", start)
            if max(low, high or 0) > MAX_COUNT:
                self._fail(f"counters go up to {MAX_COUNT}", start)
        elif not self._take("*"):
            return item
        if isinstance(item, Edge):
            self._fail("an edge cannot be repeated", start)
        if any(self._peek(char) for char in "?*+{"):
            self._fail("one repetition only: none are lazy or possessive", start)
        return Repeat(item, low, high)

    def _number(self) -> int:
        digits = ""
        while self._at < len(self._source) and self._source[self._at] in "0123456789":
            digits += self._source[self._at]
            self._at += 1
        if not digits:
            self._fail("a number is expected")
        return int(digits)


def _literal(code: int) -> Characters:
    return Characters(((code, code),))


def _merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Sorted, and without overlaps."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement(ranges: Iterable[Range]) -> tuple[Range, ...]:
    gaps: list[Range] = []
    low = 0
    for first, last in _merged(ranges):
        if low < first:
            gaps.append((low, first - 1))
        low = last + 1
    if low <= _LAST:
        gaps.append((low, _LAST))
    return tuple(gaps)


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


def _with_turkish_i(node: Node) -> Node:
    """Without regard to case, `i` stands for the dotless and the dotted i too: in Python it does, in RE2 not."""
    match node:
        case Characters(ranges, negated) if any(low <= code <= high for low, high in ranges for code in (0x49, 0x69)):
            return Characters(_merged((*ranges, (0x130, 0x131))), negated=negated)
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
