"""A system prompt in every way of writing it that an answer is compared with."""

import base64
import codecs
import re
import string
import struct
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import Final

from guard_integrations.core.scanner.folding import fold

__all__ = ["CANARY_LENGTH", "CANARY_PREFIX", "GRAM", "LEAD", "LEAK_SCORE", "Prompt", "PromptIndex"]

LEAK_SCORE: Final = 5.0
"""Words' weight from which an overlap is a leak."""
GRAM: Final = 10
"""Bytes that are looked up at a time."""
LEAD: Final = 10
"""Letters of an overlap that stay."""
CANARY_PREFIX: Final = "canary"
CANARY_LENGTH: Final = 24
"""Random letters of a canary."""

_LEAST: Final = 2 * GRAM
"""Bytes of the shortest leak. Any stretch this long holds a gram at a multiple of its length."""
_ENCODED_LEAST: Final = 24
_HEX_LEAST: Final = 32
_CANARY_LEAST: Final = 12
_REFRAIN: Final = 32
"""A gram that stands in more places than these is no help in telling where a text comes from."""
_BREAK: Final = b"\x01"
"""Which no text folds to."""
_MANY: Final = struct.Struct(f"{GRAM}s" * 64)
_COMMON: Final = 0.25
_DISTINCTIVE: Final = 2.0
_CANARY: Final = re.compile(rf"{CANARY_PREFIX}[a-z]{{{CANARY_LENGTH}}}")
_COMPOUND: Final = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*")
_WORD: Final = re.compile(r"[^\W_]+")
_DIGITS: Final = frozenset(string.digits)


@cache
def _common_words() -> frozenset[bytes]:
    """Words that every text is full of, or every prompt."""
    return frozenset(files("guard_integrations.core.scanner").joinpath("rules/common_words.txt").read_bytes().split())


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Each word, and whether it is distinctive: with a capital inside, joined to digits, or a canary."""
    for compound in _COMPOUND.finditer(text):
        with_digits = len(compound[0]) > 3 and not _DIGITS.isdisjoint(compound[0])  # noqa: PLR2004 - "3D" is none
        for word in _WORD.findall(compound[0]):
            inner_capital = not word.isupper() and any(char.isupper() for char in word[1:])
            yield word, with_digits or inner_capital or _CANARY.fullmatch(word) is not None


class Prompt:
    """The words of a prompt: where they stand among its folded letters, and what they weigh."""

    def __init__(self, text: str) -> None:
        folded = bytearray()
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._canaries: list[tuple[int, int]] = []
        self.distinctive: list[int] = []
        weights: list[float] = []
        for word, special in _words(text):
            letters = fold(word)
            if not letters:
                continue
            start = len(folded)
            folded += letters
            self._starts.append(start)
            self._ends.append(len(folded))
            if _CANARY.fullmatch(word):
                self._canaries.append((start, len(folded)))
            if special:
                weights.append(_DISTINCTIVE)
                self.distinctive.append(start)
            elif letters in _common_words():
                weights.append(_COMMON)
            else:  # a script without spaces writes many words as one
                weights.append(1.0 if len(letters) <= 2 * len(word) else len(word) / 2)
        self.folded = bytes(folded)
        self._totals = [0.0, *accumulate(weights)]
        self.threshold = min(LEAK_SCORE, max(LEAK_SCORE / 2, 0.75 * self._totals[-1]))

    def score(self, start: int, end: int) -> float:
        """Weight of the words that lie wholly between two places."""
        first = bisect_left(self._starts, start)
        last = bisect_right(self._ends, end)
        return self._totals[last] - self._totals[first] if last > first else 0.0

    def holds_canary(self, start: int, end: int) -> bool:
        """Whether enough of a canary lies between two places."""
        return any(min(end, last) - max(start, first) >= _CANARY_LEAST for first, last in self._canaries)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One way of writing the prompt, and where in the haystack it stands."""

    name: str
    start: int
    size: int


