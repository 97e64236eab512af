"""JSON that arrives in pieces, cut into its string values and what stands around them.

It is read as `json.loads` does (RFC 8259, and the three numbers that Python adds), except that a string may hold raw
line breaks and tabs, as many a model writes them.
"""

import json
import re
from collections.abc import Generator, Iterator
from enum import Enum, auto
from typing import Final, NamedTuple, TypeAlias

from guard_integrations.errors import GuardUnavailable

__all__ = ["DEEPEST", "JsonTokens", "Kind", "Token", "too_deep"]

DEEPEST: Final = 100
"""Containers may be nested so deep, those in strings counted too."""

_WHITE: Final = re.compile(r"[ \t\n\r]*")
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]+')
_ESCAPE: Final = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])')
_PART_OF_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_WORD: Final = re.compile(r"[-+.0-9A-Za-z]*")
_SCALAR: Final = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null|NaN|-?Infinity", re.ASCII
)
_LONGEST_SCALAR: Final = 4000
"""Characters; Python reads no whole number of more than 4,300."""
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Kind(Enum):
    """What a token is: around a value, its beginning, a piece of it, its end; or text that has no place in JSON."""

    AROUND = auto()
    BEGIN = auto()
    PIECE = auto()
    END = auto()
    UNFINISHED = auto()
    BROKEN = auto()


class Token(NamedTuple):
    """A piece of a document.

    Args:
        kind: what it is.
        text: as it came; of a piece of a value, what it means; of the beginning of a value, the key it stands under.
        spelled: of a piece of a value, as it came.
    """

    kind: Kind
    text: str | None = None
    spelled: str = ""


_Cut: TypeAlias = Generator[Token, None, int]
"""Tokens, and the place up to which they reach."""


class _Expects(Enum):
    VALUE = auto()
    ITEM_OR_END = auto()
    KEY_OR_END = auto()
    KEY = auto()
    COLON = auto()
    NEXT = auto()
    NOTHING = auto()


class _Container(NamedTuple):
    closes: str
    key: str | None


