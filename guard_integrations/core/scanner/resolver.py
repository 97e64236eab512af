"""Which of the heads that match are findings, and what is written for them: decided in the order of the text."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from guard_integrations.core.findings import Action
from guard_integrations.core.scanner.candidates import Cursor, Match, Work
from guard_integrations.core.scanner.context import CONTEXT, context_window
from guard_integrations.core.scanner.detector import Edit
from guard_integrations.core.scanner.engine import CompiledRule, Stretches
from guard_integrations.core.scanner.overflow import MATCHES_RULE, VALUE_RULE, overflow
from guard_integrations.core.scanner.rule import THRESHOLD
from guard_integrations.core.scanner.tail import TailState
from guard_integrations.core.scanner.treatment import TreatedRules, whole_value
from guard_integrations.core.scanner.utf8 import decode, encode, is_word, previous_character
from guard_integrations.core.scanner.written import Written

__all__ = ["MatchResolver"]

MAX_MATCHES: Final = 100_000
"""A text with more matches than this is refused: so hostile text costs bounded time, and nothing of it gets through."""
_FRESH: Final = -1
"""Stands for no rule: the place after a replaced match is looked at before the heads that begin there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """A match whose tail still swallows."""

    state: TailState
    start: int
    covered: int
    score: float
    filters: bool


