"""Rules that are no match without one of their context words: looked for only in texts that have one.

Most of them are bare numbers of some length, of which some texts are full. Together in one set with the other rules
they would have more states than there is memory for.
"""

from collections.abc import Callable, Iterable

from guard_integrations.core.scanner.context import ContextWords
from guard_integrations.core.scanner.linear import Search, compile_pattern, compile_set, literal
from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.rarity import necessary
from guard_integrations.core.scanner.rule import Context, Rule
from guard_integrations.core.scanner.utf8 import encode

__all__ = ["Waiting"]


class Waiting:
    """The waiting rules of a set.

    Args:
        rules: those whose `waits` is true.
        labels: what may be written for any rule of the set: where a label is one of a rule's words, that rule does
            not wait.
    """

    __slots__ = ("_apart", "_inside", "_labels", "_needed", "_rules")

    def __init__(self, rules: Iterable[Rule], labels: Iterable[str]) -> None:
        self._rules = tuple(rules)
        self._labels = frozenset(labels)
        self._needed: Search | None = None
        self._apart: Callable[[bytes], list[int]] | None = None
        self._inside: Callable[[bytes], list[int]] | None = None

    def hits(self, data: bytes, at: int, before: Callable[[], bytes], *, parted: bool) -> list[int]:
        """Which of the rules may match from `at` on, by number.

        Args:
            data: the text.
            at: where what is not decided yet begins.
            before: the context that stands before it when all is written.
            parted: whether something may be replaced there: what is written beside a word may part it, so that a word
                counts inside another one, too. When nothing is, a word has to stand by itself.
        """
        if not self._rules:
            return []
        if self._needed is None:
            needed = {(necessary(rule.head.root), rule.ignore_case) for rule in self._rules}
            some = {Pattern("", node, ignore_case=ignore_case).re2 for node, ignore_case in needed}
            self._needed = compile_pattern("|".join(sorted(some))).search
        if self._needed(data, at, len(data)) is None:
            return []
        text = before() + data[at:]
        if not parted:
            if self._apart is None:
                self._apart = self._set(lambda context: ContextWords.pattern(context.raises))
            if not self._apart(text):
                return []
        if self._inside is None:
            self._inside = self._set(lambda context: f"(?i:{'|'.join(map(literal, context.raises))})")
        return sorted(self._inside(text))

    def _set(self, source: Callable[[Context], str]) -> Callable[[bytes], list[int]]:
        sources: list[str] = []
        for rule in self._rules:
            # A rule whose word is in a label does not wait: its source is the empty one.
            written = rule.context is None or any(
                ContextWords(rule.context).score(0.5, encode(label)) > 0.5  # noqa: PLR2004 - from any score on
                for label in self._labels
            )
            sources.append("" if written or rule.context is None else source(rule.context))
        return compile_set(sources)
