"""Rules, views and the model together: whether a text gives the assistant orders, where, and what becomes of it."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import attrgetter
from typing import Final

from guard_integrations.core.findings import Action, Category, Finding, Severity, Stage
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.scanner.classifier import Classifier, Window
from guard_integrations.core.scanner.detector import Edit, Step
from guard_integrations.core.scanner.normalise import View, Views, views
from guard_integrations.core.scanner.overflow import NESTED_RULE, overflow
from guard_integrations.core.scanner.sentences import enclosing, sentences
from guard_integrations.core.scanner.session import RuleDetector

__all__ = ["HIDDEN_RULE", "LABEL", "MODEL_RULE", "SAME_WORDS", "Examined", "InjectionScanner"]

LABEL: Final = "[FILTERED]"
"""What stands in place of an injection."""
MODEL_RULE: Final = "injection-model"
"""The rule id of what only the model found; a policy can disable it like any rule."""
HIDDEN_RULE: Final = "hidden-text"
"""The rule id of text in characters that nobody sees."""

_ROUNDING: Final = 1e-9
_HIDING: Final = ("tags", "selectors")
_EDGES: Final = " \t\r\n'\"`,;:|{}[]()<>"
"""Left standing around a sentence that is filtered: the structure that it is in."""
SAME_WORDS: Final = ("folded", "invisible")
"""Views in which the model reads the words it has read already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found in a text.

    Args:
        findings: in the order of their start.
        edits: what replaces what the policy filters.
        score: how much the text looks like an injection, 0 to 1, also where nothing was found.
    """

    findings: tuple[Finding, ...]
    edits: tuple[Edit, ...]
    score: float

    @property
    def step(self) -> Step:
        """The same, as what a detector says of a whole text."""
        return Step(edits=self.edits, findings=self.findings, decided=1 << 62)


class InjectionScanner:
    """Finds injections in a text. Immutable, and safe to share between threads.

    A rule's match is a finding; so is each sentence, or window of sentences, that the model takes for an injection. What
    the policy filters is the sentence that a finding stands in, and not more.

    Args:
        policy: what to do about them, and from which score on.
        rules: the rules of the stage against injections, as a detector that only reports.
        stage: where the texts stand.
    """

    def __init__(self, policy: GuardPolicy, rules: RuleDetector | None, stage: Stage) -> None:
        self._policy = policy
        self._rules = rules
        self._stage = stage
        self._model = None if MODEL_RULE in policy.disabled_rules else Classifier.load()
        self._allowed = frozenset(text.casefold() for text in policy.allow)

    def examine(self, text: str) -> Examined:
        """Looks at a text and at everything it could be hiding."""
        read = views(text)
        findings: list[Finding] = []
        score = 0.0
        for view in read.items:
            found = [*self._by_rules(view)]
            windows = self._by_model(view)
            score = max([score, *(one.score for one in found), *(window.score for window in windows)])
            modelled = [self._of_window(window, view) for window in windows if window.score >= self._threshold]
            # Where a rule has hit it says the same more narrowly; what is left of the window is read again when it is gone.
            taken = _Reach((one.start, one.end) for one in (*findings, *found) if one.action is not Action.FLAG)
            found += [one for one in modelled if taken.furthest(one.end) <= one.start]
            findings += _new(found, findings)
            if view.name.endswith(_HIDING) and HIDDEN_RULE not in self._policy.disabled_rules:
                findings.append(self._hidden(view))
        if read.overflow:
            findings.append(self._nested(len(text)))
        findings.sort(key=attrgetter("start", "end", "rule"))
        return Examined(findings=tuple(findings), edits=self._edits(text, findings), score=score)

    def clears(self, texts: Sequence[str]) -> bool:
        """Whether it is certain that nothing is found in any of these texts. False says nothing."""
        read = views("\n".join(texts))
        # Views of the same words, character for character, keep the texts apart.
        if any(view.name not in {"raw", "folded"} for view in read.items) or not self._no_rule_hits(read):
            return False
        return all(map(self._is_low, self._highest(texts)))

    def low_scores(self, texts: Sequence[str]) -> list[float | None]:
        """The score of each of these texts in which certainly nothing is found. None says nothing."""
        read = [views(text) for text in texts]
        shown = [self._no_rule_hits(each) for each in read]
        modelled = [
            [view.text for view in each.items if not view.name.endswith(SAME_WORDS)] if clear else []
            for each, clear in zip(read, shown, strict=True)
        ]
        scores = iter(self._highest([text for each in modelled for text in each]))
        highest = [max((next(scores) for _ in each), default=0.0) for each in modelled]
        return [score if clear and self._is_low(score) else None for score, clear in zip(highest, shown, strict=True)]

    def _no_rule_hits(self, read: Views) -> bool:
        """Whether no rule matches in any view of a text, nor in a line of it, and nothing in it is hidden."""
        if read.overflow or any(view.name.endswith(_HIDING) for view in read.items):
            return False
        return self._rules is None or all(self._rules.clears(f"{view.text}\n") for view in read.items)

    def _highest(self, texts: Sequence[str]) -> list[float]:
        return [0.0] * len(texts) if self._model is None else self._model.highest(texts, self._stage)

    def _is_low(self, score: float) -> bool:
        # Rounding may differ in the last place with how much is reckoned together.
        return score < self._threshold - _ROUNDING

    @property
    def _threshold(self) -> float:
        return self._policy.injection_threshold

    def _action(self, score: float) -> Action:
        return self._policy.action(Category.INJECTION) if score >= self._threshold else Action.FLAG

    def _by_rules(self, view: View) -> list[Finding]:
        if self._rules is None:
            return []
        # The line break stands for the end of the text, which no pattern can name.
        found = self._rules.start().feed(f"{view.text}\n", final=True).findings
        placed = []
        for one in found:
            start, end = view.locate(min(one.start, len(view.text)), min(one.end, len(view.text)))
            action = self._action(one.score) if one.category is Category.INJECTION else one.action
            placed.append(replace(one, start=start, end=end, view=view.name, action=action))
        return placed

    def _by_model(self, view: View) -> list[Window]:
        if self._model is None or view.name.endswith(SAME_WORDS):
            return []
        # A low score is no finding, but it is what `injection_score` reports.
        found = self._model.windows(view.text, self._stage, self._threshold, or_highest=True)
        if not found:
            return []
        top = max(found, key=attrgetter("score"))
        if top.score < self._threshold:
            return [top]
        found = [
            window
            for window in found
            if window.score >= self._threshold
            and view.text[window.start : window.end].strip().casefold() not in self._allowed
        ]
        # The shortest first: a window of sentences says nothing new about a sentence that was found by itself.
        found.sort(key=lambda window: window.end - window.start)
        kept: list[Window] = []
        starts: list[int] = []
        ends: list[int] = []
        for window in found:
            # None of those kept overlap, so that their ends are in the order of their starts.
            before = bisect_left(starts, window.end)
            if before == 0 or ends[before - 1] <= window.start:
                kept.append(window)
                starts.insert(before, window.start)
                ends.insert(before, window.end)
        return kept

    def _of_window(self, window: Window, view: View) -> Finding:
        start, end = view.locate(window.start, window.end)
        return Finding(
            rule=MODEL_RULE,
            category=Category.INJECTION,
            severity=Severity.HIGH if self._stage == "input" else Severity.MEDIUM,
            start=start,
            end=end,
            score=window.score,
            action=self._action(window.score),
            view=view.name,
        )

    def _hidden(self, view: View) -> Finding:
        start, end = view.locate(0, len(view.text))
        return Finding(
            rule=HIDDEN_RULE,
            category=Category.INVISIBLE,
            severity=Severity.HIGH,
            start=start,
            end=end,
            action=self._policy.action(Category.INVISIBLE),
            view=view.name,
        )

    def _nested(self, end: int) -> Finding:
        asked = self._policy.action(Category.OVERFLOW)
        # Nothing can be cut off that would leave the rest known.
        return overflow(NESTED_RULE, 0, end, asked if asked is Action.FLAG else Action.BLOCK)

    def _edits(self, text: str, findings: list[Finding]) -> tuple[Edit, ...]:
        filtered = [one for one in findings if one.action is Action.FILTER]
        if not filtered:
            return ()
        spans = sentences(text, shortest=1)
        edits: list[Edit] = []
        for one in filtered:
            start, end = one.start, one.end
            if one.category is Category.INJECTION:
                start, end = _trimmed(text, *enclosing(spans, start, end), one)
            edits.append(Edit(start=start, end=end, text="" if one.category is Category.INVISIBLE else LABEL))
        return tuple(edits)


def _trimmed(text: str, start: int, end: int, found: Finding) -> tuple[int, int]:
    """A sentence without the structure around it; no less than what was found."""
    edges = (found.start, found.end) if found.rule != MODEL_RULE else (end, start)
    while start < min(edges[0], end) and text[start] in _EDGES:
        start += 1
    while end > max(edges[1], start) and text[end - 1] in _EDGES:
        end -= 1
    return start, end


class _Reach:
    """How far stretches of a text reach; a hostile one has many thousands of them.

    Args:
        spans: (start, end) of each, in any order.
    """

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(spans)
        self._starts = [start for start, _ in ordered]
        self._ends = list(accumulate((end for _, end in ordered), max))

    def furthest(self, before: int) -> int:
        """The last end of those that start before a place; -1 where none does."""
        count = bisect_left(self._starts, before)
        return self._ends[count - 1] if count else -1


def _new(found: list[Finding], known: list[Finding]) -> list[Finding]:
    """What has not been said before, in this view or another, by the same rule of a stretch that holds this one."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for one in known:
        spans.setdefault(one.rule, []).append((one.start, one.end))
    reaches = {rule: _Reach(said) for rule, said in spans.items()}
    new: dict[tuple[str, int, int], Finding] = {}
    for one in found:
        if one.rule not in reaches or reaches[one.rule].furthest(one.start + 1) < one.end:
            new.setdefault((one.rule, one.start, one.end), one)
    return list(new.values())
