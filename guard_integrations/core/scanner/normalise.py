"""Views of a text: what a model could read in it beside what it says, with maps back to the caller's offsets.

An attack in disguise (invisible characters, look-alike letters, entities, base64, leetspeak...) is the same attack to
a capable model. Each disguise is undone in a view of its own, rules and classifier read the view, and what they find
is reported where it stands in the text that came in.

Ordinary text pays one pass of a small linear-time set that says whether any disguise is possible at all. Work is
bounded: `MAX_DEPTH` decodings inside each other, `MAX_VIEWS` views, and `MAX_GROWTH` times the text's length in all.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from guard_integrations.core.scanner import alphabets
from guard_integrations.core.scanner.decodings import beyond_ascii, decoded
from guard_integrations.core.scanner.view import View, derived

__all__ = ["MAX_DEPTH", "MAX_GROWTH", "MAX_VIEWS", "View", "Views", "fold", "views"]

MAX_DEPTH: Final = 4
"""Decodings inside each other."""
MAX_VIEWS: Final = 24
"""Views of one text, the text itself included."""
MAX_GROWTH: Final = 6
"""Characters in all views together, as a multiple of the text's own length (and 20,000 for a short text)."""
_ASCII: Final = bytes(range(0x80))
_FEW: Final = 16
"""Different characters that are folded one after the other."""
MAX_CHARS: Final = 1_000_000
"""A longer text is not decoded at all: that is reported as an overflow."""


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
    if text.isascii():
        return text.lower()
    data = text.encode("utf-8", "surrogatepass")
    others = set(data.translate(None, _ASCII).decode("utf-8", "surrogatepass"))
    folds = {char: plain for char in others if (plain := chr(_FOLDED[ord(char)])) != char}
    if len(folds) > _FEW or not others.isdisjoint(folds.values()):
        return text.translate(_FOLDED)
    # Ten times as fast where there are but a few dashes, quotation marks or accents. Bytes have no case beyond ASCII.
    text = data.lower().decode("utf-8", "surrogatepass")
    for char, plain in folds.items():
        text = text.replace(char, plain)
    return text


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
        yield from beyond_ascii(view)
        folded = fold(view.text)
        if folded != view.text:
            yield derived("folded", view, folded)
    yield from decoded(view, folded)
