"""A text that is rewritten in several rounds, and what all rounds together did to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Change", "Draft"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something else stands in a text's stead, and why.

    Args:
        start: first character that goes.
        end: one past the last.
        text: what is written instead.
        rule: id of the rule; empty when the change belongs to the one before it.
    """

    start: int
    end: int
    text: str
    rule: str


class _Piece(NamedTuple):
    """A stretch of the first text: as it is, or with another text in its stead. A tuple, since each change makes three."""

    start: int
    end: int
    text: str | None = None


class Draft:
    """A text on its way through rounds of changes.

    Args:
        text: the text before the first round.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._first = text
        self._pieces = [_Piece(0, len(text))]
        self.findings: list[tuple[str, int, int]] = []
        """Rule, start and end in the first text."""

    def apply(self, changes: Iterable[Change]) -> bool:
        """One round: makes the changes, of those that overlap the first. Says whether there was anything to do."""
        pieces: list[_Piece] = []
        waiting = list(reversed(self._pieces))
        at = 0

        def copy(size: int, into: list[_Piece]) -> None:
            while size and waiting:
                piece = waiting.pop()
                start, end, text = piece
                long = end - start if text is None else len(text)
                if long > size:
                    piece, right = _split(piece, size)
                    waiting.append(right)
                    long = size
                into.append(piece)
                size -= long

        done = False
        for change in sorted(changes, key=lambda change: (change.start, -change.end)):
            if change.start < at:
                continue
            copy(change.start - at, pieces)
            gone: list[_Piece] = []
            copy(change.end - change.start, gone)
            here = pieces[-1].end if pieces else 0
            start, end = (gone[0].start, gone[-1].end) if gone else (here, here)
            pieces.append(_Piece(start, end, change.text))
            if change.rule:
                self.findings.append((change.rule, start, end))
            at = change.end
            done = True
        pieces.extend(reversed(waiting))
        if done:
            self._pieces = pieces
            self.text = "".join(
                self._first[piece.start : piece.end] if piece.text is None else piece.text for piece in pieces
            )
        return done

    def edits(self) -> list[tuple[int, int, str]]:
        """What was done to the first text, in order: start, end, and what stands there now."""
        done: list[tuple[int, int, str]] = []
        for piece in self._pieces:
            if piece.text is None:
                continue
            if done and done[-1][1] == piece.start:
                done[-1] = (done[-1][0], piece.end, done[-1][2] + piece.text)
            else:
                done.append((piece.start, piece.end, piece.text))
        return [edit for edit in done if self._first[edit[0] : edit[1]] != edit[2]]


def _split(piece: _Piece, size: int) -> tuple[_Piece, _Piece]:
    if piece.text is None:
        return _Piece(piece.start, piece.start + size), _Piece(piece.start + size, piece.end)
    return _Piece(piece.start, piece.end, piece.text[:size]), _Piece(piece.end, piece.end, piece.text[size:])