class MatchResolver:
    """The matches of one text, as far as it has come; bytes are those of the data that the session still holds.

    Args:
        treated: the rules, and what is done with their matches.
    """

    __slots__ = ("_matches", "_next", "_open", "_treated", "_window", "_written", "fresh")

    def __init__(self, treated: TreatedRules) -> None:
        self._treated = treated
        self._matches = 0
        self._next: dict[int, int] = {}
        """By rule, the byte before which it may not begin again."""
        self._open: dict[int, _Open] = {}
        self.fresh = -1
        """Where a replaced match has ended and what follows has not been looked at yet; -1 for nowhere."""
        self._written = Written(treated.rules, treated.keep)
        self._window = (-1, 0), b""
        """The last place that was asked about and how many edits there were, and the text before it."""

    @property
    def swallows(self) -> bool:
        """Whether a match goes on with what comes next."""
        return bool(self._open)

    def swallow(self, work: Work) -> None:
        """Lets the open tails take what has come, and moves the hold back to a terminator that may not be all there."""
        data = work.data
        for order, match in list(self._open.items()):
            tail = self._treated.rules.compiled[order].tail
            if tail is None:
                continue
            at, state = tail.swallow(data, match.state, final=work.final)
            end = work.total - len(decode(data[at:]))
            if match.filters:
                work.edits.append(Edit(start=match.covered, end=end, continues=True))
                self._end_edit(at)
            if state is not None:
                self._open[order] = replace(match, state=state, covered=end)
                work.hold = min(work.hold, at)
                continue
            del self._open[order]
            self._next[order] = at
            work.findings.append(self._treated.finding(order, match.start, end, match.score))

    def decide(self, hits: list[Stretches], work: Work) -> int:
        """All heads that begin before the hold, in the order in which their matches begin.

        Args:
            hits: the rules that are in the text, and where.
            work: what is being decided.

        Returns:
            How far everything is decided: the hold, or a place before it that needs more text.
        """
        self._queue(hits, work)
        self._stop_at_flood(work.scan, work)
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
        if to <= beside and self.fresh < 0:
            # A head that begins there is not decided yet.
            self.fresh = beside
        return to

    @staticmethod
    def _stop_at_flood(start: int, work: Work) -> None:
        """Where there has been too much to look for, what begins from here on is not looked at."""
        if work.flood is not None and work.flood.over:
            work.flood.at = start if work.flood.at is None else min(start, work.flood.at)
            work.queue.clear()

    def _queue(self, hits: list[Stretches], work: Work) -> None:
        """The place beside what was replaced last, and the first head of each rule."""
        if self.fresh >= 0:
            work.push(self.fresh, _FRESH, self.fresh, self.fresh)
        for one, stretches in hits:
            if one.order not in self._open:
                work.cursors[one.order] = Cursor(one, work.data, stretches, work.flood)
                work.advance(one.order, max(work.scan, self._next.get(one.order, 0)))

    def _judge(self, match: Match, work: Work) -> tuple[Match, float] | None:
        """The match as far as it stands, and its score; or another one, which is to be taken before it."""
        one = self._treated.rules.compiled[match.order]
        score = self._score(one, match.start, work.data)
        # Last, since some validators take their time.
        end = one.valid(work.data, match.start, match.end) if score >= THRESHOLD else 0
        if not end:
            work.refuse(match, cut=score >= THRESHOLD)
            return None
        if (cut := self._cut(match, work)) is not None:
            heapq.heappush(work.queue, match)
            return cut, self._score(self._treated.rules.compiled[cut.order], cut.start, work.data)
        return match._replace(end=end), score

    def _cut(self, by: Match, work: Work) -> Match | None:
        """A match that was refused for how it went on, and that stands when a label is written where `by` begins.

        Otherwise it would be found when what is written is read again.
        """
        treatment = self._treated.treatments[by.order]
        if not work.refused or treatment.action is not Action.FILTER or not treatment.label:
            return None
        label = encode(treatment.label)
        for match in sorted(one for one in work.refused if one.start < by.start < one.end):
            work.refused.remove(match)
            one = self._treated.rules.compiled[match.order]
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
        treatment = self._treated.treatments[order]
        tail = self._treated.rules.compiled[order].tail
        state: TailState | None = None
        if tail is not None and treatment.action is not Action.BLOCK:
            end, state = tail.swallow(work.data, TailState(0, 0, end), final=work.final)
        value: str | None = None
        if self._treated.allowed or treatment.replace is not None:
            value = whole_value(work.data[start:end])
            if state is not None and value is not None:
                return False
        if value is None or value.casefold() not in self._treated.allowed:
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
            work.findings.append(self._treated.finding(order, first, last, score))
        self._next[order] = end
        if self._matches > MAX_MATCHES:
            work.findings.append(overflow(MATCHES_RULE, work.place.of(start), work.total, Action.BLOCK))
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
        work.findings.append(overflow(VALUE_RULE, *place, Action.FILTER))
        return label

    def _end_edit(self, end: int) -> bool:
        """Notes where an edit has ended; says whether the text goes on there."""
        self._written.skip(end)
        if end < self._written.to:
            return False
        self.fresh = end
        return True

    def _look_beside(self, start: int, work: Work) -> bool:
        r"""Finds the heads that begin right after what was replaced.

        There the character before is now the label's last, which may be what their `\b` or `lead` asks for.

        Returns:
            False when more text could make one.
        """
        data, rules = work.data, self._treated.rules
        # Four bytes are the longest character.
        reach = start + 4 * (rules.longest_head + 1)
        near_end = not work.final and reach >= len(data)
        glued = start < len(data) and is_word(data[start - 1]) and is_word(data[start])
        if glued or (rules.has_leads and (near_end or rules.led_head_at(data, start))):
            before = self._written.last(data)
            beside = before + data[start:reach]
            if near_end and rules.hold(beside, len(before)) == len(before):
                return False
            for one, _ in rules.stretches(beside, before=lambda: self.context(data, start), parted=True):
                found = one.find(beside, len(before), len(beside))
                if found is not None and found[0] == len(before) and one.order not in self._open:
                    work.push_head(one, start, start + found[1] - len(before))
        self.fresh = -1
        return True

    def context(self, data: bytes, start: int) -> bytes:
        """What stands, when all is written, before a place."""
        return encode(self._written.before(data, start, CONTEXT))

    def _score(self, one: CompiledRule, start: int, data: bytes) -> float:
        """Confidence in a match, as far as its context goes."""
        words = self._treated.words[one.order]
        if words is None:
            return one.rule.score
        # Rules often ask for the same place, one after the other.
        place = start, self._written.edits
        if place != self._window[0]:
            self._window = place, encode(context_window(self._written.before(data, start, CONTEXT + 1)))
        return words.score(one.rule.score, self._window[1])

    def forget(self, data: bytes, scan: int) -> int:
        """Lets go of what nothing can ask for any more.

        Args:
            data: what the session holds.
            scan: how far everything is decided.

        Returns:
            The first bytes of the data that go.
        """
        keep = min([scan, *(match.state.at for match in self._open.values())])
        # A lead and an edge look one character back; the second keeps the first from seeming to be the text's own.
        cut = previous_character(data, previous_character(data, keep))
        self._written.forget(data, cut, scan)
        self.fresh = max(-1, self.fresh - cut)
        self._next = {order: at - cut for order, at in self._next.items() if at > cut}
        self._open = {
            order: replace(match, state=replace(match.state, at=match.state.at - cut))
            for order, match in self._open.items()
        }
        return cut