class JsonTokens:
    """One document. Its tokens do not depend on how it is cut into chunks, except in how many pieces a value comes.

    What is not known to belong to JSON before more has come is held: a key before its colon, a number before what
    parts it from the next, the bracket that ends the document.

    Args:
        depth: how deep the document itself stands in others.
    """

    def __init__(self, depth: int = 0) -> None:
        self._rest = ""
        """What has come and is in no token yet."""
        self._held: list[str] = []
        """What comes before that, and may turn out not to be JSON."""
        self._expects = _Expects.VALUE
        self._open: list[_Container] = []
        self._key: str | None = None
        self._name: list[str] | None = None
        """The key that is being read."""
        self._in_value = False
        self._depth = depth
        self.broken = False

    @property
    def complete(self) -> bool:
        """Whether what has come is a whole document."""
        return self._expects is _Expects.NOTHING and not self.broken and not self._rest

    @property
    def depth(self) -> int:
        """How deep the next value stands."""
        return self._depth + len(self._open)

    def feed(self, text: str) -> list[Token]:
        """The tokens that are known now.

        Raises:
            GuardUnavailable: the document is nested more than 100 deep.
        """
        self._rest += text
        return list(self._cut(final=False))

    def finish(self) -> list[Token]:
        """The rest: of a document that is not whole, what was held is `UNFINISHED`."""
        tokens = list(self._cut(final=True))
        if self.broken:
            return tokens
        if self._in_value:
            tokens.append(Token(Kind.END))
        rest = self._take_held() + self._rest
        self._rest = ""
        if rest:
            whole = self._expects is _Expects.NOTHING and not self._in_value
            tokens.append(Token(Kind.AROUND if whole else Kind.UNFINISHED, rest))
        return tokens

    def _cut(self, *, final: bool) -> Iterator[Token]:
        at = 0
        while not self.broken:
            before = at
            if self._in_value or self._name is not None:
                at = yield from self._string(at)
            else:
                at = yield from self._around(at, final=final)
            if at == before:
                break
        self._rest = self._rest[at:]
        if self.broken and (self._rest or self._held):
            text, self._rest = self._take_held() + self._rest, ""
            yield Token(Kind.BROKEN, text)

    def _take_held(self) -> str:
        held = "".join(self._held)
        self._held.clear()
        return held

    # -- strings -----------------------------------------------------------------------------------------------

    def _string(self, at: int) -> _Cut:
        rest = self._rest
        while at < len(rest):
            plain = _PLAIN.match(rest, at)
            if plain is not None:
                at = plain.end()
                yield from self._piece(plain[0], plain[0])
            elif rest[at] == '"':
                self._held.append('"')
                at += 1
                yield from self._end_string()
                break
            elif rest[at] != "\\":
                yield from self._piece(rest[at], rest[at])
                at += 1
            else:
                end = self._escape(at)
                if end == at:
                    break
                spelled = rest[at:end]
                yield from self._piece(json.loads(f'"{spelled}"'), spelled)
                at = end
        return at

    def _escape(self, at: int) -> int:
        """Where the escape that begins at a place ends; the place itself where it is broken, or not all there."""
        rest = self._rest
        first = _ESCAPE.match(rest, at)
        if first is None:
            self.broken = not _PART_OF_ESCAPE.match(rest, at)
            return at
        end = first.end()
        if not "d800" <= first[0][2:].lower() < "dc00":
            return end
        second = _ESCAPE.match(rest, end)
        if second is not None:
            return second.end() if "dc00" <= second[0][2:].lower() < "e000" else end
        # The other half of the character may be on its way.
        return at if end == len(rest) or _PART_OF_ESCAPE.match(rest, end) else end

    def _piece(self, text: str, spelled: str) -> Iterator[Token]:
        if self._name is None:
            yield Token(Kind.PIECE, text, spelled)
        else:
            self._name.append(text)
            self._held.append(spelled)

    def _end_string(self) -> Iterator[Token]:
        if self._name is not None:
            self._key, self._name = "".join(self._name), None
            self._expects = _Expects.COLON
            return
        self._in_value = False
        yield Token(Kind.END)
        yield from self._end_value()

    # -- around them -------------------------------------------------------------------------------------------

    def _around(self, at: int, *, final: bool) -> _Cut:
        rest = self._rest
        start = at
        at = _WHITE.match(rest, at).end()  # type: ignore[union-attr] # it matches anywhere
        if at > start:
            self._held.append(rest[start:at])
        if at == len(rest):
            return at
        char = rest[at]
        expects = self._expects
        if char in "]}" and self._open and self._may_end(char):
            self._held.append(char)
            self._open.pop()
            yield from self._end_value()
        elif char == '"' and expects in {_Expects.KEY, _Expects.KEY_OR_END}:
            self._held.append(char)
            self._name = []
        elif (char == ":" and expects is _Expects.COLON) or (char == "," and expects is _Expects.NEXT):
            self._held.append(char)
            in_object = self._open[-1].closes == "}"
            self._expects = _Expects.KEY if char == "," and in_object else _Expects.VALUE
            yield Token(Kind.AROUND, self._take_held())
        elif expects in {_Expects.VALUE, _Expects.ITEM_OR_END}:
            return (yield from self._begin_value(at, final=final))
        else:
            self.broken = True
            return at
        return at + 1

    def _may_end(self, char: str) -> bool:
        first = {"]": _Expects.ITEM_OR_END, "}": _Expects.KEY_OR_END}[char]
        return char == self._open[-1].closes and self._expects in {first, _Expects.NEXT}

    def _begin_value(self, at: int, *, final: bool) -> _Cut:
        rest = self._rest
        char = rest[at]
        if self.depth > DEEPEST:
            raise too_deep()
        if char in "[{":
            self._held.append(char)
            self._open.append(_Container("]" if char == "[" else "}", self._name_of_value()))
            self._expects = _Expects.ITEM_OR_END if char == "[" else _Expects.KEY_OR_END
            return at + 1
        if char == '"':
            self._held.append(char)
            yield Token(Kind.AROUND, self._take_held())
            yield Token(Kind.BEGIN, self._name_of_value())
            self._in_value = True
            return at + 1
        end = _WORD.match(rest, at).end()  # type: ignore[union-attr] # it matches anywhere
        if end == len(rest) and not final and end - at <= _LONGEST_SCALAR:
            return at
        if end - at > _LONGEST_SCALAR or not _SCALAR.fullmatch(rest, at, end):
            self.broken = True
            return at
        self._held.append(rest[at:end])
        yield from self._end_value()
        return end

    def _name_of_value(self) -> str | None:
        """The key that a value stands under; that of a list's items is the list's own."""
        if self._open and self._open[-1].closes == "]":
            return self._open[-1].key
        return self._key

    def _end_value(self) -> Iterator[Token]:
        self._expects = _Expects.NEXT if self._open else _Expects.NOTHING
        if self._open and self._held[-1] in {"]", "}"}:
            yield Token(Kind.AROUND, self._take_held())


def too_deep() -> GuardUnavailable:
    """What is raised for a value that is nested too deep."""
    return GuardUnavailable("sanitizer", f"the value is nested more than {DEEPEST} deep; flatten it")
