"""Keeps what a detector writes from ending a word that went on, or from beginning one.

`078-05-1120` is no SSN where letters follow at once. If those letters are replaced by a label, it must not become one.
"""

from guard_integrations.core.scanner.detector import Detector, Edit, Session, Step

__all__ = ["Wordwise"]

_GLUE = "_"
"""Goes on with a word."""


class Wordwise:
    """A detector whose edits are joined to the words that they cut.

    Args:
        detector: the detector. It reports no edit in parts.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def start(self) -> Session:
        """A session for one text."""
        return _WordwiseSession(self._detector.start())

    def clears(self, text: str) -> bool:
        """As `Clearing.clears`: of a text in which there is anything, it cannot say so."""
        return not text


class _WordwiseSession:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._text = ""
        self._base = 0
        self._waiting: list[Edit] = []

    def feed(self, text: str, *, final: bool = False) -> Step:
        step = self._session.feed(text, final=final)
        self._text += text
        decided = step.decided
        edits: list[Edit] = []
        waiting: list[Edit] = []
        for edit in (*self._waiting, *step.edits):
            if edit.end < self._base + len(self._text) or final:
                edits.append(self._joined(edit))
            else:
                # Whether the word goes on, the next character says.
                waiting.append(edit)
                decided = min(decided, edit.start)
        self._waiting = waiting
        keep = max(0, decided - 1 - self._base)
        self._text, self._base = self._text[keep:], self._base + keep
        return Step(decided, tuple(edits), step.findings)

    def _joined(self, edit: Edit) -> Edit:
        before = _GLUE if self._in_word(edit.start) else ""
        after = _GLUE if self._in_word(edit.end) else ""
        return edit._replace(text=f"{before}{edit.text}{after}")

    def _in_word(self, place: int) -> bool:
        """Whether a word goes on from the character before a place to the one after it."""
        at = place - self._base
        around = self._text[max(0, at - 1) : at + 1]
        return len(around) == 2 and all(char.isascii() and (char.isalnum() or char == "_") for char in around)  # noqa: PLR2004 - one before, one after
