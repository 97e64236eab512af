"""Markdown on its way to the reader, decided block by block.

The text is read line by line. A block is decided where it has surely ended: at a blank line, or at a line that a
parser sees another block begin at. What stands before the first trigger of a block is shown at once, so prose without
markup is never held back. Inside a fenced block at the top level everything is shown at once; what a list or a
quotation holds is decided with all of it as context, until a line begins at the margin after a blank one.

A block, or its context, of more than `MOST` characters is cut: from there to the next margin nothing counts as code.
Nor does anything after a fence there, or after a lone carriage return, which ends a line for some renderers only.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from guard_integrations.core.scanner.markup.block import TRIGGER, Memory, rewrite
from guard_integrations.core.scanner.markup.draft import Draft
from guard_integrations.core.scanner.markup.parse import parse
from guard_integrations.core.scanner.markup.seams import begun
from guard_integrations.core.scanner.markup.urls import UrlPolicy

__all__ = ["MOST", "Markdown"]

MOST: Final = 16_384
"""Characters of a block, and of the context that it is read in."""

_BLANK: Final = re.compile(r"[ \t]*(?:\r\n?|\n)?\Z")
_MARGIN: Final = re.compile(r"(?!\d{1,9}[.)])[^\s>*+\-]")
_FENCE: Final = re.compile(r"[ \t>*+\-\d.)]*(?:`{3}|~{3})")
_MARKER: Final = re.compile(r"[ \t>]*(?:[-*+_#>]|\d{1,9}[.)])")
_LONGEST_FENCE: Final = 1000
_TELLING: Final = ("<", "]", "\\", "![", "://", "w.", "W.")
"""What there is in every trigger: one of these, and what stands before it is at most `_LEADING` characters."""
_LEADING: Final = 5
_NEAR: Final = 12
"""Characters that a trigger has at most, but for what repeats in it."""
_CUT: Final = 1024
"""Characters in which a place to cut is looked for."""
_SKIPPED: Final = 256
"""Characters of plain paragraphs that are worth being passed over together."""
_NEXT_MARGIN: Final = re.compile(rf"\n[ \t]*\n(?={_MARGIN.pattern})")


class Markdown:
    """One text on its way.

    Args:
        urls: where links and images may go.
    """

    def __init__(self, urls: UrlPolicy) -> None:
        self.edits: list[tuple[int, int, str]] = []
        """Start, end and what is to stand there."""
        self.findings: list[tuple[str, int, int]] = []
        """Rule, start and end."""
        self._urls = urls
        self._memory = Memory()
        self._context = ""  # safe lines of the top-level block that the text is in
        self._block = ""  # what came after them, as it came
        self._base = 0  # place of the block in the text
        self._line = 0  # where in the block its last line begins
        self._within = False  # whether that is the middle of a line
        self._blank = True  # whether the line before was blank
        self._trigger: int | None = None  # the first one in the block
        self._searched = 0  # up to where it has been looked for
        self._in_fence = False  # whether the text is in a fenced block of a list or a quotation
        self._read = 0  # up to where a line break has been looked for
        self._plain = 0  # up to where there is nothing to skip
        self._fence: _Fence | None = None  # the top-level fence that is open
        self._lost = False  # whether it is unknown what is code
        self._for_good = False  # whether it will remain so

    def feed(self, text: str, *, final: bool) -> int:
        """Takes the next piece; returns the place before which everything is decided."""
        # No more at a time than a block can hold: each line that is decided costs a copy of what is left.
        for at in range(0, len(text) - MOST, MOST):
            self._take(text[at : at + MOST], final=False)
        return self._take(text[(len(text) - 1) // MOST * MOST :] if text else "", final=final)

    def _take(self, text: str, *, final: bool) -> int:
        self._block += text
        while self._next_code(final=final) if self._fence else self._next_line(final=final):
            pass
        if final:
            self._commit(len(self._block))
        return self._base + (len(self._block) if self._fence else self._shown())

    def _shown(self) -> int:
        """How much of the block may be shown: what comes before its first trigger, or before what may become one."""
        block = self._block
        if self._trigger is None and self._searched < len(block):
            near = max(0, self._searched - _NEAR)
            telling = [at for text in _TELLING if (at := block.find(text, near)) >= 0]
            if telling:
                found = TRIGGER.search(block, max(near, min(telling) - _LEADING))
                self._trigger = found and found.start()
            self._searched = len(block)
        if self._trigger is not None:
            return self._trigger
        return begun(block)

    def _end_of_line(self, *, final: bool) -> int | None:
        """Where the line ends that is being read; None while it may go on."""
        block, start = self._block, max(self._line, self._read)
        ends = [at for char in "\r\n" if (at := block.find(char, start)) >= 0]
        if not ends:
            self._read = len(block)
            return len(block) if final and self._line < len(block) else None
        at = min(ends)
        if block[at] == "\r" and at + 1 == len(block) and not final:
            return None
        return at + 1 + block.startswith("\r\n", at)

    def _next_code(self, *, final: bool) -> bool:
        """Passes over a line of the top-level fence. Says whether there is another line to read."""
        end = self._end_of_line(final=final)
        fence = self._fence
        assert fence is not None  # noqa: S101 - or `feed` would not have come here
        if end is None:
            if self._within or not fence.may_close(self._block):
                self._within = bool(self._block) or self._within
                self._pass_over(len(self._block))
            return False
        self._lose(self._block[:end])
        closes = not self._within and fence.closes(self._block[:end])
        self._pass_over(end)
        self._within = False
        if closes:
            self._fence, self._context, self._blank, self._lost = None, "", True, self._for_good
        return bool(self._block)

    def _lose(self, line: str) -> None:
        """Notes what makes it unknown for good what is code.

        That is a lone carriage return, on which renderers do not agree, and what may be a fence where the place in
        the text is unknown: who cannot tell whether it opens or closes cannot tell what is code after it.
        """
        if line.endswith("\r") or (self._lost and not self._within and _FENCE.match(line)):
            self._for_good = self._lost = True

    def _pass_over(self, size: int) -> None:
        self._base += size
        self._block = self._block[size:]
        self._line = self._read = 0
        self._plain = max(0, self._plain - size)
        if self._trigger is not None and self._trigger >= size:
            # Looked for anew at each line, it would be looked for through all that has come.
            self._trigger -= size
        elif self._trigger is not None:
            self._trigger, self._searched = None, 0
            return
        self._searched = max(0, self._searched - size)

    def _next_line(self, *, final: bool) -> bool:
        """Reads a line. Says whether there is another one to read."""
        if not self._line and not self._within and not self._plain and len(self._block) > _SKIPPED:
            self._skip()
        end = self._end_of_line(final=final)
        if (len(self._block) if end is None else end) > MOST:
            self._cut()
            return True
        if end is None:
            return False
        start, line = self._line, self._block[self._line : end]
        self._lose(line)
        blank = not self._within and _BLANK.match(line) is not None
        if self._blank and not self._within and _MARGIN.match(line):
            self._context, self._lost, self._in_fence = "", self._for_good, False
        self._line = end
        if blank:
            self._commit(end)
        elif not self._within and not self._lost and self._may_begin(line, start):
            self._decide(start)
        self._within = False
        self._blank = blank
        return self._line < len(self._block)

    def _skip(self) -> None:
        """Passes over whole paragraphs before the next trigger, all at once: nothing in them is changed.

        Not over a fence, nor over a line that ends for some renderers only.
        """
        block = self._block
        most = min(self._shown(), len(block) - _NEAR, MOST)
        for mark in ("```", "~~~", "\r"):
            found = block.find(mark, 0, max(0, most))
            most = most if found < 0 else found
        self._plain = max(0, most)
        end = block.rfind("\n\n", 0, self._plain) + 2
        if end <= _SKIPPED:
            return
        begins = [at for found in _NEXT_MARGIN.finditer(block, 0, end + _NEAR) if (at := found.end()) <= end]
        margin = begins[-1] if begins else 0 if self._blank and _MARGIN.match(block) else None
        if margin is None and self._in_fence:
            return
        context = block[margin:end] if margin is not None else self._context + block[:end]
        if len(context) > MOST:
            return
        if margin is not None:
            self._lost, self._in_fence = self._for_good, False
        self._pass_over(end)
        self._context, self._blank = context, True

    def _may_begin(self, line: str, start: int) -> bool:
        """Whether a line is worth asking the parser about."""
        if self._in_fence or _FENCE.match(line):
            return True
        self._shown()
        return self._trigger is not None and self._trigger < start and _MARKER.match(line) is not None

    def _decide(self, start: int) -> None:
        """Decides what has ended at the last line, which begins at a place in the block."""
        draft = self._draft(self._line, replace(self._memory))
        text = self._context + draft.text
        inside = text[: len(text) - len(_terminator(text))]
        last = max(inside.rfind("\n"), inside.rfind("\r")) + 1
        seen = parse(text)
        top = next((fence for fence in seen.fences if fence.top and fence.start >= last), None)
        self._in_fence = any(not fence.top and fence.end >= len(inside) for fence in seen.fences)
        if top is not None:
            self._commit(self._line)
            self._fence = _Fence.opened(text[top.start :])
            self._lost = self._for_good = self._fence is None
        elif self._in_fence:
            self._commit(self._line)
        elif any(place >= last for place in seen.blocks) and draft.text.startswith(
            self._draft(start, replace(self._memory)).text
        ):
            self._commit(start)

    def _draft(self, size: int, memory: Memory) -> Draft:
        """The first characters of the block, made safe."""
        block = self._block[:size]
        self._shown()
        if self._trigger is None or self._trigger >= size:
            return Draft(block)
        return rewrite(block, context=self._context, urls=self._urls, memory=memory, lost=self._lost)

    def _commit(self, size: int) -> None:
        """Decides the first characters of the block."""
        draft = self._draft(size, self._memory)
        base = self._base
        self.edits += [(base + start, base + end, text) for start, end, text in draft.edits()]
        self.findings += [(rule, base + start, base + end) for rule, start, end in draft.findings]
        self._context += draft.text
        if len(self._context) > MOST:
            self._context, self._lost = "", True
        line = self._line - size
        self._pass_over(size)
        self._line = max(0, line)

    def _cut(self) -> None:
        """Decides the beginning of a block that is too long, as if nothing in it were code."""
        space = max(self._block.rfind(char, MOST - _CUT, MOST) for char in " \t\n\r")
        size = MOST if space < 0 else space + 1
        self._lost = True
        self._lose(self._block[self._line : size])
        self._within = self._line < size and self._block[size - 1] not in "\r\n"
        self._line = max(self._line, size)
        piece = self._block[:size]
        open_end = begun(piece) < size
        self._commit(size)
        if open_end:
            self.edits.append((self._base, self._base, " "))
            self.findings.append(("markup-overflow", self._base - 1, self._base))


@dataclass(frozen=True, slots=True)
class _Fence:
    """A top-level fence that is open, and how it closes."""

    _closing: re.Pattern[str]
    _begun: re.Pattern[str]

    @classmethod
    def opened(cls, text: str) -> "_Fence | None":
        """The fence that a text begins with; None when it is too long to be followed."""
        size = len(text) - len(text.lstrip(text[0]))
        if size > _LONGEST_FENCE:
            return None
        return cls(
            re.compile(rf" {{0,3}}{text[0]}{{{size},}}[ \t]*(?:\r\n?|\n)?\Z"),
            re.compile(rf" {{0,3}}{text[0]}*[ \t]*\r?\Z"),
        )

    def closes(self, line: str) -> bool:
        """Whether a line closes it."""
        return self._closing.match(line) is not None

    def may_close(self, line: str) -> bool:
        """Whether a line that has not ended yet may close it."""
        return self._begun.match(line) is not None


def _terminator(text: str) -> str:
    return "\r\n" if text.endswith("\r\n") else text[-1:] if text.endswith(("\n", "\r")) else ""
