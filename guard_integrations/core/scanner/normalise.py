"""Views of a text: what a model could read in it beside what it says, with maps back to the caller's offsets.

An attack in disguise (invisible characters, look-alike letters, entities, base64, leetspeak...) is the same attack to
a capable model. Each disguise is undone in a view of its own, rules and classifier read the view, and what they find
is reported where it stands in the text that came in.

Ordinary text pays one pass of a small linear-time set that says whether any disguise is possible at all. Work is
bounded: `MAX_DEPTH` decodings inside each other, `MAX_VIEWS` views, and `MAX_GROWTH` times the text's length in all.
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from re import Match, Pattern
from typing import Final
from urllib.parse import unquote_to_bytes

import re2

from guard_integrations.core.scanner import alphabets
from guard_integrations.errors import GuardUnavailable

__all__ = ["MAX_DEPTH", "MAX_GROWTH", "MAX_VIEWS", "View", "Views", "fold", "views"]

MAX_DEPTH: Final = 4
"""Decodings inside each other."""
MAX_VIEWS: Final = 24
"""Views of one text, the text itself included."""
MAX_GROWTH: Final = 6
"""Characters in all views together, as a multiple of the text's own length (and 20,000 for a short text)."""
MAX_CHARS: Final = 1_000_000
"""A longer text is not decoded at all: that is reported as an overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One way to read a text.

    Args:
        name: "raw", or the decodings that led here, outermost first: "base64", "html+leet".
        text: what the view says.
        parent: the view it was made from; None for the text itself.
        starts: where each piece begins in `text`; empty when the view has the parent's offsets.
        sources: where each piece comes from in the parent: (start, end).
        fragments: whether the pieces are decoded fragments only, and not the whole text.
        backwards: whether the view is the parent read from its end.
    """

    name: str
    text: str = field(repr=False)
    parent: "View | None" = field(default=None, repr=False)
    starts: tuple[int, ...] = field(default=(), repr=False)
    sources: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    fragments: bool = False
    backwards: bool = False

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """The caller's characters that `text[start:end]` was made from: (start, end).

        Text that was copied maps character by character; what was decoded maps to all of its encoded form.
        """
        if self.parent is None:
            return start, end
        if self.starts:
            last = max(end - 1, start)
            ends = (*self._source(start), *self._source(last))
            start, end = min(ends), max(ends)
        elif self.backwards:
            start, end = len(self.text) - end, len(self.text) - start
        return self.parent.locate(start, end)

    def _source(self, position: int) -> tuple[int, int]:
        piece = max(bisect_right(self.starts, position) - 1, 0)
        start, end = self.sources[piece]
        size = (self.starts[piece + 1] if piece + 1 < len(self.starts) else len(self.text)) - self.starts[piece]
        if self.fragments or size != end - start:
            return start, end
        offset = position - self.starts[piece]
        return start + offset, start + offset + 1

    @property
    def depth(self) -> int:
        """How many decodings lie between this view and the text."""
        return 0 if self.parent is None else self.parent.depth + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """All views of one text.

    Args:
        items: the text itself, named "raw", and then its decodings.
        overflow: whether a limit was reached, so that some view is missing.
    """

    items: tuple[View, ...]
    overflow: bool = False


def fold(text: str) -> str:
    """The text in plain small letters, one character for one: no accents, full width, or mathematical alphabets.

    Offsets stay what they are. Scripts keep their letters; look-alikes are `views`' business.
    """
    return text.lower() if text.isascii() else text.translate(_FOLDED)


class _Folds(dict[int, int]):
    """Code point to folded code point, filled in as they come."""

    def __missing__(self, point: int) -> int:
        folded = _fold_point(point)
        if len(self) < 200_000:  # noqa: PLR2004 - every assigned character there is, and then some
            self[point] = folded
        return folded


