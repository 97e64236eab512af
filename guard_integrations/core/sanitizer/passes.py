"""One pass over a text: what its detectors have decided is written out, the rest is kept raw."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import itemgetter
from typing import Final

from guard_integrations.core.findings import Finding
from guard_integrations.core.scanner.detector import Detector, Edit

__all__ = ["Pass", "moved", "placed"]

_FIRST: Final = itemgetter(0, 1, 2)


class Pass:
    """One pass over a text that may still grow: the edits of all detectors, merged.

    Where spans overlap they are one, and the label is that of the leftmost; of two that begin together, that of the
    detector named first.

    Args:
        detectors: what looks at the text.
    """

    __slots__ = ("_base", "_came", "_done", "_pending", "_raw", "_sessions", "_went", "_written", "findings", "first")

    def __init__(self, detectors: Iterable[Detector]) -> None:
        self.findings: list[Finding] = []
        """What was found, in characters of the text that this pass was fed."""
        self.first: int | None = None
        """Where, in what was written, the first edit stands."""
        self._sessions = [detector.start() for detector in detectors]
        self._raw = ""
        """What came in and is not written yet; `_base` is the place of its first character in the whole text."""
        self._base = 0
        self._done = 0
        """Before this place everything is written or replaced."""
        self._pending: list[tuple[int, bool, int, Edit]] = []
        """Edits that are not applied yet, behind what they are sorted by."""
        self._written = 0
        self._went = [0]
        """Where untouched text goes on after an edit: its place in what was written, and in `_came`, in what came in."""
        self._came = [0]

    def feed(self, text: str, *, final: bool = False) -> str:
        """Takes the next piece of the text and gives back what is safe to show."""
        self._raw += text
        decided = self._base + len(self._raw)
        for index, session in enumerate(self._sessions):
            step = session.feed(text, final=final)
            decided = min(decided, step.decided)
            if step.edits:
                self._pending += [(edit.start, not edit.continues, index, edit) for edit in step.edits]
            if step.findings:
                self.findings += step.findings
        pieces: list[str] = []
        if self._pending:
            self._apply(decided, pieces)
        if self._done < decided:
            self._keep(decided, pieces)
        # What has been swallowed may end after what has come: nothing is left of it then.
        self._raw = self._raw[self._done - self._base :]
        self._base = self._done
        return "".join(pieces)

    @property
    def held(self) -> int:
        """Characters that came in and are neither written nor replaced yet."""
        return len(self._raw)

    def give_up(self) -> str:
        """All that is not written yet, as it is."""
        rest, self._raw = self._raw[max(0, self._done - self._base) :], ""
        return rest

    def _apply(self, decided: int, pieces: list[str]) -> None:
        # Of edits that begin together, the first detector's comes first, whenever they have come.
        self._pending.sort(key=_FIRST)
        later: list[tuple[int, bool, int, Edit]] = []
        for placed in self._pending:
            edit = placed[3]
            if edit.start >= decided and edit.start > self._done:
                later.append(placed)
            elif edit.start < self._done or edit.continues:
                self._done = max(self._done, edit.end)
            else:
                self._keep(edit.start, pieces)
                if self.first is None:
                    self.first = self._written
                pieces.append(edit.text)
                self._written += len(edit.text)
                self._done = edit.end
        self._pending = later

    def _keep(self, end: int, pieces: list[str]) -> None:
        """Writes what stands between the last edit and `end` as it is."""
        if end == self._done:
            return
        if self._done - self._written != self._came[-1] - self._went[-1]:
            self._went.append(self._written)
            self._came.append(self._done)
        pieces.append(self._raw[self._done - self._base : end - self._base])
        self._written += end - self._done
        self._done = end

    @property
    def moves(self) -> bool:
        """Whether anything that was written stands at another place than where it came in."""
        return len(self._went) > 1

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where a stretch of what was written stood in what came in."""
        return self._origin(start, bisect_right(self._went, start) - 1), self._origin(
            end, max(0, bisect_left(self._went, end) - 1)
        )

    def _origin(self, place: int, index: int) -> int:
        came = self._came[index] + place - self._went[index]
        # Inside what was written in place of an edit there is no place to go back to but that edit.
        return min(came, self._came[index + 1]) if index + 1 < len(self._came) else came


def placed(finding: Finding, passes: Iterable[Pass]) -> Finding:
    """The finding where it stands in the whole answer, through the passes before it, the last one first."""
    start, end = finding.start, finding.end
    for earlier in passes:
        start, end = earlier.origin(start, end)
    if (start, end) == (finding.start, finding.end):
        return finding
    return moved(finding, start, end)


def moved(finding: Finding, start: int, end: int) -> Finding:
    """The finding at another place; a third of what `replace` takes, which looks at every field."""
    return Finding(
        rule=finding.rule,
        category=finding.category,
        severity=finding.severity,
        start=start,
        end=end,
        score=finding.score,
        action=finding.action,
        view=finding.view,
    )
