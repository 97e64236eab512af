"""A value read as if it stood after its key: what follows "password" is a secret, wherever it stands."""

from dataclasses import replace

from guard_integrations.core.scanner.detector import Detector, Edit, Session, Step

__all__ = ["after_key", "after_text"]


def after_key(key: str, detector: Detector) -> tuple[Detector, ...]:
    """Detectors for a value that stands under a key: it is read as in a sentence, and as in JSON."""
    return (_After(f"{key}: ", detector), _After(f'"{key}": "', detector))


def after_text(before: str, detector: Detector) -> Detector:
    """A detector for a text that goes on after another one, in which nothing is looked for."""
    return _After(before, detector)


class _After:
    """A detector for a text that is read as if something stood before it.

    Args:
        before: what stands there.
        detector: reads both.
    """

    def __init__(self, before: str, detector: Detector) -> None:
        self._before = before
        self._detector = detector

    def start(self) -> Session:
        """A session for one text."""
        return _AfterSession(self._before, self._detector.start())


class _AfterSession:
    def __init__(self, before: str, session: Session) -> None:
        self._session = session
        self._moved = len(before)
        self._before: str | None = before
        self._label = ""
        """What an edit wrote that has not come into the text yet; it may go on there."""

    def feed(self, text: str, *, final: bool = False) -> Step:
        before, self._before = self._before, None
        step = self._session.feed(text if before is None else before + text, final=final)
        moved = self._moved
        return Step(
            decided=max(0, step.decided - moved),
            edits=tuple(self._edit(edit) for edit in step.edits if self._reaches(edit)),
            findings=tuple(
                replace(finding, start=max(0, finding.start - moved), end=finding.end - moved)
                for finding in step.findings
                if finding.end > moved
            ),
        )

    def _reaches(self, edit: Edit) -> bool:
        """Whether an edit comes into the text."""
        if edit.end <= self._moved and not edit.continues:
            self._label = edit.text
        return edit.end > self._moved

    def _edit(self, edit: Edit) -> Edit:
        # What begins before the text takes its place from the beginning on.
        begins = edit.continues and edit.start <= self._moved
        return Edit(
            start=max(0, edit.start - self._moved),
            end=edit.end - self._moved,
            text=self._label if begins else edit.text,
            continues=edit.continues and not begins,
        )
