"""The stretches that a growing text has in common with a prompt."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from guard_integrations.core.scanner.folding import fold_character
from guard_integrations.core.scanner.prompt_index import GRAM, LEAD, PromptIndex

__all__ = ["LABEL", "Leak", "Overlap", "labels_of"]

LABEL: Final = "[REDACTED]"
_LABEL: Final = re.compile(r"\[[A-Z][A-Z_]{0,30}\]")
_LONGEST_LABEL: Final = 64
_BEGUN: Final = re.compile(r"\[[A-Z_]{0,31}[0-9a-z_]{0,24}\Z")
_GAP: Final = 256
"""Characters without a letter that end a stretch."""
_DIGIT: Final = re.compile(r"\d")
_KEEP: Final = 64
"""Folded bytes that are kept though nothing begins in them."""
_LETTERS_ALONE: Final = 6
"""Where digits count, letters do only if one of so many characters before was a digit: prose is passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A stretch that is a leak; offsets are characters from the beginning of the whole text.

    Args:
        rule: id of the rule.
        view: how the prompt is written in it.
        start: where it begins.
        end: one past its end, with the digits that follow it.
        shown: the first character that is replaced.
    """

    rule: str
    view: str
    start: int
    end: int
    shown: int


class _Tail:
    """The folded bytes of a text's end, and the characters that they stand for.

    Args:
        base: place of the first byte kept, among all folded bytes.
    """

    __slots__ = ("base", "begins", "digits", "folded", "opens")

    def __init__(self) -> None:
        self.base = 0
        self.folded = bytearray()
        self.begins: list[int] = []
        self.opens = bytearray()
        """Whether a word begins there."""
        self.digits: dict[int, int] = {}
        """Place of a byte that digits follow, and where they end."""

    def append(self, byte: int, begin: int, *, opens: bool) -> None:
        self.folded.append(byte)
        self.begins.append(begin)
        self.opens.append(opens)

    def end(self, place: int) -> int:
        """One past the character that a byte comes from, and past the digits that follow it."""
        return self.digits.get(place) or self.begins[place - self.base] + 1

    def drop(self, size: int) -> None:
        del self.folded[:size], self.begins[:size], self.opens[:size]
        self.base += size
        if self.digits:
            self.digits = {place: end for place, end in self.digits.items() if place >= self.base}


class Overlap:
    """One text, compared with one index while it grows.

    Places are counted in folded bytes from the beginning of the text. A stretch lies on a *diagonal*: the place in
    the haystack less the place in the text, which is the same all along it.
    """

    def __init__(self, index: PromptIndex, labels: re.Pattern[str]) -> None:
        self._index = index
        self._labels = labels
        self._tail = _Tail()
        self._raw = 0  # characters folded
        self._pending = ""  # may be the beginning of a label, so not folded yet
        self._gap = 0  # characters since the last byte
        self._since_digit = _LETTERS_ALONE
        self._after_letter = False
        self._growing: dict[int, int] = {}  # stretches that the text ends with: diagonal, start
        self._compared = 0  # place up to which those have been compared
        self._looked_up = 0  # place of the next gram to look up, a multiple of its length
        self._hold: int | None = None

    def feed(self, text: str, *, final: bool) -> list[Leak]:
        """Leaks whose end is known with one more piece of the text; one may lie in another, whose end is known later."""
        if self._pending or "[" in text:
            self._take_labelled(self._pending + text, final=final)
        else:
            self._take(text)
        ended = self._grow() if self._growing else []
        if self._looked_up + GRAM <= self._end:
            ended += self._begin()
        if final:
            ended += [(diagonal, start, self._end) for diagonal, start in self._growing.items()]
        leaks = [leak for stretch in ended if (leak := self._judge(*stretch))]
        self._settle()
        return sorted(leaks, key=lambda leak: (leak.shown, leak.end))

    def _take_labelled(self, text: str, *, final: bool) -> None:
        """Folds a piece in which labels may be: no stretch goes on at them."""
        self._pending = "" if final else _label_begun(text)
        text = text[: len(text) - len(self._pending)]
        done = 0
        for label in self._labels.finditer(text):
            self._take(text[done : label.start()])
            done = label.end()
            self._break(done - label.start())
        self._take(text[done:])

    @property
    def hold(self) -> int:
        """The first character at which a leak may yet begin to be replaced, as of the last piece."""
        return self._raw if self._hold is None else self._hold

    @property
    def _end(self) -> int:
        return self._tail.base + len(self._tail.folded)

    def _take(self, text: str) -> None:
        if self._index.digits:
            self._take_alphanumeric(text)
        else:
            self._take_letters(text)
        self._raw += len(text)

    def _take_letters(self, text: str) -> None:
        tail, after_letter = self._tail, self._after_letter
        for at, char in enumerate(text, self._raw):
            letter = char.isalpha()
            taken = fold_character(char) if letter else b""
            for byte in taken:
                tail.append(byte, at, opens=not after_letter)
                self._gap = 0
            if not taken:
                self._pass_by(char, at)
            after_letter = letter
        self._after_letter = after_letter

    def _take_alphanumeric(self, text: str) -> None:
        if self._since_digit >= _LETTERS_ALONE and _DIGIT.search(text) is None:
            self._widen(len(text))
            return
        for at, char in enumerate(text, self._raw):
            self._since_digit = 0 if char.isdigit() else self._since_digit + char.isalpha()
            taken = fold_character(char) if self._since_digit < _LETTERS_ALONE else b""
            for byte in taken:
                self._tail.append(byte, at, opens=False)
                self._gap = 0
            if not taken:
                self._pass_by(char, at)

    def _pass_by(self, char: str, at: int) -> None:
        """Notes a character that folds to nothing."""
        if self._gap < _GAP and self._tail.begins and char.isdigit():
            self._tail.digits[self._end - 1] = at + 1
        self._widen(1)

    def _widen(self, size: int) -> None:
        """Counts characters that fold to nothing; where there are too many, no stretch goes on."""
        if self._gap < _GAP <= self._gap + size:
            self._tail.append(0, self._raw, opens=False)
        self._gap += size

    def _break(self, size: int) -> None:
        """Passes over a label, at which no stretch goes on."""
        self._tail.append(0, self._raw, opens=False)
        self._raw += size
        self._gap = 0
        self._since_digit = _LETTERS_ALONE
        self._after_letter = False

    def _grow(self) -> list[tuple[int, int, int]]:
        """Lets the growing stretches go on; those that have ended: diagonal, start, end."""
        ended = []
        for diagonal, start in list(self._growing.items()):
            end = self._right(self._compared, self._compared + diagonal)
            if end < self._end:
                ended.append((diagonal, start, end))
                del self._growing[diagonal]
        return ended

    def _begin(self) -> list[tuple[int, int, int]]:
        """Looks up the grams that are new; stretches that have begun and ended: diagonal, start, end."""
        index, tail = self._index, self._tail
        ended: list[tuple[int, int, int]] = []
        reached: dict[int, int] = {}  # by diagonal
        at = self._looked_up
        while at + GRAM <= self._end:
            gram = bytes(tail.folded[at - tail.base : at - tail.base + GRAM])
            for place in index.places(gram) if gram in index.grams else ():
                diagonal = place - at
                if diagonal in self._growing or reached.get(diagonal, 0) > at:
                    continue
                stretch = (diagonal, self._left(at, place), self._right(at + GRAM, place + GRAM))
                if stretch[2] == self._end:
                    self._growing[diagonal] = stretch[1]
                else:
                    reached[diagonal] = stretch[2]
                    ended.append(stretch)
            at += GRAM
        self._looked_up = at
        return ended

    def _judge(self, diagonal: int, start: int, end: int) -> Leak | None:
        verdict = self._index.judge(start + diagonal, end - start)
        if verdict is None:
            return None
        tail = self._tail
        return Leak(
            rule=verdict[0],
            view=verdict[1],
            start=tail.begins[start - tail.base],
            end=tail.end(end - 1),
            shown=tail.begins[self._shown(diagonal, start, end) - tail.base],
        )

    def _shown(self, diagonal: int, start: int, end: int) -> int:
        """The first place of a stretch that is replaced if it is a leak."""
        shown = min(start + LEAD, end)
        for offset in self._index.distinctive(start + diagonal, shown - start):
            if self._tail.opens[start + offset - self._tail.base]:
                return start + offset
        return shown

    def _settle(self) -> None:
        """Notes what is held, and drops what no stretch can reach any more."""
        tail, index, end = self._tail, self._index, self._end
        self._compared = end
        gram = bytes(tail.folded[-GRAM:])
        if gram in index.grams:
            for place in index.places(gram):
                diagonal = place + GRAM - end
                if diagonal not in self._growing:
                    self._growing[diagonal] = self._left(end - GRAM, place)
        shown = end
        if self._growing:
            shown = min(self._shown(*stretch, end) for stretch in self._growing.items())
        if index.openings:
            shown = min(shown, self._opening())
        self._hold = tail.begins[shown - tail.base] if shown < end else None
        if len(tail.folded) > 2 * _KEEP:
            drop = min([end - _KEEP, *self._growing.values()]) - tail.base
            if drop > 0:
                tail.drop(drop)

    def _opening(self) -> int:
        """Where, at the end, what follows a distinctive word of the prompt may have begun; the end where it has not."""
        tail = self._tail
        size = len(tail.folded)
        at = tail.opens.find(1, max(0, size - LEAD))
        while at >= 0:
            if bytes(tail.folded[at:]) in self._index.openings:
                return tail.base + at
            at = tail.opens.find(1, at + 1)
        return self._end

    def _left(self, at: int, place: int) -> int:
        """Where a stretch that goes through a place begins."""
        folded, haystack, base = self._tail.folded, self._index.haystack, self._tail.base
        while at > base and place and folded[at - base - 1] == haystack[place - 1]:
            at -= 1
            place -= 1
        return at

    def _right(self, at: int, place: int) -> int:
        """Where a stretch that goes through a place ends."""
        folded, haystack, base = self._tail.folded, self._index.haystack, self._tail.base
        end = self._end
        while at < end and folded[at - base] == haystack[place]:  # which ends with a byte that no text has
            at += 1
            place += 1
        return at


def labels_of(labels: Iterable[str]) -> re.Pattern[str]:
    """Finds this label and those, also with the number or the hash that a strategy puts into them."""
    names = sorted({LABEL[1:-1], *(label[1:-1] for label in labels if _LABEL.fullmatch(label))})
    return re.compile(rf"\[(?:{'|'.join(names)})(?:_[0-9a-z_]{{1,24}})?\]")


def _label_begun(text: str) -> str:
    """The end of a text that a label may begin with."""
    begun = _BEGUN.search(text, max(0, len(text) - _LONGEST_LABEL))
    return "" if begun is None else begun[0]