def _fold_point(point: int) -> int:
    if point in alphabets.SINGLE:
        return alphabets.SINGLE[point]
    character = chr(point)
    plain = unicodedata.normalize("NFKD", character)
    # Only where a mark refines a letter: in Cyrillic or Devanagari it makes another one.
    if len(plain) > 1 and not (plain[0].isascii() and all(map(unicodedata.combining, plain[1:]))):
        plain = character
    lower = plain[:1].lower()
    return ord(lower) if len(lower) == 1 else point


_FOLDED = _Folds()


def views(text: str) -> Views:
    """All the ways to read a text, itself first.

    A decoding that shows nothing an injection needs (`alphabets.ANCHORS`) is left out, unless it was well hidden.
    """
    raw = View(name="raw", text=text)
    if len(text) > MAX_CHARS:
        return Views(items=(raw,), overflow=True)
    found = [raw]
    budget = MAX_GROWTH * len(text) + 20_000
    queue = [raw]
    seen = {text}
    while queue:
        view = queue.pop(0)
        for made in _decodings(view):
            if made.text in seen or not made.text.strip():
                continue
            budget -= len(made.text)
            if made.depth > MAX_DEPTH or len(found) >= MAX_VIEWS or budget < 0:
                return Views(items=tuple(found), overflow=True)
            seen.add(made.text)
            found.append(made)
            if not made.name.endswith("folded"):
                queue.append(made)
    return Views(items=tuple(found))


def _decodings(view: View) -> Iterator[View]:
    folded = view.text
    if not view.text.isascii():
        yield from _beyond_ascii(view)
        folded = fold(view.text)
        if folded != view.text:
            yield _made("folded", view, folded)
    data = folded.encode("utf-8", "surrogatepass")
    for gate in _passed(data):
        made = gate.decode(view)
        if made is not None:
            yield made


def _passed(data: bytes) -> "list[_Gate]":
    """The gates of what may be in a text, in their order."""
    passed: list[_Gate] = []
    for gates, match in _gates():
        found = match(data)
        # The last member matches every text. RE2 reports a set that has run out of memory as one without a match.
        if found is None or len(gates) not in found:
            raise GuardUnavailable("engine", "the set of disguises is out of memory; nothing was let through")
        passed += [gates[hit] for hit in sorted(found) if hit < len(gates)]
    return passed


def _made(
    name: str, parent: View, text: str, starts: tuple[int, ...] = (), sources: tuple[tuple[int, int], ...] = ()
) -> View:
    label = name if parent.parent is None else f"{parent.name}+{name}"
    return View(name=label, text=text, parent=parent, starts=starts, sources=sources)


def _fragments(name: str, parent: View, pattern: Pattern[str], decode: Callable[[Match[str]], str]) -> View:
    """Only what was decoded, one line for each match."""
    starts: list[int] = []
    sources: list[tuple[int, int]] = []
    lines: list[str] = []
    size = 0
    for match in pattern.finditer(parent.text):
        if plain := decode(match):
            starts.append(size)
            sources.append(match.span())
            lines.append(plain)
            size += len(plain) + 1
    return replace(_made(name, parent, "\n".join(lines), tuple(starts), tuple(sources)), fragments=True)


def _rewritten(name: str, parent: View, pattern: Pattern[str], replace: Callable[[Match[str]], str]) -> View:
    """The whole text with each match replaced."""
    starts: list[int] = []
    sources: list[tuple[int, int]] = []
    pieces: list[str] = []
    size = done = 0
    spans = [(m.span(), replace(m)) for m in pattern.finditer(parent.text)]
    for (start, end), plain in [*spans, ((len(parent.text), len(parent.text)), "")]:
        for piece, source in ((parent.text[done:start], (done, start)), (plain, (start, end))):
            if piece:
                starts.append(size)
                sources.append(source)
                pieces.append(piece)
                size += len(piece)
        done = end
    return _made(name, parent, "".join(pieces), tuple(starts), tuple(sources))


