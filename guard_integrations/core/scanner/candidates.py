"""The heads of rules, in the order in which they are decided."""

import heapq
from dataclasses import dataclass, field

from guard_integrations.core.findings import Finding
from guard_integrations.core.scanner.detector import Edit
from guard_integrations.core.scanner.engine import CompiledRule
from guard_integrations.core.scanner.utf8 import Place

__all__ = ["Cursor", "Work"]


@dataclass(slots=True, kw_only=True)
class Work:
    """What is being decided."""

    data: bytes
    place: Place
    edits: list[Edit]
    findings: list[Finding]
    final: bool
    hold: int
    """The place from which on more text may change things."""
    queue: list[tuple[int, int, int, int]] = field(default_factory=list)
    cursors: dict[int, "Cursor"] = field(default_factory=dict)

    def push(self, start: int, order: int, end: int, head: int) -> None:
        """Queues a match of the rule with this order, and where its head begins; or a place, for no rule."""
        heapq.heappush(self.queue, (start, order, end, head))

    def push_head(self, one: CompiledRule, start: int, end: int) -> None:
        """Queues a head where its match begins. When that is not decided yet, neither is the head."""
        begins = one.begins(self.data, start, end)
        if start < self.hold <= begins:
            self.hold = start
        self.push(begins, one.order, end, start)

    def advance(self, order: int, at: int) -> None:
        """Queues a rule's next head that begins at `at` or later."""
        cursor = self.cursors.get(order)
        found = None if cursor is None else cursor.next(at)
        if cursor is not None and found is not None:
            self.push_head(cursor.one, *found)


class Cursor:
    """The heads of one rule, in the stretches where they may begin.

    Args:
        one: the rule.
        data: the text.
        stretches: where the heads may begin, in order.
    """

    __slots__ = ("_data", "_stretches", "one")

    def __init__(self, one: CompiledRule, data: bytes, stretches: list[tuple[int, int]]) -> None:
        self.one = one
        self._data = data
        self._stretches = stretches[::-1]

    def next(self, at: int) -> tuple[int, int] | None:
        """The next head that begins at `at` or later."""
        overlap = self.one.overlap
        while self._stretches:
            first, last = self._stretches[-1]
            at = max(at, first)
            stop = len(self._data) if overlap is None else min(len(self._data), last + overlap)
            if at < last and (found := self.one.find(self._data, at, stop)) is not None and found[0] < last:
                return found
            self._stretches.pop()
        return None
