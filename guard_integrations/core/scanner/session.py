"""A set of rules on a text that may still grow: the algorithm of the stream.

A rule is a bounded head and an optional tail. From each head its *live* pattern is derived: all texts that more text
could still complete, or lengthen. The leftmost place from which the end of the text is live is the *hold*: heads that
begin before it are final, everything from it on is kept raw. A head that has matched decides at once; its tail is
swallowed as it comes. Nothing is ever searched for in what has been written.
"""

from collections.abc import Mapping
from typing import Final

from guard_integrations.core.findings import Action
from guard_integrations.core.scanner.candidates import Work
from guard_integrations.core.scanner.detector import Step
from guard_integrations.core.scanner.engine import RuleSet, Stretches
from guard_integrations.core.scanner.flood import Flood
from guard_integrations.core.scanner.overflow import FLOOD_RULE, overflow
from guard_integrations.core.scanner.resolver import MatchResolver
from guard_integrations.core.scanner.treatment import TreatedRules, Treatment
from guard_integrations.core.scanner.utf8 import Place, decode, encode

__all__ = ["RuleDetector"]

_SLACK: Final = 2048
"""Bytes of decided text that a session may hold before it lets go of them."""


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
        self._treated = TreatedRules(rules, treatments, allowed)
        self._flood = flood

    def start(self) -> "RuleSession":
        """A session for one text."""
        return RuleSession(self._treated, self._flood)

    def clears(self, text: str) -> bool:
        """As `Clearing.clears`."""
        return self._treated.rules.clears(encode(text))


class RuleSession:
    """One text on its way through a set of rules.

    Args:
        treated: the rules, and what is done with their matches.
        flood: as for `RuleDetector`.
    """

    __slots__ = ("_data", "_decided", "_flood", "_resolver", "_rules", "_scan", "_total")

    def __init__(self, treated: TreatedRules, flood: Action | None) -> None:
        self._rules = treated.rules
        self._resolver = MatchResolver(treated)
        self._flood = flood
        self._data = b""
        """The end of what has come in: two characters of context, and everything that is not decided yet."""
        self._total = 0
        """Characters of the text that have come in."""
        self._scan = 0
        """Heads that begin before this byte are decided."""
        self._decided = 0
        """The character of the text that begins there."""

    def feed(self, text: str, *, final: bool = False) -> Step:
        """Takes the next piece of the text."""
        data = self._data = self._data + encode(text)
        self._total += len(text)
        resolver, rules, scan = self._resolver, self._rules, self._scan
        hold = len(data) if final else rules.hold(data, scan)
        swallows = resolver.swallows
        if not swallows and hold == scan:
            return Step(self._decided)
        flood = None if self._flood is None else Flood(len(data))
        parted = swallows or resolver.fresh >= 0
        work: Work | None = None
        if swallows:
            work = self._work(hold, flood, final=final)
            resolver.swallow(work)
            hold = work.hold
        found: list[Stretches] = []
        if hold > scan:
            found = rules.stretches(data, scan, lambda: resolver.context(data, scan), parted=parted, flood=flood)
        if found or resolver.fresh >= 0:
            work = work or self._work(hold, flood, final=final)
            self._scan = resolver.decide(found, work)
            self._decided = work.place.of(self._scan)
        elif hold > scan:
            passed = data[scan:hold]
            self._decided += len(passed) if passed.isascii() else len(decode(passed))
            self._scan = hold
        edits, findings = ((), ()) if work is None else (tuple(work.edits), tuple(work.findings))
        if flood is not None and flood.at is not None and self._flood is not None:
            findings = *findings, overflow(FLOOD_RULE, len(decode(data[: flood.at])), self._total, self._flood)
        if self._scan > _SLACK and not final:
            cut = resolver.forget(data, self._scan)
            self._data = data[cut:]
            self._scan -= cut
        return Step(self._decided, edits, findings)

    def _work(self, hold: int, flood: Flood | None, *, final: bool) -> Work:
        """What there is to decide now."""
        data, scan = self._data, self._scan
        place = Place(data, scan, self._decided)
        return Work(data=data, scan=scan, total=self._total, place=place, final=final, hold=hold, flood=flood)
