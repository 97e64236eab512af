"""How much is looked for in a text: past that it is a flood, and all the rest of it is one finding.

Ordinary text holds the signs of up to 17 rules at a time, a near miss in 1,000 characters, and, even where it is about
injections, a match in 500. A text made of attacks, or of their pieces, holds those of many rules everywhere: to look at
each of them takes a hundred times as long as to say that there are too many.
"""

from typing import Final

__all__ = ["Flood"]

_FREE_BYTES: Final = 24 * 8192
_RULES: Final = 16
"""Rules that are looked for at a time in a long text."""
_FREE_TRIES: Final = 256
_BYTES_PER_TRY: Final = 128
_LOOSE: Final = 512
"""Bytes between the ends of a near miss that cost as much as a try of a narrow rule."""
_WIDE: Final = 384
"""Bytes of a rule's widest match that do so, too."""
_FREE_MATCHES: Final = 128
_BYTES_PER_MATCH: Final = 256


class Flood:
    """The account of one text.

    Args:
        size: bytes of the text.
    """

    __slots__ = ("_looked", "_matches", "_tries", "at", "over")

    def __init__(self, size: int) -> None:
        self._looked = 0
        self._matches = 0
        self._tries = _FREE_TRIES + size // _BYTES_PER_TRY
        self.at: int | None = None
        """The byte from which on there is too much to look for; None while there is not."""
        self.over = False
        """Whether there have been too many tries, or matches."""

    def looks(self, rules: int, size: int, passed: int) -> bool:
        """Whether rules may be looked for in so many bytes more.

        Args:
            rules: how many.
            size: bytes in which each of them is looked for.
            passed: bytes of the text up to the end of these.
        """
        self._looked += rules * size
        # By place, so that what stands before a flood is none by itself.
        return self._looked <= _FREE_BYTES + _RULES * passed

    def tries(self, width: int, widest: int) -> bool:
        """Whether what may be a match is still looked at.

        Args:
            width: bytes that it takes, were gaps of any width.
            widest: bytes of the rule's widest match.
        """
        self._tries -= 1 + width // _LOOSE + widest // _WIDE
        self.over = self.over or self._tries < 0
        return not self.over

    def matches(self, start: int) -> None:
        """Counts a match that stands, in the order of the text."""
        self._matches += 1
        self.over = self.over or self._matches > _FREE_MATCHES + start // _BYTES_PER_MATCH
