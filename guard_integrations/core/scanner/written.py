r"""The end of what a session has let out, and how a label is joined to it.

A label must not make a match of its neighbours: `078-05-1120x` is no SSN, but it would be one if `x…` went and
something else than a letter came in its place. And where nothing is written, what is left and right of it must not
grow together.
"""

from typing import Final

from guard_integrations.core.scanner.engine import RuleSet
from guard_integrations.core.scanner.utf8 import back, decode, encode, is_word

__all__ = ["Written"]

_GLUE: Final = ("_", "x", "0")
"""Characters that go on with a word; the first is used that makes no match itself."""


class Written:
    """The last characters that were let out.

    Args:
        rules: the rules that must not match there.
        keep: how many characters are kept.
    """

    __slots__ = ("_base", "_edits", "_from", "_keep", "_rules", "_tail", "_text", "edits", "to")

    def __init__(self, rules: RuleSet, keep: int) -> None:
        self._rules = rules
        self._keep = keep
        self._text = ""
        self._from = 0
        """What was let out before this byte of the session's data is in `_text`, what came after follows from these."""
        self._edits: list[tuple[int, int, str]] = []
        self._tail = ""
        self._base = 0
        """What stands before this byte when all is written ends in `_tail`: most of what is asked for goes on there."""
        self.edits = 0
        """How often anything has changed in here."""
        self.to = 0
        """The byte up to which everything is let out or replaced by now, as far as it was replaced."""

    def before(self, data: bytes, start: int, most: int | None = None) -> str:
        """What stands, when all is written, before a match at `start`: at most so many characters, or all that is kept."""
        room = most or self._keep
        if start >= self._base:
            return (self._tail + decode(data[max(self._base, back(data, start, room)) : start]))[-room:]
        pieces: list[str] = []
        for first, last, label in reversed(self._edits):
            if first >= start:
                continue  # another rule's match at the same place
            if start > last:
                pieces.append(decode(data[max(last, back(data, start, room)) : start]))
                room -= len(pieces[-1])
            pieces.append(label)
            room -= len(label)
            start = min(start, first)
            if room <= 0:
                break
        else:
            if start > self._from:
                pieces.append(decode(data[max(self._from, back(data, start, room)) : start]))
            pieces.append(self._text)
        return "".join(reversed(pieces))[-(most or self._keep) :]

    def last(self, data: bytes) -> bytes:
        """The last character before `to`; empty at the beginning of the text."""
        label = self._edits[-1][2] if self._edits else ""
        return encode(label[-1:] or self.before(data, self.to)[-1:])

    def skip(self, to: int) -> None:
        """What stands up to `to` is gone with what was replaced before it."""
        if to > self.to:
            self.edits += 1
            self.to = self._base = to
            if self._edits:
                first, _, label = self._edits[-1]
                self._edits[-1] = first, to, label
            else:
                self._from = to

    def replace(self, data: bytes, start: int, end: int, label: str) -> str:
        """A match is replaced.

        Returns:
            The label with whatever is needed to keep it apart from what stands before it.
        """
        if start < self.to:
            self.skip(end)
            return label
        if not label:
            label = self._apart(self.before(data, start))
        elif start and is_word(data[start]) and is_word(data[start - 1]):
            label = self._glued(self.before(data, start), label)
        self._tail = (self.before(data, start) + label)[-self._keep :]
        self.edits += 1
        self._edits.append((start, end, label))
        self.to = self._base = end
        return label

    def forget(self, data: bytes, cut: int, to: int) -> None:
        """The session lets go of the first `cut` bytes of its data; `to` is how far everything is decided."""
        self.edits += 1
        end = max(self.to, to)
        self._text = self._tail = self.before(data, end)
        self._edits.clear()
        self._from = self._base = end - cut
        self.to = max(0, self.to - cut)

    def _apart(self, before: str) -> str:
        """A space, where what stands before could begin something that what follows completes."""
        data = encode(before)
        return " " if self._rules.hold(data, 0) < len(data) else ""

    def _glued(self, before: str, label: str) -> str:
        """The word before went on until here: it goes on into the label, if its end would make a match."""
        if not before or not is_word(encode(before[-1])[-1]) or not self._rules.ends_with_match(encode(before)):
            return label
        # A number that needs a word of context may be one with any glue: then the others count.
        for waiting in (True, False):
            for glue in _GLUE:
                if not self._rules.ends_with_match(encode(before + glue), waiting=waiting):
                    return glue + label
        return label
