r"""The portable subset of regular expressions, read into a tree.

The subset is what a linear-time engine runs and what a stream can decide: literals, escapes, classes, `.`,
`(?:…)`, `|`, the greedy `?`, `*`, `+`, `{m}`, `{m,n}`, and the edges `\b` and `\A`.

`\d`, `\w` and `\b` are ASCII; `\s` is every white space of Unicode, as in Python's own `re`; `.` is any character but a
line break. Of all matches that begin at one place the longest counts, so the order of alternatives means nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from guard_integrations.errors import PolicyError

__all__ = ["MAX_COUNT", "Alternatives", "Characters", "Edge", "Node", "Range", "Repeat", "Sequence", "merged", "parse"]

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


@lru_cache(maxsize=1024)
def parse(source: str) -> Node:
    """Reads a pattern.

    Raises:
        PolicyError: when it is not of the portable subset; says at which character, and why.
    """
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
        return Characters(merged(ranges), negated=negated)

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


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
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
    for first, last in merged(ranges):
        if low < first:
            gaps.append((low, first - 1))
        low = last + 1
    if low <= _LAST:
        gaps.append((low, _LAST))
    return tuple(gaps)
