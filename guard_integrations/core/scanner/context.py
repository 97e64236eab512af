"""Words beside a match that make it more or less likely."""

from guard_integrations.core.scanner.linear import Search, compile_pattern, literal
from guard_integrations.core.scanner.rule import THRESHOLD, Context

__all__ = ["ContextWords"]

_FIRST_UNSPACED = 0x2E80
"""From here on most scripts (Chinese, Japanese) put no space between words."""


class ContextWords:
    """The context of one rule, compiled.

    Args:
        context: the words, and what they are worth.
    """

    __slots__ = ("_by", "_last", "_lowers", "_raises", "_words")

    def __init__(self, context: Context) -> None:
        self._by = context.by
        self._words = context
        self._raises = _compile(context.raises)
        self._lowers = _compile(context.lowers)
        self._last: tuple[Search, Search] | None = None

    @staticmethod
    def pattern(words: tuple[str, ...]) -> str:
        """What finds any of these words. The edges stand in it once, not once a word: each is hundreds of ranges."""
        groups: dict[tuple[str, str], list[str]] = {}
        for word in words:
            groups.setdefault((_edge(word[0], r"\A"), _edge(word[-1], r"\z")), []).append(literal(word))
        sources = (f"{before}(?:{'|'.join(group)}){after}" for (before, after), group in groups.items())
        return f"(?i:{'|'.join(sources)})"

    def score(self, score: float, data: bytes) -> float:
        """The score of a match that had `score` without regard to the text before it, which is given in UTF-8.

        Words of both kinds cancel out, except that a match which is none without a word goes by the last of them:
        in "order 12, call 612345678" that is "call". Where words of both kinds end together, they cancel out, too.
        """
        raised = self._raises is not None and self._raises(data, 0, len(data)) is not None
        lowered = self._lowers is not None and self._lowers(data, 0, len(data)) is not None
        if raised and lowered:
            return score if score >= THRESHOLD else self._by_the_last(score, data)
        if raised:
            return min(1.0, score + self._by)
        return max(0.0, score - self._by) if lowered else score

    def _by_the_last(self, score: float, data: bytes) -> float:
        if self._last is None:
            # The longest match of anything and then a word ends where the last word does.
            raises, lowers = (f"(?s:.*){self.pattern(words)}" for words in (self._words.raises, self._words.lowers))
            self._last = compile_pattern(raises).match, compile_pattern(lowers).match
        raised, lowered = (match(data, 0, len(data)) or (0, 0) for match in self._last)
        return min(1.0, score + self._by) if raised[1] > lowered[1] else score


def _compile(words: tuple[str, ...]) -> Search | None:
    return compile_pattern(ContextWords.pattern(words)).search if words else None


def _edge(char: str, end: str) -> str:
    """What may stand beside this character, where a word ends there; after `[` it is a label and no word."""
    return rf"(?:{end}|[^\pL\pN\[])" if ord(char) < _FIRST_UNSPACED else ""
