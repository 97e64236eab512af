"""A set of rules on a text that may still grow: the algorithm of the stream.

A rule is a bounded head and an optional tail. From each head its *live* pattern is derived: all texts that more text
could still complete, or lengthen. The leftmost place from which the end of the text is live is the *hold*: heads that
begin before it are final, everything from it on is kept raw. A head that has matched decides at once; its tail is
swallowed as it comes. Nothing is ever searched for in what has been written.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from guard_integrations.core.findings import Action, Category, Finding, Severity
from guard_integrations.core.scanner.candidates import Cursor, Match, Work
from guard_integrations.core.scanner.context import ContextWords
from guard_integrations.core.scanner.detector import Edit, Step
from guard_integrations.core.scanner.engine import CompiledRule, RuleSet, Stretches
from guard_integrations.core.scanner.flood import Flood
from guard_integrations.core.scanner.rule import THRESHOLD, Rule
from guard_integrations.core.scanner.tail import TailState
from guard_integrations.core.scanner.utf8 import Place, decode, encode, is_word, previous_character
from guard_integrations.core.scanner.written import Written

__all__ = ["FLOOD_RULE", "MAX_VALUE", "RuleDetector", "Treatment"]

Hits: TypeAlias = list[Stretches]

FLOOD_RULE: Final = "too-much-to-scan"
"""The rule id of the rest of a text from the place on where there was more to look for than ordinary text ever holds."""

_WORD: Final = "".join(char for char in map(chr, range(0x530)) if char.isalnum())
"""Letters and digits of the scripts that part words by spaces; the rest of a word is cut off by them."""
CONTEXT: Final = 64
"""Characters to the left of a match in which context words count."""
MAX_VALUE: Final = 4096
"""Characters of a value that is replaced as a whole, and of one that may be on the list of allowed texts."""
MAX_MATCHES: Final = 100_000
"""A text with more matches than this is refused: so hostile text costs bounded time, and nothing of it gets through."""


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
        flood: what is done with the rest of a text that holds too much to look for; without it all is looked for. A
            session is then fed the whole text at once.
    """

    def __init__(
        self,
        rules: RuleSet,
        treatments: Mapping[str, Treatment],
        *,
        allowed: frozenset[str] = frozenset(),
        flood: Action | None = None,
    ) -> None:
        self.rules = rules
        self.flood = flood
        self.treatments = tuple(treatments[one.rule.id] for one in rules.compiled)
        self.allowed = frozenset(text.casefold() for text in allowed)
        self.keep = max(CONTEXT + 1, rules.longest_head)
        """Characters of what has been written that a session needs."""
        self.words = tuple(_words(one.rule) for one in rules.compiled)

    def start(self) -> "RuleSession":
        """A session for one text."""
        return RuleSession(self)

    def clears(self, text: str) -> bool:
        """As `Clearing.clears`."""
        return self.rules.clears(encode(text))


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
        "_data",
        "_decided",
        "_detector",
        "_fresh",
        "_matches",
        "_next",
        "_open",
        "_scan",
        "_total",
        "_window",
        "_written",
    )

    def __init__(self, detector: RuleDetector) -> None:
        self._detector = detector
        self._data = b""
        """The end of what has come in: two characters of context, and everything that is not decided yet."""
        self._total = 0
        """Characters of the text that have come in."""
        self._scan = 0
        """Heads that begin before this byte are decided."""
        self._decided = 0
        """The character of the text that begins there."""
        self._matches = 0
        self._next: dict[int, int] = {}
        """By rule, the byte before which it may not begin again."""
        self._open: dict[int, _Open] = {}
        self._fresh = -1
        """Where a replaced match has ended and what follows has not been looked at yet; -1 for nowhere."""
        self._written = Written(detector.rules, detector.keep)
        self._window = (-1, 0), b""
        """The last place that was asked about and how many edits there were, and the text before it."""

    def feed(self, text: str, *, final: bool = False) -> Step:
        """Takes the next piece of the text."""
        data = self._data = self._data + encode(text)
        self._total += len(text)
        rules = self._detector.rules
        scan = self._scan
        hold = len(data) if final else rules.hold(data, scan)
        if not self._open and hold == scan:
            return Step(self._decided)
        edits: list[Edit] = []
        findings: list[Finding] = []
        parted = bool(self._open) or self._fresh >= 0
        if self._open:
            hold = self._swallow(hold, edits, findings, final=final)
        flood = None if self._detector.flood is None else Flood(len(data))
        found: Hits = []
        if hold > scan:
            found = rules.stretches(data, scan, self._context, parted=parted, flood=flood)
        if found or self._fresh >= 0:
            place = Place(data, scan, self._decided)
            work = Work(data=data, place=place, edits=edits, findings=findings, final=final, hold=hold, flood=flood)
            self._scan = self._decide(found, work)
            self._decided = place.of(self._scan)
        elif hold > scan:
            passed = data[scan:hold]
            self._decided += len(passed) if passed.isascii() else len(decode(passed))
            self._scan = hold
        if flood is not None and flood.at is not None and self._detector.flood is not None:
            start = len(decode(data[: flood.at]))
            findings.append(_overflow(FLOOD_RULE, start, self._total, self._detector.flood))
        if self._scan > _SLACK and not final:
            self._forget()
        return Step(self._decided, tuple(edits), tuple(findings)) if edits or findings else Step(self._decided)

    def _swallow(self, hold: int, edits: list[Edit], findings: list[Finding], *, final: bool) -> int:
        """Lets the open tails take what has come.

        Returns:
            The hold, moved back to a terminator that may not be all there.
        """
        data = self._data
        for order, match in list(self._open.items()):
            tail = self._detector.rules.compiled[order].tail
            if tail is None:
                continue
            at, state = tail.swallow(data, match.state, final=final)
            end = self._total - len(decode(data[at:]))
            if match.filters:
                edits.append(Edit(start=match.covered, end=end, continues=True))
                self._end_edit(at)
            if state is not None:
                self._open[order] = replace(match, state=state, covered=end)
                hold = min(hold, at)
                continue
            del self._open[order]
            self._next[order] = at
            findings.append(self._finding(order, match.start, end, match.score))
        return hold

    def _decide(self, hits: Hits, work: Work) -> int:
        """All heads that begin before the hold, in the order in which their matches begin.

        Args:
            hits: the rules that are in the text, and where.
            work: what is being decided.

        Returns:
            How far everything is decided: the hold, or a place before it that needs more text.
        """
        self._queue(hits, work)
        self._stop_at_flood(self._scan, work)
        beside = -1
        while work.queue and work.queue[0][0] < work.hold:
            match = work.pop()
            start, order, _, _ = match
            tried = max(self._next.get(order, 0), work.tried.get(order, 0))
            if order == _FRESH:
                if start == self._written.to:
                    if not self._look_beside(start, work):
                        return work.decided(start)
                    beside = start
            elif start < tried:
                work.advance(order, tried)
            elif (judged := self._judge(match, work)) is not None:
                if not self._take(*judged, work):
                    to = work.decided(judged[0].head)
                    break
                if work.flood is not None:
                    work.flood.matches(start)
            self._stop_at_flood(start, work)
        else:
            to = work.decided(work.hold)
        if to <= beside and self._fresh < 0:
            # A head that begins there is not decided yet.
            self._fresh = beside
        return to

    @staticmethod
    def _stop_at_flood(start: int, work: Work) -> None:
        """Where there has been too much to look for, what begins from here on is not looked at."""
        if work.flood is not None and work.flood.over:
            work.flood.at = start if work.flood.at is None else min(start, work.flood.at)
            work.queue.clear()

    def _queue(self, hits: Hits, work: Work) -> None:
        """The place beside what was replaced last, and the first head of each rule."""
        if self._fresh >= 0:
            work.push(self._fresh, _FRESH, self._fresh, self._fresh)
        for one, stretches in hits:
            if one.order not in self._open:
                work.cursors[one.order] = Cursor(one, work.data, stretches, work.flood)
                work.advance(one.order, max(self._scan, self._next.get(one.order, 0)))

    def _judge(self, match: Match, work: Work) -> tuple[Match, float] | None:
        """The match as far as it stands, and its score; or another one, which is to be taken before it."""
        one = self._detector.rules.compiled[match.order]
        score = self._score(one, match.start)
        # Last, since some validators take their time.
        end = one.valid(work.data, match.start, match.end) if score >= THRESHOLD else 0
        if not end:
            work.refuse(match, cut=score >= THRESHOLD)
            return None
        if (cut := self._cut(match, work)) is not None:
            heapq.heappush(work.queue, match)
            return cut, self._score(self._detector.rules.compiled[cut.order], cut.start)
        return match._replace(end=end), score

    def _cut(self, by: Match, work: Work) -> Match | None:
        """A match that was refused for how it went on, and that stands when a label is written where `by` begins.

        Otherwise it would be found when what is written is read again.
        """
        treatment = self._detector.treatments[by.order]
        if not work.refused or treatment.action is not Action.FILTER or not treatment.label:
            return None
        label = encode(treatment.label)
        for match in sorted(one for one in work.refused if one.start < by.start < one.end):
            work.refused.remove(match)
            one = self._detector.rules.compiled[match.order]
            # A lead and an edge look one character back.
            first = previous_character(work.data, match.head)
            beside = work.data[first : by.start] + label
            found = one.find(beside, match.head - first, len(beside))
            if match.start < self._next.get(match.order, 0) or found is None or found[0] != match.head - first:
                continue
            end = one.valid(beside, match.start - first, found[1]) + first
            if match.start < end <= by.start:
                return match._replace(end=end)
        return None

    def _take(self, match: Match, score: float, work: Work) -> bool:
        """Does with a match what its rule's treatment says.

        Returns:
            False when that needs the whole value, and the value is not all there.
        """
        start, order, end, _ = match
        treatment = self._detector.treatments[order]
        tail = self._detector.rules.compiled[order].tail
        state: TailState | None = None
        if tail is not None and treatment.action is not Action.BLOCK:
            end, state = tail.swallow(work.data, TailState(0, 0, end), final=work.final)
        value: str | None = None
        if self._detector.allowed or treatment.replace is not None:
            value = _value(work.data[start:end])
            if state is not None and value is not None:
                return False
        if value is None or value.casefold() not in self._detector.allowed:
            self._matches += 1
            first, last = work.place.of(start), work.place.end(start, end)
            filters = treatment.action is Action.FILTER
            if filters:
                label = treatment.label
                if treatment.replace is not None:
                    label = self._replaced(value, treatment.replace, label, (first, last), work)
                work.edits.append(Edit(first, last, self._written.replace(work.data, start, end, label)))
                if self._end_edit(end):
                    work.push(end, _FRESH, end, end)
            if state is not None:
                self._open[order] = _Open(state=state, start=first, covered=last, score=score, filters=filters)
                # From there on may stand what ends it, which goes with it.
                work.hold = min(work.hold, end)
                return True
            work.findings.append(self._finding(order, first, last, score))
        self._next[order] = end
        if self._matches > MAX_MATCHES:
            work.findings.append(_overflow("too-many-findings", work.place.of(start), self._total, Action.BLOCK))
            work.queue.clear()
            return True
        work.advance(order, end)
        return True

    @staticmethod
    def _replaced(
        value: str | None, change: Callable[[str], str], label: str, place: tuple[int, int], work: Work
    ) -> str:
        """What is written for a value: its label, and a finding that says so, where it is too long for anything else."""
        if value is not None:
            return change(value)
        work.findings.append(_overflow("value-too-long", *place, Action.FILTER))
        return label

    def _end_edit(self, end: int) -> bool:
        """Notes where an edit has ended; says whether the text goes on there."""
        self._written.skip(end)
        if end < self._written.to:
            return False
        self._fresh = end
        return True

    def _look_beside(self, start: int, work: Work) -> bool:
        r"""Finds the heads that begin right after what was replaced.

        There the character before is now the label's last, which may be what their `\b` or `lead` asks for.

        Returns:
            False when more text could make one.
        """
        data, rules = work.data, self._detector.rules
        # Four bytes are the longest character.
        reach = start + 4 * (rules.longest_head + 1)
        near_end = not work.final and reach >= len(data)
        glued = start < len(data) and is_word(data[start - 1]) and is_word(data[start])
        if glued or (rules.has_leads and (near_end or rules.led_head_at(data, start))):
            before = self._written.last(data)
            beside = before + data[start:reach]
            if near_end and rules.hold(beside, len(before)) == len(before):
                return False
            for one, _ in rules.stretches(beside, before=lambda: self._context(start), parted=True):
                found = one.find(beside, len(before), len(beside))
                if found is not None and found[0] == len(before) and one.order not in self._open:
                    work.push_head(one, start, start + found[1] - len(before))
        self._fresh = -1
        return True

    def _context(self, start: int | None = None) -> bytes:
        """What stands, when all is written, before a place; without one, before what is not decided yet."""
        return encode(self._written.before(self._data, self._scan if start is None else start, CONTEXT))

    def _score(self, one: CompiledRule, start: int) -> float:
        """Confidence in a match, as far as its context goes."""
        words = self._detector.words[one.order]
        if words is None:
            return one.rule.score
        # Rules often ask for the same place, one after the other.
        place = start, self._written.edits
        if place != self._window[0]:
            self._window = place, encode(_window(self._written.before(self._data, start, CONTEXT + 1)))
        return words.score(one.rule.score, self._window[1])

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
        keep = self._scan
        for match in self._open.values():
            keep = min(keep, match.state.at)
        # A lead and an edge look one character back; the second keeps the first from seeming to be the text's own.
        cut = previous_character(data, previous_character(data, keep))
        self._written.forget(data, cut, self._scan)
        self._data = data[cut:]
        self._scan -= cut
        self._fresh = max(-1, self._fresh - cut)
        self._next = {order: at - cut for order, at in self._next.items() if at > cut}
        self._open = {
            order: replace(match, state=replace(match.state, at=match.state.at - cut))
            for order, match in self._open.items()
        }


_SLACK: Final = 2048
"""Bytes of decided text that a session may hold before it lets go of them."""
_FRESH: Final = -1
"""Stands for no rule: the place after a replaced match is looked at before the heads that begin there."""


def _words(rule: Rule) -> ContextWords | None:
    if rule.context is None:
        return None
    return ContextWords(rule.context, in_sentence=rule.category is Category.INJECTION)


def _window(before: str) -> str:
    """The characters in which context words count, without the end of a word that begins before them."""
    window = before[-CONTEXT:]
    if len(before) == len(window) or not (before[-CONTEXT - 1].isalnum() or before[-CONTEXT - 1] == "["):
        return window
    return window.lstrip(_WORD)


def _value(data: bytes) -> str | None:
    """A value, unless it is too long to be treated as one."""
    text = decode(data) if len(data) <= 4 * MAX_VALUE else ""
    return text if text and len(text) <= MAX_VALUE else None


def _overflow(rule: str, start: int, end: int, action: Action) -> Finding:
    return Finding(rule=rule, category=Category.OVERFLOW, severity=Severity.MEDIUM, start=start, end=end, action=action)
