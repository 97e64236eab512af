"""A text on its way through detectors: what each has decided is written out, the rest is kept raw."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Literal

from guard_integrations.core.events import EventKind, GuardEvent, emit
from guard_integrations.core.findings import Action, Category, Finding, Stage
from guard_integrations.core.sanitizer.again import Again
from guard_integrations.core.sanitizer.passes import Pass, placed
from guard_integrations.core.sanitizer.vault import Restorer
from guard_integrations.core.scanner.detector import Detector
from guard_integrations.errors import GuardBlocked, GuardUnavailable

__all__ = ["OutputStream", "blocked", "failure", "unavailable"]


class OutputStream:
    """An answer on its way to the reader. Not for use from several threads at once.

    However the answer is cut into chunks, what `feed` and `finish` give back is, joined, what
    `OutputSanitizer.sanitize` makes of the whole. Nothing that is to be hidden is ever given back, not even its first
    character.

    Args:
        passes: the detectors of each pass; each pass reads what the one before it wrote.
        restorer: puts pseudonyms' values back, after everything else.
        on_error: whether, when a detector fails, nothing more is given back or everything is.
        again: looks once more at what the passes have left, from the first edit on that one of the last ones made.
        watched: how many of the last ones.
    """

    def __init__(
        self,
        passes: Iterable[Sequence[Detector]],
        restorer: Restorer | None = None,
        *,
        on_error: Literal["block", "allow"] = "block",
        again: Detector | None = None,
        watched: int = 1,
    ) -> None:
        self._restorer = restorer
        self._allows = on_error == "allow"
        self._passes = [Pass(detectors) for detectors in passes]
        if again is not None:
            self._passes.append(Again(again, self._passes[-watched:]))
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
            found += (placed(finding, moving) for finding in one.findings) if moving else one.findings
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
                if len(one.findings) > known and any(
                    finding.action is Action.BLOCK for finding in one.findings[known:]
                ):
                    self._state = "blocked"
                    break
                if not text and not final:
                    # The passes that follow know what they had.
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