class PromptIndex:
    """The ways of writing a prompt, end to end in one haystack, and its grams.

    Args:
        prompt: the prompt's words.
        text: its text.
        digits: whether digits count: then the only way of writing it is hexadecimal.
    """

    def __init__(self, prompt: Prompt, text: str, *, digits: bool) -> None:
        self.digits = digits
        self._prompt = prompt
        self._views: list[_View] = []
        haystack = bytearray()
        for name, folded in _hexadecimal(text) if digits else _letters(prompt, text):
            self._views.append(_View(name=name, start=len(haystack), size=len(folded)))
            haystack += folded + _BREAK
        self._starts = [view.start for view in self._views]
        self.haystack = _without_refrains(bytes(haystack))
        self.grams = frozenset(
            gram for at in range(len(haystack) - GRAM + 1) if _BREAK not in (gram := self.haystack[at : at + GRAM])
        )
        beginnings = () if digits else prompt.distinctive
        self.openings = frozenset(prompt.folded[at : at + size] for at in beginnings for size in range(1, LEAD + 1))

    def might_hold(self, text: str) -> bool:
        """Whether a whole text can hold a leak at all; never false when it does."""
        folded = fold(text, digits=self.digits)
        whole = len(folded) // _MANY.size * _MANY.size
        if any(not self.grams.isdisjoint(grams) for grams in _MANY.iter_unpack(folded[:whole])):
            return True
        return any(folded[at : at + GRAM] in self.grams for at in range(whole, len(folded) - GRAM + 1, GRAM))

    def places(self, gram: bytes) -> Iterator[int]:
        """Where in the haystack a gram stands."""
        at = self.haystack.find(gram)
        while at >= 0:
            yield at
            at = self.haystack.find(gram, at + 1)

    def distinctive(self, place: int, size: int) -> list[int]:
        """How far after a place distinctive words begin, within `size` bytes; only in the prompt as it is."""
        view = self._view_at(place)
        if view.name != "raw":
            return []
        at = place - view.start
        starts = self._prompt.distinctive
        return [start - at for start in starts[bisect_left(starts, at) : bisect_left(starts, at + size)]]

    def judge(self, place: int, size: int) -> tuple[str, str] | None:
        """The rule by which an overlap is a leak, and the name of the view; None when it is no leak."""
        view = self._view_at(place)
        at = place - view.start
        if view.name in {"base64", "hex"}:
            least = _HEX_LEAST if view.name == "hex" else _ENCODED_LEAST
            return ("prompt-leak-encoded", view.name) if size >= least else None
        if view.name == "reversed":
            at = view.size - at - size
        if self._prompt.holds_canary(at, at + size):
            return "canary-leak", view.name
        plain = view.name == "raw"
        threshold = self._prompt.threshold / (1 if plain else 2)
        if size < _LEAST or self._prompt.score(at, at + size) < threshold:
            return None
        return "prompt-leak" if plain else "prompt-leak-encoded", view.name

    def _view_at(self, place: int) -> _View:
        return self._views[bisect_right(self._starts, place) - 1]


def _without_refrains(haystack: bytes) -> bytes:
    """The haystack with breaks in the place of grams that it is full of: comparing each of them would take too long."""
    counted = Counter(haystack[at : at + GRAM] for at in range(len(haystack) - GRAM + 1))
    for gram, places in counted.items():
        if places > _REFRAIN:
            haystack = haystack.replace(gram, _BREAK * GRAM)
    return haystack


def _letters(prompt: Prompt, text: str) -> Iterator[tuple[str, bytes]]:
    yield "raw", prompt.folded
    yield "reversed", prompt.folded[::-1]
    yield "rot13", fold(codecs.encode(prompt.folded.decode("utf-8", "surrogatepass"), "rot13"))
    for written in _writings(text):
        for shift in range(3):
            # the first and the last group depend on what stands around the prompt
            yield "base64", fold(base64.b64encode(b"\0" * shift + written)[4:-4].decode())


def _hexadecimal(text: str) -> Iterator[tuple[str, bytes]]:
    for written in _writings(text):
        yield "hex", written.hex().encode()


def _writings(text: str) -> tuple[bytes, ...]:
    """The prompt's bytes, and those with its white space evened out."""
    spaced = " ".join(text.split())
    return tuple(dict.fromkeys(writing.encode("utf-8", "surrogatepass") for writing in (text, spaced)))
