"""A second look at what stands beside markup, or a name, that was taken out.

Markup is judged last, on what all the others have written: their labels may be the half of a link. But with a link a
word of context may go, or come nearer to a number, and then the rules would say something else of that number; and what
stands beside a name may be an address of its own without it. So from the first such place on, the rules read the text
once more.
"""

from collections.abc import Sequence
from typing import Final

from guard_integrations.core.findings import Action
from guard_integrations.core.sanitizer.keyed import after_text
from guard_integrations.core.sanitizer.passes import Pass, moved
from guard_integrations.core.scanner.detector import Detector, Session, Step

__all__ = ["Again"]

_BEFORE: Final = 128
"""Characters that are read with what follows them: twice as many as context reaches."""


class Again(Pass):
    """A pass that begins where one before it has changed something; until then the text goes through it as it is.

    What was flagged is not reported again.

    Args:
        detector: what looks at the text.
        watched: the passes right before this one whose changes call for it. Where the first of them has changed the
            text, the others have not moved it yet.
    """

    __slots__ = ("_before", "_detector", "_watched")

    def __init__(self, detector: Detector, watched: Sequence[Pass]) -> None:
        super().__init__(())
        self._detector = detector
        self._watched = watched
        self._before = ""
        """The end of what went through as it was."""

    def feed(self, text: str, *, final: bool = False) -> str:
        """Takes the next piece of the text and gives back what is safe to show."""
        if self._sessions:
            return super().feed(text, final=final)
        first = min((one.first for one in self._watched if one.first is not None), default=None)
        through = text if first is None else text[: first - self._base]
        self._before = (self._before + through)[-_BEFORE:]
        self._base += len(through)
        if first is None or self._base < first:
            return through
        self._done = self._written = self._base
        self._sessions.append(_Beside(after_text(self._before, self._detector).start(), self._base))
        return through + super().feed(text[len(through) :], final=final)


class _Beside:
    """A session that begins in the middle of a text, and sets its labels apart from what follows them.

    Nobody looks for markup any more, and a label before a bracket would be a link.

    Args:
        session: the session.
        start: the place in the text at which it begins.
    """

    def __init__(self, session: Session, start: int) -> None:
        self._session = session
        self._start = start

    def feed(self, text: str, *, final: bool = False) -> Step:
        step = self._session.feed(text, final=final)
        return Step(
            decided=step.decided + self._start,
            edits=tuple(
                edit._replace(
                    start=edit.start + self._start,
                    end=edit.end + self._start,
                    text=f"{edit.text} " if edit.text and not edit.continues else edit.text,
                )
                for edit in step.edits
            ),
            findings=tuple(
                moved(finding, finding.start + self._start, finding.end + self._start)
                for finding in step.findings
                if finding.action is not Action.FLAG
            ),
        )