# What is hidden in characters that nobody sees, or that look like others

_ASCII: Final = bytes(range(0x80))


def _beyond_ascii(view: View) -> Iterator[View]:
    text = view.text
    # These patterns take their time, and most texts have but a dash, a quotation mark or an accent.
    rest = text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    if alphabets.TELLING.search(rest) is None:
        return
    if alphabets.TAGS.search(text):
        yield _fragments("tags", view, alphabets.TAGS, _from_tags)
    if alphabets.SELECTORS.search(text):
        yield _fragments("selectors", view, alphabets.SELECTORS, _from_selectors)
    if alphabets.INVISIBLE.search(text):
        yield _rewritten("invisible", view, alphabets.INVISIBLE, lambda _: "")
    if alphabets.LIGATURES.search(text):
        yield _rewritten("nfkc", view, alphabets.LIGATURES, lambda m: unicodedata.normalize("NFKC", m.group()))
    if alphabets.MIXED.search(text):
        yield _made("homoglyphs", view, text.translate(alphabets.CONFUSABLES))


def _from_tags(match: Match[str]) -> str:
    return "".join(chr(ord(c) - 0xE0000) for c in match.group() if 0xE0020 <= ord(c) < 0xE007F)  # noqa: PLR2004 - Unicode


def _from_selectors(match: Match[str]) -> str:
    # Selector 1 to 256 is the byte 0 to 255.
    points = map(ord, match.group())
    return _readable(bytes(p - 0xFE00 if p < 0xFE10 else p - 0xE0100 + 16 for p in points))  # noqa: PLR2004 - Unicode


# What is hidden in plain ASCII

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}(?:\s[A-Za-z0-9+/_-]{16,})*={0,2}")
_BASE32 = re.compile(r"\b[A-Z2-7]{24,}={0,6}")
_HEX = re.compile(r"\b(?:0x)?[0-9a-fA-F]{2}(?:[ :,-]?(?:0x|\\x)?[0-9a-fA-F]{2}){9,}\b")
_BINARY = re.compile(r"\b[01]{8}(?:[ ,]?[01]{8}){4,}\b")
_MORSE = re.compile(r"[.\-]{1,5}(?:(?: |\s?/\s?|\s{2,})[.\-]{1,5}){9,}")
_CODES = re.compile(r"\b(?:\d{2,3}[ ,]{1,2}){8,}\d{2,3}\b")
_ESCAPES = re.compile(
    r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});|(?:%[0-9a-fA-F]{2})+"
    r"|(?:\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\u\{[0-9a-fA-F]{1,6}\})+"
)
_SPACED = re.compile(r"(?<![^\W_])[^\W_](?:[ ._*~|/\\-]{1,3}[^\W_](?![^\W_])){4,}", re.ASCII)
_LEETED = re.compile(r"[a-zA-Z0-9@$!|€£+]*(?:[a-zA-Z][0-9@$!|+]|[0-9@$!|+][a-zA-Z])[a-zA-Z0-9@$!|+]*")
_ANCHOR = re.compile("|".join(sorted(alphabets.ANCHORS, key=len, reverse=True)), re.IGNORECASE)
_LEET_ANCHOR = re.compile(
    "|".join(map(alphabets.disguised, sorted(alphabets.ANCHORS, key=len, reverse=True))), re.IGNORECASE
)
_SCRAMBLED = "|".join(
    rf"\b{w[0]}[{''.join(sorted(set(w[1:-1])))}]{{{len(w) - 2}}}{w[-1]}\b"
    for w in alphabets.ANCHORS
    if len(w) > 4  # noqa: PLR2004 - enough to scramble
)
_SORTED = {(w[0], w[-1], "".join(sorted(w))): w for w in alphabets.ANCHORS if len(w) > 4}  # noqa: PLR2004 - enough to scramble


