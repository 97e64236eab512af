"""Rules compiled to the engine: which of them a text holds, where, and what of it is still undecided.

Offsets in here are bytes of UTF-8.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from guard_integrations.core.findings import Category
from guard_integrations.core.scanner.flood import Flood
from guard_integrations.core.scanner.linear import SET_MEMORY, Search, compile_pattern, compile_set
from guard_integrations.core.scanner.live import Live
from guard_integrations.core.scanner.loose import loosened
from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.prefilter import Kind
from guard_integrations.core.scanner.prefilter import signs as signs_of
from guard_integrations.core.scanner.rule import Rule
from guard_integrations.core.scanner.tail import CompiledTail
from guard_integrations.core.scanner.utf8 import character_length, decode, encode, previous_character
from guard_integrations.core.scanner.validators import VALIDATORS
from guard_integrations.core.scanner.waiting import Waiting

__all__ = ["CompiledRule", "RuleSet", "Stretches"]

_WINDOW: Final = 8192
"""Bytes of a long text that are looked at together once a set has hit in it."""
_LOOK_BACK: Final = 8
"""Bytes before a window that a lead or an edge may need."""
_NO_RULES: Final = ()
_WIDEST: Final = 4
"""Bytes of the longest character."""


class CompiledRule:
    """One rule, ready to be located.

    Args:
        rule: the rule.
        order: its place among the rules of its set; the lower one's label wins where two begin together.
    """

    __slots__ = ("_compiled", "_keep", "_loose", "_validator", "order", "overlap", "rule", "tail")

    def __init__(self, rule: Rule, order: int) -> None:
        self.rule = rule
        self.order = order
        self._compiled: tuple[Search, Search] | None = None
        self._loose: Search | None = None
        widest = rule.head.width[1]
        self.overlap: int | None = None if rule.through or widest is None else (widest + 1) * _WIDEST
        self.tail = CompiledTail(rule) if rule.tail else None
        self._validator = VALIDATORS[rule.validator] if rule.validator else None
        self._keep: Search | None = None

    def begins(self, data: bytes, start: int, end: int) -> int:
        """Where the match of a head begins: after what the rule keeps."""
        if self.rule.keep is None:
            return start
        if self._keep is None:
            self._keep = compile_pattern(Pattern.parse(self.rule.keep, ignore_case=self.rule.ignore_case).re2).match
        kept = self._keep(data, start, end)
        return start if kept is None or kept[1] == end else kept[1]

    def valid(self, data: bytes, start: int, end: int) -> int:
        """Where the match ends, as far as the rule's validator lets it stand; 0 where it refuses it."""
        if self._validator is None:
            return end
        value = decode(data[start:end])
        count = self._validator(value)
        if count is True or count == len(value):
            return end
        return start + len(encode(value[:count])) if count else 0

    def find(self, data: bytes, at: int, stop: int, flood: Flood | None = None) -> tuple[int, int] | None:
        """The next head that begins at `at` or later and ends by `stop`; 0 is the beginning of the text itself.

        Args:
            data: the text.
            at: the first byte at which it may begin.
            stop: one past the last byte in which it may end.
            flood: bounds what is tried; None is said, too, where that is too much.
        """
        if self._compiled is None:
            self._compiled = self._compile()
        begins, search = self._compiled
        if self.rule.lead is not None and at == 0 and (found := begins(data, 0, stop)) is not None:
            return found
        if self._loose is not None:
            return self._find_loose(self._loose, begins, data, at, stop, flood)
        if self.rule.lead is None:
            return search(data, at, stop)
        found = search(data, previous_character(data, at), stop)
        return None if found is None else (found[0] + character_length(data[found[0]]), found[1])

    def _find_loose(  # noqa: PLR0913, PLR0917 - as `find`, which is called for every match
        self, loose: Search, begins: Search, data: bytes, at: int, stop: int, flood: Flood | None
    ) -> tuple[int, int] | None:
        """The first place at which what is found loosely is a match."""
        led = self.rule.lead is not None
        cost = self.overlap or 0
        while at < stop:
            # No head is wider than a window. What is looked for further than that would be so again and again.
            further = at + _WINDOW
            found = loose(data, previous_character(data, at) if led else at, min(stop, further + _WINDOW))
            if found is None or (found[0] >= further and further + _WINDOW < stop):
                at = further
                continue
            head = found[0] + character_length(data[found[0]]) if led else found[0]
            if flood is not None and not flood.tries(found[1] - head, cost):
                return None
            if (exact := begins(data, head, stop)) is not None:
                return exact
            at = head + character_length(data[head])
        return None

    def _compile(self) -> tuple[Search, Search]:
        """Only when it is first looked for: a set says which rules a text holds, and most never are on their own.

        Returns:
            What looks for the head at a place, and what looks for it, after its lead, anywhere.
        """
        lead, source = _lead(self.rule), _head(self.rule)
        compiled = compile_pattern(source)
        narrow = self.overlap is not None and self.overlap < _WINDOW
        loose = loosened(self.rule.head) if narrow and self.rule.category is Category.INJECTION else None
        if loose is not None:
            self._loose = compile_pattern(f"(?U){lead}{loose}", longest=False).search
        return compiled.match, compile_pattern(lead + source).search if lead and loose is None else compiled.search


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Rules that are searched for in one pass."""

    members: tuple[CompiledRule, ...]
    match: Callable[[bytes], list[int]]
    overlap: int
    foreign: bool = False
    """Whether none of them matches in a text of ASCII alone."""

    def hits(self, data: bytes) -> Sequence[CompiledRule]:
        """The rules that may match: no other one does."""
        if self.foreign and data.isascii():
            return _NO_RULES
        found = self.match(data)
        return [self.members[index] for index in found] if found else _NO_RULES


Stretches: TypeAlias = tuple[CompiledRule, list[tuple[int, int]]]
"""A rule, and where its heads may begin."""


class RuleSet:
    """Rules compiled once. Immutable, and safe to use from any number of threads.

    Args:
        rules: in the order of their precedence.
    """

    __slots__ = (
        "_by_lines",
        "_ends",
        "_groups",
        "_led",
        "_live",
        "_waiting",
        "_waits",
        "compiled",
        "has_leads",
        "longest_head",
    )

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.compiled = tuple(CompiledRule(rule, order) for order, rule in enumerate(rules))
        self.longest_head = max((one.rule.head.width[1] or 0 for one in self.compiled), default=0)
        self._groups = list(_groups([one for one in self.compiled if not one.rule.waits]))
        self._waiting = [one for one in self.compiled if one.rule.waits]
        labels = {one.rule.label for one in self.compiled}
        self._waits = Waiting((one.rule for one in self._waiting), labels)
        self.has_leads = any(one.rule.lead for one in self.compiled)
        self._by_lines: bool | None = None
        self._live: Live | None = None
        self._ends: list[Search] | None = None
        self._led: Search | None = None

    def hold(self, data: bytes, at: int) -> int:
        """The first byte from `at` on at which a head may have begun that more text could complete or lengthen."""
        if self._live is None:
            # Only a stream asks, and what is made here takes far longer than the rest.
            self._live = Live(one.rule for one in self.compiled)
        return self._live.hold(data, at)

    def ends_with_match(self, data: bytes, *, waiting: bool = True) -> bool:
        """Whether a head would match at the very end, if that were the end of the text.

        Args:
            data: the text.
            waiting: whether the heads of rules count that are no match without a word of context.
        """
        if self._ends is None:
            # Seldom needed. Two threads at once make the same list.
            heads = [rf"{_leading(one.rule)}{_head(one.rule)}\z" for one in self.compiled]
            self._ends = [compile_pattern(head).search for head in heads]
        return any(
            _ends(one, search, data)
            for one, search in zip(self.compiled, self._ends, strict=True)
            if waiting or not one.rule.waits
        )

    def led_head_at(self, data: bytes, at: int) -> bool:
        """Whether the head of a rule with a lead begins at `at`, whatever stands before it."""
        if self._led is None:
            heads = "|".join(_head(one.rule) for one in self.compiled if one.rule.lead)
            self._led = compile_pattern(f"(?:{heads})", SET_MEMORY).match
        return self._led(data, at, len(data)) is not None

    def stretches(
        self,
        data: bytes,
        at: int = 0,
        before: Callable[[], bytes] = bytes,
        *,
        parted: bool = False,
        flood: Flood | None = None,
    ) -> list[Stretches]:
        """The rules whose heads may be in the text, each with the stretches from `at` on in which they may begin.

        Args:
            data: the text.
            at: where what is not decided yet begins.
            before: the context that stands before it when all is written.
            parted: whether something has been replaced there, or goes on being.
            flood: bounds what is looked for; the stretches end where it rises.
        """
        stop = len(data)
        # Two characters before `at`, for leads and edges.
        view = data[previous_character(data, previous_character(data, at)) :] if at else data
        found: dict[int, Stretches] = {}
        hit: list[_Group] = []
        for group in self._groups:
            if hits := group.hits(view):
                hit.append(group)
                found.update((one.order, (one, [(at, stop)])) for one in hits)
        # To look for one rule takes no longer than a pass of its group, which only says where to look.
        if stop - at >= 2 * _WINDOW and len(found) > len(hit):
            found = {order: known for order, known in found.items() if known[0].overlap is None}
            self._windows(hit, data, at, found, flood)
        elif flood is not None and found and not flood.looks(len(found), stop - at, stop - at):
            flood.at = at
            return []
        for index in self._waits.hits(data, at, before, parted=parted or bool(found)):
            waiting = self._waiting[index]
            found[waiting.order] = waiting, [(at, stop)]
        return list(found.values())

    def clears(self, data: bytes) -> bool:
        r"""Whether it is certain that no head is in the text, nor in any stretch of it between line breaks taken alone.

        Where a text begins or ends a line may as well, for every part of a pattern but `\A` and leads that take no
        line break; a set that has one of those clears nothing.
        """
        if self._by_lines is None:
            self._by_lines = all(map(_takes_lines, self.compiled))
        # A rule may be there by its signs alone.
        if not self._by_lines:
            return False
        flood = Flood(len(data))
        places = [(one, start) for one, found in self.stretches(data, flood=flood) for start, _ in found]
        clear = flood.at is None and all(one.find(data, start, len(data), flood) is None for one, start in places)
        return clear and not flood.over

    @staticmethod
    def _windows(groups: list[_Group], data: bytes, at: int, found: dict[int, Stretches], flood: Flood | None) -> None:
        """The bounded rules of some groups, in the windows of a long text in which they hit."""
        overlap = max(group.overlap for group in groups)
        unbounded = len(found)
        for start in range(at, len(data), _WINDOW):
            window = data[max(0, start - _LOOK_BACK) : start + _WINDOW + overlap]
            end = min(len(data), start + _WINDOW)
            hits = {one.order: one for group in groups for one in group.hits(window)}
            if flood is not None and not flood.looks(unbounded + len(hits), end - start, end - at):
                flood.at = previous_character(data, start + 1)  # the beginning of a character
                return
            for order, one in hits.items():
                if one.overlap is not None:
                    found.setdefault(order, (one, []))[1].append((start, end))


def _ends(one: CompiledRule, search: Search, data: bytes) -> bool:
    """Whether one of the heads at the end passes its rule's validator."""
    stop = len(data)
    found = search(data, 0, stop)
    while found is not None:
        # The pattern takes a lead in; the head itself begins there or after it.
        head = one.find(data, found[0], stop) or found
        if one.valid(data, one.begins(data, *head), stop):
            return True
        found = search(data, found[0] + character_length(data[found[0]]), stop)
    return False


