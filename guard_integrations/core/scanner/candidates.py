"""The heads of rules, in the order in which they are decided."""

import heapq
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from guard_integrations.core.findings import Finding
from guard_integrations.core.scanner.detector import Edit
from guard_integrations.core.scanner.engine import CompiledRule
from guard_integrations.core.scanner.flood import Flood
from guard_integrations.core.scanner.utf8 import Place

__all__ = ["Cursor", "Match", "Work"]

_MANY: Final = 64
"""Refused matches after which those are let go of that have ended."""


class Match(NamedTuple):
    """A head that matches, in bytes; or a place, for no rule. They are decided in their order.

    Args:
        start: where the match begins: after what its rule keeps.
        order: the rule's place among the rules of its set.
        end: where the head ends.
        head: where the head begins.
    """

    start: int
    order: int
    end: int
    head: int


@dataclass(slots=True, kw_only=True)
class Work:
    """What is being decided."""

    data: bytes
    scan: int
    """Heads that begin before this byte are decided."""
    total: int
    """Characters of the text that have come in."""
    place: Place
    final: bool
    hold: int
    """The place from which on more text may change things."""
    edits: list[Edit] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    queue: list[Match] = field(default_factory=list)
    cursors: dict[int, "Cursor"] = field(default_factory=dict)
    refused: list[Match] = field(default_factory=list)
    """Matches that their validators do not let stand. What is replaced inside one cuts it short: then it may."""
    waiting: dict[int, int] = field(default_factory=dict)
    """By rule, where the match begins that its cursor has found last and that is still in the queue."""
    flood: Flood | None = None
    tried: dict[int, int] = field(default_factory=dict)
    """By rule, the byte before which all its heads have been refused."""

    def push(self, start: int, order: int, end: int, head: int) -> None:
        """Queues a match, or a place."""
        heapq.heappush(self.queue, Match(start, order, end, head))

    def pop(self) -> Match:
        """Takes the first match, or place, from the queue."""
        match = heapq.heappop(self.queue)
        if self.waiting.get(match.order) == match.start:
            del self.waiting[match.order]
        return match

    def push_head(self, one: CompiledRule, start: int, end: int) -> int:
        """Queues a head where its match begins, and says where. When that is not decided yet, neither is the head."""
        begins = one.begins(self.data, start, end)
        if start < self.hold <= begins:
            self.hold = start
        self.push(begins, one.order, end, start)
        return begins

    def refuse(self, match: Match, *, cut: bool) -> None:
        """Notes that a match does not stand as it is, and goes on behind its first byte.

        Args:
            match: the match.
            cut: whether it may stand when it is cut short.
        """
        if len(self.refused) > _MANY:
            self.refused = [one for one in self.refused if one.end > match.start]
        if cut:
            self.refused.append(match)
        self.tried[match.order] = match.start + 1
        self.advance(match.order, match.start + 1)

    def decided(self, to: int) -> int:
        """How far all is decided when the matches up to a place are.

        Not a head that may yet be cut short there, nor one whose match begins, after what it keeps, later.
        """
        return min([to, *(one.head for one in self.refused if one.end > to), *(one.head for one in self.queue)])

    def advance(self, order: int, at: int) -> None:
        """Queues a rule's next head that begins at `at` or later, unless it has one in the queue.

        There may be others, which were found beside a label: were each to bring the next one, they would grow in number.
        """
        cursor = None if order in self.waiting else self.cursors.get(order)
        found = None if cursor is None else cursor.next(at)
        if cursor is not None and found is not None:
            self.waiting[order] = self.push_head(cursor.one, *found)


class Cursor:
    """The heads of one rule, in the stretches where they may begin.

    Args:
        one: the rule.
        data: the text.
        stretches: where the heads may begin, in order.
        flood: bounds what is tried.
    """

    __slots__ = ("_data", "_flood", "_stretches", "one")

    def __init__(
        self, one: CompiledRule, data: bytes, stretches: list[tuple[int, int]], flood: Flood | None = None
    ) -> None:
        self.one = one
        self._data = data
        self._flood = flood
        self._stretches = stretches[::-1]

    def next(self, at: int) -> tuple[int, int] | None:
        """The next head that begins at `at` or later."""
        overlap = self.one.overlap
        while self._stretches:
            first, last = self._stretches[-1]
            at = max(at, first)
            stop = len(self._data) if overlap is None else min(len(self._data), last + overlap)
            found = self.one.find(self._data, at, stop, self._flood) if at < last else None
            if found is not None and found[0] < last:
                return found
            if self._flood is not None and self._flood.over:
                return None
            self._stretches.pop()
        return None
