"""A set of rules on a text that may still grow: the algorithm of the stream.

A rule is a bounded head and an optional tail. From each head its *live* pattern is derived: all texts that more text
could still complete, or lengthen. The leftmost place from which the end of the text is live is the *hold*: heads that
begin before it are final, everything from it on is kept raw. A head that has matched decides at once; its tail is
swallowed as it comes. Nothing is ever searched for in what has been written.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from guard_integrations.core.findings import Action, Category, Finding, Severity
from guard_integrations.core.scanner.context import ContextWords
from guard_integrations.core.scanner.detector import Edit, Step
from guard_integrations.core.scanner.engine import CompiledRule, RuleSet, TailState, previous_character

__all__ = ["MAX_VALUE", "RuleDetector", "Treatment"]

CONTEXT: Final = 64
"""Characters to the left of a match in which context words count."""
MAX_VALUE: Final = 4096
"""Characters of a value that is replaced as a whole, and of one that may be on the list of allowed texts."""
_THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is done with the matches of a rule.

    Args:
        action: report, replace or refuse.
        label: what is written in place of a match.
        replace: for strategies that need the whole value: what is written for it.
    """

    action: Action
    label: str
    replace: Callable[[str], str] | None = None


class RuleDetector:
    """The rules of a policy at one stage, as a detector.

    Args:
        rules: the compiled rules.
        treatments: what is done with each rule's matches, by its id.
        allowed: values that are never a finding; compared whole, regardless of case.
    """

    def __init__(
        self, rules: RuleSet, treatments: Mapping[str, Treatment], *, allowed: frozenset[str] = frozenset()
    ) -> None:
        self.rules = rules
        self.treatments = tuple(treatments[one.rule.id] for one in rules.compiled)
        self.allowed = frozenset(text.casefold() for text in allowed)
        self.words = tuple(ContextWords(one.rule.context) if one.rule.context else None for one in rules.compiled)
        self.keeps_written = max(
            CONTEXT if any(self.words) else 0,
            # Only where nothing is written in its place can a match join its neighbours.
            rules.longest_head if not all(treatment.label for treatment in self.treatments) else 0,
        )

    def start(self) -> "RuleSession":
        """A session for one text."""
        return RuleSession(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """A match whose tail still swallows."""

    state: TailState
    start: int
    covered: int
    score: float
    filters: bool


class RuleSession:
    """One text on its way through a set of rules."""

    __slots__ = (
        "_base",
        "_data",
        "_detector",
        "_next",
        "_open",
        "_scan",
        "_total",
        "_written",
        "_written_to",
    )

    def __init__(self, detector: RuleDetector) -> None:
        self._detector = detector
        self._data = b""
        """Two characters of context, then everything that is not decided yet."""
        self._base = 0
        """Characters of the text before `_data`."""
        self._total = 0
        """Characters of the text that have come in."""
        self._scan = 0
        """Heads that begin before this byte are decided."""
        self._next: dict[int, int] = {}
        """By rule, the byte before which it may not begin again."""
        self._open: dict[int, _Open] = {}
        self._written = ""
        """The end of what this session lets out, up to the byte `_written_to`."""
        self._written_to = 0

    def feed(self, text: str, *, final: bool = False) -> Step:
        """Takes the next piece of the text."""
        data = self._data = self._data + text.encode("utf-8", "surrogatepass")
        self._total += len(text)
        hold = len(data) if final else self._detector.rules.hold(data, self._scan)
        edits: list[Edit] = []
        findings: list[Finding] = []
        if self._open:
            self._swallow(edits, findings, final=final)
        decided = self._base
        if hold > self._scan:
            place = _Place(data, self._base)
            hold = self._decide(hold, place, edits, findings, final=final)
            decided = place.of(hold)
        elif self._scan:
            decided += len(data[: self._scan].decode("utf-8", "surrogatepass"))
        self._scan = hold
        self._forget()
        return Step(edits=tuple(edits), findings=tuple(findings), decided=decided)

    def _swallow(self, edits: list[Edit], findings: list[Finding], *, final: bool) -> None:
        """Lets the open tails take what has come."""
        data = self._data
        for order, match in list(self._open.items()):
            tail = self._detector.rules.compiled[order].tail
            if tail is None:
                continue
            at, state = tail.swallow(data, match.state, final=final)
            end = self._total - len(data[at:].decode("utf-8", "surrogatepass"))
            if match.filters:
                edits.append(Edit(start=match.covered, end=end, continues=True))
                self._written_to = max(self._written_to, at)
            if state is not None:
                self._open[order] = replace(match, state=state, covered=end)
                continue
            del self._open[order]
            self._next[order] = at
            findings.append(self._finding(order, match.start, end, match.score))

    def _decide(  # noqa: C901 - one decision, told in the order in which it is made
        self, hold: int, place: "_Place", edits: list[Edit], findings: list[Finding], *, final: bool
    ) -> int:
        """All heads that begin before the hold, in the order of their beginnings.

        Returns:
            The hold, moved back to a match whose whole value is needed and not there yet.
        """
        data = self._data
        queue: list[tuple[int, int, int, _Cursor]] = []
        for one, stretches in self._detector.rules.stretches(data):
            if one.order not in self._open:
                cursor = _Cursor(one, data, stretches)
                cursor.push(queue, max(self._scan, self._next.get(one.order, 0)))
        while queue and queue[0][0] < hold:
            start, order, end, cursor = heapq.heappop(queue)
            one = self._detector.rules.compiled[order]
            score = self._score(one, start, end)
            if score < _THRESHOLD:
                self._next[order] = start + 1
                cursor.push(queue, start + 1)
                continue
            treatment = self._detector.treatments[order]
            state: TailState | None = None
            if one.tail is not None and treatment.action is not Action.BLOCK:
                end, state = one.tail.swallow(data, TailState(0, 0, end), final=final)
            label, value = treatment.label, None
            if self._detector.allowed or treatment.replace is not None:
                value = _text(data[start:end]) if end - start <= MAX_VALUE * 4 else None
                value = value if value is not None and len(value) <= MAX_VALUE else None
                if state is not None and value is not None:
                    return start
            if value is not None and value.casefold() in self._detector.allowed:
                self._next[order] = end
                cursor.push(queue, end)
                continue
            first, last = place.of(start), place.end(start, end)
            if treatment.action is Action.FILTER:
                if treatment.replace is not None and value is not None:
                    label = treatment.replace(value)
                elif treatment.replace is not None:
                    findings.append(_too_long(first, last))
                edits.append(Edit(start=first, end=last, text=self._write(start, end, label)))
            if state is not None:
                self._open[order] = _Open(
                    state=state, start=first, covered=last, score=score, filters=treatment.action is Action.FILTER
                )
                continue
            findings.append(self._finding(order, first, last, score))
            self._next[order] = end
            cursor.push(queue, end)
        return hold

    def _score(self, one: CompiledRule, start: int, end: int) -> float:
        """Confidence in a head; 0 where its validator refuses it."""
        if one.validator is not None and not one.validator(_text(self._data[start:end])):
            return 0.0
        words = self._detector.words[one.order]
        if words is None:
            return one.rule.score
        raw = ""
        if start > self._written_to:
            raw = _text(self._data[max(self._written_to, _back(self._data, start, CONTEXT)) : start])
        return words.score(one.rule.score, (self._written + raw)[-CONTEXT:])

    def _write(self, start: int, end: int, label: str) -> str:
        """Keeps account of what stands in place of a match, and keeps its neighbours from becoming one."""
        keep = self._detector.keeps_written
        if not keep or end <= self._written_to:
            return label
        if start >= self._written_to:
            raw = _text(self._data[max(self._written_to, _back(self._data, start, keep)) : start])
            written = (self._written + raw)[-keep:]
            if not label:
                before = written.encode("utf-8", "surrogatepass")
                label = " " if self._detector.rules.hold(before, 0) < len(before) else ""
            self._written = (written + label)[-keep:]
        self._written_to = end
        return label

    def _finding(self, order: int, start: int, end: int, score: float) -> Finding:
        rule = self._detector.rules.compiled[order].rule
        return Finding(
            rule=rule.id,
            category=rule.category,
            severity=rule.severity,
            start=start,
            end=end,
            score=score,
            action=self._detector.treatments[order].action,
        )

    def _forget(self) -> None:
        """Lets go of what nothing can ask for any more."""
        data = self._data
        keep = min([self._scan, *(match.state.at for match in self._open.values())])
        # A lead and an edge look one character back; the second keeps the first from seeming to be the text's own.
        cut = previous_character(data, previous_character(data, keep))
        if self._detector.keeps_written and self._written_to < self._scan:
            raw = _text(data[max(self._written_to, _back(data, self._scan, self._detector.keeps_written)) : self._scan])
            self._written = (self._written + raw)[-self._detector.keeps_written :]
            self._written_to = self._scan
        if not cut:
            return
        self._base += len(_text(data[:cut]))
        self._data = data[cut:]
        self._scan -= cut
        self._written_to -= cut
        self._next = {order: at - cut for order, at in self._next.items() if at > cut}
        self._open = {
            order: replace(match, state=replace(match.state, at=match.state.at - cut))
            for order, match in self._open.items()
        }


class _Cursor:
    """The heads of one rule, in the stretches where they may begin."""

    __slots__ = ("_data", "_one", "_stretches")

    def __init__(self, one: CompiledRule, data: bytes, stretches: list[tuple[int, int]]) -> None:
        self._one = one
        self._data = data
        self._stretches = stretches[::-1]

    def push(self, queue: "list[tuple[int, int, int, _Cursor]]", at: int) -> None:
        """Puts the next head that begins at `at` or later into the queue, if there is one."""
        overlap = self._one.overlap
        while self._stretches:
            first, last = self._stretches[-1]
            at = max(at, first)
            stop = len(self._data) if overlap is None else min(len(self._data), last + overlap)
            if at < last and (found := self._one.find(self._data, at, stop)) is not None and found[0] < last:
                heapq.heappush(queue, (found[0], self._one.order, found[1], self))
                return
            self._stretches.pop()


class _Place:
    """Bytes to characters, for places that are asked for in rising order."""

    __slots__ = ("_ascii", "_byte", "_char", "_data")

    def __init__(self, data: bytes, base: int) -> None:
        self._data = data
        self._ascii = data.isascii()
        self._byte = 0
        self._char = base

    def of(self, at: int) -> int:
        """The character of the whole text that begins at this byte."""
        self._char += at - self._byte if self._ascii else len(_text(self._data[self._byte : at]))
        self._byte = at
        return self._char

    def end(self, start: int, end: int) -> int:
        """The character at which a match ends whose start was asked for last."""
        return self._char + (end - start if self._ascii else len(_text(self._data[start:end])))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _back(data: bytes, at: int, characters: int) -> int:
    """A place at least so many characters before `at`, or the beginning."""
    place = max(0, at - 4 * characters)
    while place > 0 and data[place] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8's continuation bytes
        place -= 1
    return place


def _too_long(start: int, end: int) -> Finding:
    return Finding(
        rule="value-too-long",
        category=Category.OVERFLOW,
        severity=Severity.MEDIUM,
        start=start,
        end=end,
        action=Action.FILTER,
    )
