"""The tail of a rule: what a match goes on with, swallowed as it comes."""

from dataclasses import dataclass
from typing import Final

from guard_integrations.core.scanner.linear import Search, compile_pattern
from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.rule import Rule, Run
from guard_integrations.core.scanner.utf8 import decode, encode

__all__ = ["CompiledTail", "TailState"]

_WIDEST: Final = 4
"""Bytes of the longest character."""


@dataclass(frozen=True, slots=True)
class TailState:
    """Where a tail stands: its phase, the characters that phase has taken, and the byte to go on from."""

    phase: int
    taken: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunPhase:
    match: Search
    most: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _UntilPhase:
    search: Search
    live: Search | None


class CompiledTail:
    """The phases of a rule's tail."""

    __slots__ = ("_phases",)

    def __init__(self, rule: Rule) -> None:
        self._phases: list[_RunPhase | _UntilPhase] = []
        for phase in rule.tail:
            if isinstance(phase, Run):
                member = Pattern.parse(phase.run, ignore_case=rule.ignore_case).re2
                self._phases.append(_RunPhase(match=compile_pattern(f"{member}*").match, most=phase.most))
            else:
                end = Pattern.parse(phase.until, ignore_case=rule.ignore_case)
                live = compile_pattern(rf"{end.live}\z").search if end.live else None
                self._phases.append(_UntilPhase(search=compile_pattern(end.re2).search, live=live))

    def swallow(self, data: bytes, state: TailState, *, final: bool) -> tuple[int, TailState | None]:
        """Goes on swallowing.

        Returns:
            Where the tail ends and None; or how far it is sure to reach and where to go on when there is more text.
        """
        number, taken, at = state.phase, state.taken, state.at
        stop = len(data)
        while number < len(self._phases):
            phase = self._phases[number]
            if isinstance(phase, _RunPhase):
                end, more = self._run(phase, data, at, taken)
                if end == stop and more and not final:
                    count = 0 if phase.most is None else taken + len(decode(data[at:end]))
                    return end, TailState(number, count, end)
                at = end
            else:
                found = phase.search(data, at, stop)
                open_at = None if final or phase.live is None else phase.live(data, at, stop)
                if open_at is not None and (found is None or open_at[0] <= found[0]):
                    return stop if found is None else found[0], TailState(number, 0, open_at[0])
                if found is None:
                    return stop, None if final else TailState(number, 0, stop)
                at = found[1]
            number, taken = number + 1, 0
        return at, None

    @staticmethod
    def _run(phase: _RunPhase, data: bytes, at: int, taken: int) -> tuple[int, bool]:
        """Where the run ends in what is there, and whether it could take more."""
        if phase.most is None:
            found = phase.match(data, at, len(data))
            return at if found is None else found[1], True
        room = phase.most - taken
        found = phase.match(data, at, min(len(data), at + _WIDEST * room))
        run = "" if found is None else decode(data[at : found[1]])
        return at + len(encode(run[:room])), len(run) < room