def _readable(raw: bytes) -> str:
    """Bytes as text, or nothing when they are not text."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    plain = sum(c.isalnum() or c in " \n\r\t.,;:!?'\"-_/()<>[]{}=+@#*&%$|`~^" for c in text)
    return text if len(text) > 3 and plain >= 0.95 * len(text) else ""  # noqa: PLR2004 - less is an accident


def _from_base64(match: Match[str]) -> str:
    encoded = re.sub(r"[\s=]", "", match.group()).translate(_URLSAFE)
    encoded = encoded[: len(encoded) - (len(encoded) % 4 == 1)]
    return _readable(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))


_URLSAFE = str.maketrans("-_", "+/")


def _from_base32(match: Match[str]) -> str:
    encoded = match.group().rstrip("=")
    try:
        return _readable(base64.b32decode(encoded + "=" * (-len(encoded) % 8)))
    except binascii.Error:
        return ""


def _from_hex(match: Match[str]) -> str:
    digits = re.sub(r"0x|\\x|[^0-9a-fA-F]", "", match.group())
    return _readable(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _from_binary(match: Match[str]) -> str:
    bits = re.sub("[^01]", "", match.group())
    return _readable(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8)))


def _from_codes(match: Match[str]) -> str:
    codes = [int(code) for code in re.findall(r"\d+", match.group())]
    return _readable(bytes(codes)) if max(codes) < 256 and min(codes) > 8 else ""  # noqa: PLR2004 - bytes that print


def _from_morse(match: Match[str]) -> str:
    words = re.split(r"\s*/\s*|\s{2,}", match.group())
    return " ".join("".join(alphabets.MORSE.get(code, "") for code in word.split()) for word in words)


def _from_escapes(match: Match[str]) -> str:
    escaped = match.group()
    if escaped[0] == "&":
        return html.unescape(escaped)
    if escaped[0] == "%":
        return unquote_to_bytes(escaped).decode("utf-8", "replace")
    points = [int(code, 16) for code in re.findall(r"[ux]\{?([0-9a-fA-F]+)", escaped)]
    return "".join(chr(point) for point in points if point <= 0x10FFFF)  # noqa: PLR2004 - Unicode


def _from_spaced(match: Match[str]) -> str:
    spaced = match.group()
    gaps = re.findall(r"[^A-Za-z0-9]+", spaced)
    narrow = min(map(len, gaps))
    joined = re.sub(r"[^A-Za-z0-9]+", lambda gap: "" if len(gap.group()) == narrow else " ", spaced)
    return _LEET_ANCHOR.sub(lambda word: f" {word.group()} ", joined) if " " not in joined else joined


def _unleet(view: View) -> View | None:
    words = {
        word.decode("utf-8", "surrogatepass") for word in _leeted().findall(view.text.encode("utf-8", "surrogatepass"))
    }
    if not any(_ANCHOR.search(word.translate(alphabets.LEET)) for word in words):
        return None
    return _revealing(_rewritten("leet", view, _LEETED, lambda match: match.group().translate(alphabets.LEET)))


def _unscramble(view: View) -> View | None:
    # RE2: with so many alternatives Python's own engine takes a hundred times as long.
    words = {word: _unscrambled(word) for word in set(_scrambled().findall(view.text.encode("utf-8", "surrogatepass")))}
    plain = {word.decode(): other for word, other in words.items() if word.decode().lower() != other}
    if not plain:
        return None
    return _rewritten("typoglycemia", view, re.compile("|".join(plain)), lambda match: plain[match.group()])


@cache
def _leeted() -> "re2._Regexp":
    # RE2 again: five times as fast.
    return re2.compile(_LEETED.pattern.encode())


@cache
def _scrambled() -> "re2._Regexp":
    return re2.compile(_SCRAMBLED.encode(), _insensitive())


def _unscrambled(word: bytes) -> str:
    lower = word.decode().lower()
    return _SORTED.get((lower[0], lower[-1], "".join(sorted(lower))), lower)


def _revealing(made: View) -> View | None:
    """A view that shows words an injection needs which its parent did not show."""
    before = _anchors_in(made.parent.text) if made.parent else 0
    return made if _anchors_in(made.text) > before else None


def _anchors_in(text: str) -> int:
    return len(_anchor().findall(text.encode("utf-8", "surrogatepass")))


@cache
def _anchor() -> "re2._Regexp":
    return re2.compile(_ANCHOR.pattern.encode(), _insensitive())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """A disguise: the pattern without which it cannot be there, and how it is undone."""

    pattern: str
    decode: Callable[[View], View | None]


_ROT13 = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM"
)
_LONG = [word for word in alphabets.ANCHORS if len(word) > 5]  # noqa: PLR2004 - shorter ones are words elsewhere

_GATES: Final = (
    _Gate(
        pattern=r"&(?:#|[a-z]{2,8};)|%[0-9a-f]{2}|\\[ux][0-9a-f{]",
        decode=lambda v: _rewritten("escapes", v, _ESCAPES, _from_escapes),
    ),
    _Gate(pattern=r"[a-z0-9+/_-]{16}", decode=lambda v: _fragments("base64", v, _BASE64, _from_base64)),
    _Gate(pattern=r"[a-z2-7]{24}", decode=lambda v: _fragments("base32", v, _BASE32, _from_base32)),
    _Gate(
        pattern=r"[0-9a-f]{2}(?:[ :,-]?(?:0x|\\x)?[0-9a-f]{2}){9}",
        decode=lambda v: _fragments("hex", v, _HEX, _from_hex),
    ),
    _Gate(pattern=r"[01]{8}[ ,]?[01]{8}[ ,]?[01]{8}", decode=lambda v: _fragments("binary", v, _BINARY, _from_binary)),
    _Gate(pattern=r"(?:\d{2,3}[ ,]{1,2}){8}", decode=lambda v: _fragments("codes", v, _CODES, _from_codes)),
    _Gate(
        pattern=r"(?:[.\-]{1,5}[ /]{1,3}){9}", decode=lambda v: _revealing(_fragments("morse", v, _MORSE, _from_morse))
    ),
    _Gate(
        pattern=r"[a-z0-9](?:[ ._*~|/\\-]{1,3}[a-z0-9]){4}[^a-z0-9]",
        decode=lambda v: _revealing(_rewritten("spaced", v, _SPACED, _from_spaced)),
    ),
    _Gate(
        pattern=r"[a-z][0-9@$!|+][a-z]|\b[0-9@$!|+][a-z]|[a-z][0-9@$|+]",
        decode=_unleet,
    ),
    _Gate(
        pattern=_SCRAMBLED,
        decode=_unscramble,
    ),
    _Gate(
        pattern="|".join(codecs.encode(word, "rot13") for word in _LONG),
        decode=lambda v: _revealing(_made("rot13", v, v.text.translate(_ROT13))),
    ),
    _Gate(
        pattern="|".join(word[::-1] for word in _LONG),
        decode=lambda v: _revealing(replace(_made("reversed", v, v.text[::-1]), backwards=True)),
    ),
)


_WORDS_FROM: Final = 9
"""The gates from here on look for words: together with the others, their states multiply (50 µs for 1,000 characters
of unseen text; apart, 14)."""


@cache
def _gates() -> tuple[tuple[tuple[_Gate, ...], Callable[[bytes], list[int] | None]], ...]:
    made = []
    for some in (_GATES[:_WORDS_FROM], _GATES[_WORDS_FROM:]):
        gates = re2.Set.SearchSet(_insensitive())
        for gate in some:
            gates.Add(gate.pattern)
        gates.Add(r"\z")
        gates.Compile()
        made.append((some, gates.Match))
    return tuple(made)


def _insensitive() -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = 64 << 20
    return options