def _head(rule: Rule) -> str:
    if rule.through is None:
        return rule.head.re2
    through = Pattern.parse(rule.through, ignore_case=rule.ignore_case)
    return rf"{rule.head.re2}[^\n]*{through.re2}"


def _lead(rule: Rule) -> str:
    return "" if rule.lead is None else Pattern.parse(rule.lead, ignore_case=rule.ignore_case).re2


def _leading(rule: Rule) -> str:
    return "" if rule.lead is None else rf"(?:\A|{_lead(rule)})"


def _takes_lines(one: CompiledRule) -> bool:
    """Whether to a rule the beginning of a line is what the beginning of a text is."""
    lead = _lead(one.rule)
    return not one.rule.head.has_edge("A") and (not lead or compile_pattern(lead).match(b"\n", 0, 1) is not None)


def _group(members: Sequence[CompiledRule], sources: Sequence[str], kind: Kind | None = None) -> _Group:
    return _Group(
        members=tuple(members),
        match=compile_set(sources),
        overlap=max(one.overlap or 0 for one in members),
        foreign=kind == "foreign",
    )


def _groups(compiled: Sequence[CompiledRule]) -> Iterator[_Group]:
    """Digits and letters do not go into one set: the states of a big one explode on hostile text."""
    together: dict[Category, list[CompiledRule]] = {}
    signs: dict[Kind, list[tuple[CompiledRule, str]]] = {}
    for one in compiled:
        category = one.rule.category
        if category is Category.INJECTION:
            for kind, sign in signs_of(one.rule.head).items():
                signs.setdefault(kind, []).append((one, sign))
        else:
            alone = category in {Category.PII, Category.SECRET}
            together.setdefault(category if alone else Category.MARKUP, []).append(one)
    for members in together.values():
        yield _group(members, [_leading(one.rule) + _head(one.rule) for one in members])
    for kind, found in signs.items():
        yield _group([one for one, _ in found], [sign for _, sign in found], kind)
