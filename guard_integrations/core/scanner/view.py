"""One way to read a text, with a map back to the caller's offsets, and how such a view is made of another one."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from re import Match, Pattern

__all__ = ["View", "derived", "fragments", "rewritten"]


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


def derived(
    name: str, parent: View, text: str, starts: tuple[int, ...] = (), sources: tuple[tuple[int, int], ...] = ()
) -> View:
    """The view that a decoding makes of another one."""
    label = name if parent.parent is None else f"{parent.name}+{name}"
    return View(name=label, text=text, parent=parent, starts=starts, sources=sources)


def fragments(name: str, parent: View, pattern: Pattern[str], decode: Callable[[Match[str]], str]) -> View:
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
    return replace(derived(name, parent, "\n".join(lines), tuple(starts), tuple(sources)), fragments=True)


def rewritten(name: str, parent: View, pattern: Pattern[str], replace: Callable[[Match[str]], str]) -> View:
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
    return derived(name, parent, "".join(pieces), tuple(starts), tuple(sources))
