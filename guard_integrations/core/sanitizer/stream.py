"""A text on its way through detectors: what each has decided is written out, the rest is kept raw."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter
from typing import Literal

from guard_integrations.core.events import EventKind, GuardEvent, emit
from guard_integrations.core.findings import Action, Category, Finding, Stage
from guard_integrations.core.sanitizer.vault import Restorer
from guard_integrations.core.scanner.detector import Detector, Edit
from guard_integrations.errors import GuardBlocked, GuardUnavailable

__all__ = ["OutputStream", "Pass", "blocked", "failure", "unavailable"]


class Pass:
    """One pass over a text that may still grow: the edits of all detectors, merged.

    Where spans overlap they are one, and the label is that of the leftmost; of two that begin together, that of the
    detector named first.

    Args:
        detectors: what looks at the text.
    """

    __slots__ = ("_base", "_came", "_done", "_pending", "_raw", "_sessions", "_went", "_written", "findings")

    def __init__(self, detectors: Iterable[Detector]) -> None:
        self.findings: list[Finding] = []
        """What was found, in characters of the text that this pass was fed."""
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


_FIRST = itemgetter(0, 1, 2)


class OutputStream:
    """An answer on its way to the reader. Not for use from several threads at once.

    However the answer is cut into chunks, what `feed` and `finish` give back is, joined, what
    `OutputSanitizer.sanitize` makes of the whole. Nothing that is to be hidden is ever given back, not even its first
    character.

    Args:
        passes: the detectors of each pass; each pass reads what the one before it wrote.
        restorer: puts pseudonyms' values back, after everything else.
        on_error: whether, when a detector fails, nothing more is given back or everything is.
    """

    def __init__(
        self,
        passes: Iterable[Sequence[Detector]],
        restorer: Restorer | None = None,
        *,
        on_error: Literal["block", "allow"] = "block",
    ) -> None:
        self._restorer = restorer
        self._allows = on_error == "allow"
        self._passes = [Pass(detectors) for detectors in passes]
        self._state: Literal["open", "finished", "blocked", "failed", "unguarded"] = "open"
        self._failure: GuardUnavailable | None = None

    def feed(self, chunk: str) -> str:
        """Takes the next piece of the answer.

        Returns:
            What may be shown now; often the chunk itself, and empty while something is undecided.

        Raises:
            GuardBlocked: a rule refuses the answer. What was given back before stands; nothing more follows.
            GuardUnavailable: a detector failed. As before.
        """
        return self._advance(chunk, final=False)

    def finish(self) -> str:
        """Says that the answer has ended.

        Returns:
            What was held back and may be shown.

        Raises:
            GuardBlocked: a rule refuses the answer.
        """
        return self._advance("", final=True)

    def feed_last(self, chunk: str) -> str:
        """`feed` and `finish` in one, for an answer whose last piece is known to be the last."""
        return self._advance(chunk, final=True)

    @property
    def held(self) -> int:
        """Characters that have come and are not decided yet. What a vault may still put back is not counted."""
        return sum(one.held for one in self._passes)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far, in the order of the beginnings; offsets in characters of the whole answer."""
        found: list[Finding] = []
        moving: list[Pass] = []
        for one in self._passes:
            found += (_placed(finding, moving) for finding in one.findings) if moving else one.findings
            if one.moves:
                moving.insert(0, one)
        if any(finding.category is Category.LEAK for finding in found):
            found = _merged(found)
        return tuple(sorted(found, key=attrgetter("start", "end", "rule")))

    def _advance(self, text: str, *, final: bool) -> str:
        if self._state == "finished":
            raise RuntimeError("the stream is finished: start another with OutputSanitizer.stream()")
        if self._state == "blocked":
            raise self._refusal()
        if self._state == "open":
            text = self._guarded(text, final=final)
        if self._failure is not None and not self._allows:
            raise unavailable(self._failure)
        if self._restorer is not None:
            text = self._restorer.feed(text) + (self._restorer.finish() if final else "")
        if final:
            self._state = "finished"
        return text

    def _guarded(self, text: str, *, final: bool) -> str:
        """What the passes make of a piece of the answer."""
        try:
            for one in self._passes:
                known = len(one.findings)
                text = one.feed(text, final=final)
                if any(finding.action is Action.BLOCK for finding in one.findings[known:]):
                    self._state = "blocked"
                    break
        except Exception as error:  # noqa: BLE001 - whatever a detector raises, nothing of it may get out
            self._failure = failure(error)
        if self._state == "blocked":
            raise self._refusal()
        if self._failure is None:
            return text
        self._state = "failed"
        if self._allows:
            self._state = "unguarded"
            emit(GuardEvent(kind=EventKind.ALLOWED, stage="output", error="GuardUnavailable"))
        # What the last pass holds came first.
        return "".join(one.give_up() for one in reversed(self._passes)) if self._allows else ""

    def _refusal(self) -> GuardBlocked:
        return blocked("output", [finding for one in self._passes for finding in one.findings])


def _merged(found: list[Finding]) -> list[Finding]:
    """Leaks that overlap as one, by the rule of the one that begins first: which is known first differs in a stream."""
    others = [finding for finding in found if finding.category is not Category.LEAK]
    merged: list[Finding] = []
    leaks = (finding for finding in found if finding.category is Category.LEAK)
    for leak in sorted(leaks, key=lambda leak: (leak.start, -leak.end, leak.rule, leak.view)):
        if merged and leak.start < merged[-1].end:
            merged[-1] = replace(merged[-1], end=max(leak.end, merged[-1].end))
        else:
            merged.append(leak)
    return others + merged


def _placed(finding: Finding, passes: Iterable[Pass]) -> Finding:
    """The finding where it stands in the whole answer, through the passes before it, the last one first."""
    start, end = finding.start, finding.end
    for earlier in passes:
        start, end = earlier.origin(start, end)
    if (start, end) == (finding.start, finding.end):
        return finding
    # A third of what `replace` takes, which looks at every field.
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


def failure(error: Exception) -> GuardUnavailable:
    """What to say of an error in a detector: its kind, and nothing of its message, which may hold content."""
    if isinstance(error, GuardUnavailable):
        return error
    return GuardUnavailable("scanner", f"a detector raised {type(error).__name__}; nothing was let through")


def unavailable(error: GuardUnavailable) -> GuardUnavailable:
    """The same error anew, without a traceback to what was being looked at."""
    return GuardUnavailable(error.component, error.reason, status=error.status)


def blocked(stage: Stage, findings: Iterable[Finding]) -> GuardBlocked:
    """The refusal that the blocking ones among the findings call for."""
    hits = [finding for finding in findings if finding.action is Action.BLOCK]
    scores: dict[str, float] = {}
    for hit in hits:
        scores[hit.category.value] = max(hit.score, scores.get(hit.category.value, 0.0))
    return GuardBlocked(
        stage=stage,
        rules=tuple(dict.fromkeys(hit.rule for hit in hits)),
        categories=tuple(scores),
        scores=scores,
    )
