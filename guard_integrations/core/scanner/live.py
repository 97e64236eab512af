r"""Where the end of a text is *live*: the beginning of a match that more text could still complete, or lengthen.

One pattern for all such beginnings, with `\z` at its end, would be read from the end of the text backwards, and there
almost every character is the middle of something: each new text would make states of thousands of parts. So what a
match begins with is looked for first, forwards, as many characters of it as are rare in prose; only what follows such a
beginning is compared with the whole. Read backwards are the beginnings alone, which are short.
"""

from collections.abc import Iterable
from typing import Final

from guard_integrations.core.scanner.linear import SET_MEMORY, Compiled, compile_pattern
from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.rarity import likely
from guard_integrations.core.scanner.rule import Rule
from guard_integrations.core.scanner.utf8 import character_length, previous_character

__all__ = ["Live"]

_DEPTHS: Final = (2, 3, 4, 5, 6, 8, 12, 16)
"""How many characters of a match may count as its beginning."""
_SHORT: Final = 6
_RARE: Final = 1e-4
_MOST: Final = 3000
_ANY: Final = "(?s:.)"


class Live:
    """The live ends of a set of rules.

    Args:
        rules: the rules.
    """

    __slots__ = ("_beginnings", "_ends", "_whole")

    def __init__(self, rules: Iterable[Rule]) -> None:
        wholes: list[str] = []
        beginnings: dict[str, list[str]] = {}
        ends: dict[bool, dict[str, list[str]]] = {}
        for rule in rules:
            head = rule.head
            if head.live is None:
                continue
            depth, beginning = _beginning(head)
            lead = _ANY if rule.lead is None else Pattern.parse(rule.lead, ignore_case=rule.ignore_case).re2
            wholes.append(head.live)
            beginnings.setdefault(lead, []).append(beginning.re2)
            # Words and bare keys are apart from names: together their states would multiply.
            ends.setdefault(depth <= _SHORT, {}).setdefault(lead, []).append(beginning.prefixes)
        self._whole = _compile(rf"(?:{'|'.join(wholes)})\z").match if wholes else None
        self._beginnings = _compile(_led(beginnings)).search
        self._ends = tuple(_compile(rf"(?:{_led(sources)})\z").search for sources in ends.values())

    def hold(self, data: bytes, at: int) -> int:
        """The first byte from `at` on where what stands there is live."""
        stop = len(data)
        if self._whole is None:
            return stop
        if at == 0 and self._whole(data, 0, stop) is not None:
            return 0
        before = previous_character(data, at)
        hold = stop
        for end in self._ends:
            if (found := end(data, before, stop)) is not None and found[0] < hold:
                hold = min(hold, found[0] + character_length(data[found[0]]))
        while before < hold and (found := self._beginnings(data, before, stop)) is not None:
            before = found[0] + character_length(data[found[0]])
            if before < hold and self._whole(data, before, stop) is not None:
                return before
        return hold


def _beginning(head: Pattern) -> tuple[int, Pattern]:
    """As many characters of a head as make it rare, unless they would take too long to write down."""
    depth, beginning = _DEPTHS[0], head.beginning(_DEPTHS[0])
    for deeper in _DEPTHS[1:]:
        if likely(beginning.root) < _RARE:
            break
        longer = head.beginning(deeper)
        if len(longer.re2) > _MOST:
            break
        depth, beginning = deeper, longer
    return depth, beginning


def _led(by_lead: dict[str, list[str]]) -> str:
    return "|".join(f"{lead}(?:{'|'.join(sources)})" for lead, sources in by_lead.items())


def _compile(source: str) -> Compiled:
    return compile_pattern(source, SET_MEMORY)
