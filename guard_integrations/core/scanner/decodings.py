"""Disguises, and how each is undone: what a text hides in other characters, encodings and spellings."""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from re import Match
from typing import Final
from urllib.parse import unquote_to_bytes

import re2

from guard_integrations.core.scanner import alphabets
from guard_integrations.core.scanner.linear import compile_set
from guard_integrations.core.scanner.view import View, derived, fragments, rewritten

__all__ = ["beyond_ascii", "decoded"]

_ASCII: Final = bytes(range(0x80))


def beyond_ascii(view: View) -> Iterator[View]:
    """What is hidden in characters that nobody sees, or that look like others."""
    text = view.text
    # These patterns take their time, and most texts have but a dash, a quotation mark or an accent.
    rest = text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    if alphabets.TELLING.search(rest) is None:
        return
    unseen = alphabets.UNSEEN.search(rest) is not None
    if unseen and alphabets.TAGS.search(text):
        yield fragments("tags", view, alphabets.TAGS, _from_tags)
    if unseen and alphabets.SELECTORS.search(text):
        yield fragments("selectors", view, alphabets.SELECTORS, _from_selectors)
    if unseen and alphabets.INVISIBLE.search(text):
        yield rewritten("invisible", view, alphabets.INVISIBLE, lambda _: "")
    if alphabets.LIGATURES.search(text):
        yield rewritten("nfkc", view, alphabets.LIGATURES, lambda m: unicodedata.normalize("NFKC", m.group()))
    if alphabets.LOOK_ALIKE.search(rest) and alphabets.MIXED.search(text):
        yield derived("homoglyphs", view, text.translate(alphabets.CONFUSABLES))


def _from_tags(match: Match[str]) -> str:
    return "".join(chr(ord(c) - 0xE0000) for c in match.group() if 0xE0020 <= ord(c) < 0xE007F)  # noqa: PLR2004 - Unicode


def _from_selectors(match: Match[str]) -> str:
    # Selector 1 to 256 is the byte 0 to 255.
    points = map(ord, match.group())
    return _readable(bytes(p - 0xFE00 if p < 0xFE10 else p - 0xE0100 + 16 for p in points))  # noqa: PLR2004 - Unicode


def decoded(view: View, folded: str) -> Iterator[View]:
    """What is hidden in plain ASCII.

    Args:
        view: what is read.
        folded: its text, folded.

    Raises:
        GuardUnavailable: what may be hidden is unknown.
    """
    data = folded.encode("utf-8", "surrogatepass")
    for gates, passed in _gates():
        for number in sorted(passed(data)):
            made = gates[number].decode(view)
            if made is not None:
                yield made


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
    return _revealing(rewritten("leet", view, _LEETED, lambda match: match.group().translate(alphabets.LEET)))


def _unscramble(view: View) -> View | None:
    # RE2: with so many alternatives Python's own engine takes a hundred times as long.
    words = {word: _unscrambled(word) for word in set(_scrambled().findall(view.text.encode("utf-8", "surrogatepass")))}
    plain = {word.decode(): other for word, other in words.items() if word.decode().lower() != other}
    if not plain:
        return None
    return rewritten("typoglycemia", view, re.compile("|".join(plain)), lambda match: plain[match.group()])


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

_SHAPES: Final = (
    _Gate(
        pattern=r"&(?:#|[a-z]{2,8};)|%[0-9a-f]{2}|\\[ux][0-9a-f{]",
        decode=lambda v: rewritten("escapes", v, _ESCAPES, _from_escapes),
    ),
    _Gate(pattern=r"[a-z0-9+/_-]{16}", decode=lambda v: fragments("base64", v, _BASE64, _from_base64)),
    _Gate(pattern=r"[a-z2-7]{24}", decode=lambda v: fragments("base32", v, _BASE32, _from_base32)),
    _Gate(
        pattern=r"[0-9a-f]{2}(?:[ :,-]?(?:0x|\\x)?[0-9a-f]{2}){9}",
        decode=lambda v: fragments("hex", v, _HEX, _from_hex),
    ),
    _Gate(pattern=r"[01]{8}[ ,]?[01]{8}[ ,]?[01]{8}", decode=lambda v: fragments("binary", v, _BINARY, _from_binary)),
    _Gate(pattern=r"(?:\d{2,3}[ ,]{1,2}){8}", decode=lambda v: fragments("codes", v, _CODES, _from_codes)),
    _Gate(
        pattern=r"(?:[.\-]{1,5}[ /]{1,3}){9}", decode=lambda v: _revealing(fragments("morse", v, _MORSE, _from_morse))
    ),
    _Gate(
        pattern=r"[a-z0-9](?:[ ._*~|/\\-]{1,3}[a-z0-9]){4}[^a-z0-9]",
        decode=lambda v: _revealing(rewritten("spaced", v, _SPACED, _from_spaced)),
    ),
    _Gate(
        pattern=r"[a-z][0-9@$!|+][a-z]|\b[0-9@$!|+][a-z]|[a-z][0-9@$|+]",
        decode=_unleet,
    ),
)

_WORDS: Final = (
    _Gate(pattern=_SCRAMBLED, decode=_unscramble),
    _Gate(
        pattern="|".join(codecs.encode(word, "rot13") for word in _LONG),
        decode=lambda v: _revealing(derived("rot13", v, v.text.translate(_ROT13))),
    ),
    _Gate(
        pattern="|".join(word[::-1] for word in _LONG),
        decode=lambda v: _revealing(replace(derived("reversed", v, v.text[::-1]), backwards=True)),
    ),
)


@cache
def _gates() -> tuple[tuple[tuple[_Gate, ...], Callable[[bytes], list[int]]], ...]:
    # Shapes and words apart: in one set their states multiply (50 µs for 1,000 characters of unseen text; apart, 14).
    return tuple((gates, compile_set(f"(?i:{gate.pattern})" for gate in gates)) for gates in (_SHAPES, _WORDS))


def _insensitive() -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = 64 << 20
    return options
