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

    __slots__ = ("_keep", "_rules", "_text", "to")

    def __init__(self, rules: RuleSet, keep: int) -> None:
        self._rules = rules
        self._keep = keep
        self._text = ""
        self.to = 0
        """The byte of the session's data up to which everything is let out or replaced."""

    @property
    def last(self) -> bytes:
        """The last character; empty at the beginning of the text."""
        return encode(self._text[-1:])

    def before(self, data: bytes, start: int) -> str:
        """What will stand before a match at `start`."""
        if start <= self.to:
            return self._text
        return (self._text + decode(data[max(self.to, back(data, start, self._keep)) : start]))[-self._keep :]

    def keep(self, data: bytes, to: int) -> None:
        """What stands up to `to` is let out as it is."""
        if to > self.to:
            self._text = self.before(data, to)
            self.to = to

    def skip(self, to: int) -> None:
        """What stands up to `to` is gone with what was replaced before it."""
        self.to = max(self.to, to)

    def replace(self, data: bytes, start: int, end: int, label: str) -> str:
        """A match is replaced.

        Returns:
            The label with whatever is needed to keep it apart from what stands before it.
        """
        if start >= self.to:
            before = self.before(data, start)
            if not label:
                label = self._apart(before)
            elif before and is_word(data[start]) and is_word(encode(before[-1])[-1]):
                label = self._glued(before, label)
            self._text = (before + label)[-self._keep :]
        self.skip(end)
        return label

    def _apart(self, before: str) -> str:
        """A space, where what stands before could begin something that what follows completes."""
        data = encode(before)
        return " " if self._rules.hold(data, 0) < len(data) else ""

    def _glued(self, before: str, label: str) -> str:
        """The word before went on until here: it goes on into the label, if its end would make a match."""
        if not self._rules.ends_with_match(encode(before)):
            return label
        for glue in _GLUE:
            if not self._rules.ends_with_match(encode(before + glue)):
                return glue + label
        return label
