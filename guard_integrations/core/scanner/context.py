"""Words beside a match that make it more or less likely."""

from guard_integrations.core.scanner.linear import Search, compile_pattern
from guard_integrations.core.scanner.rule import Context

__all__ = ["ContextWords"]

_FIRST_UNSPACED = 0x2E80
"""From here on most scripts (Chinese, Japanese) put no space between words."""


class ContextWords:
    """The context of one rule, compiled.

    Args:
        context: the words, and what they are worth.
    """

    __slots__ = ("_by", "_lowers", "_raises")

    def __init__(self, context: Context) -> None:
        self._by = context.by
        self._raises = _compile(context.raises)
        self._lowers = _compile(context.lowers)

    def score(self, score: float, before: str) -> float:
        """The score of a match that had `score` without regard to the text before it."""
        data = before.encode("utf-8", "surrogatepass")
        if self._raises is not None and self._raises(data, 0, len(data)) is not None:
            score += self._by
        if self._lowers is not None and self._lowers(data, 0, len(data)) is not None:
            score -= self._by
        return min(1.0, max(0.0, score))


def _compile(words: tuple[str, ...]) -> Search | None:
    return compile_pattern(f"(?i:{'|'.join(map(_word, words))})").search if words else None


def _word(word: str) -> str:
    before = r"(?:\A|[^\pL\pN])" if ord(word[0]) < _FIRST_UNSPACED else ""
    after = r"(?:\z|[^\pL\pN])" if ord(word[-1]) < _FIRST_UNSPACED else ""
    return before + "".join(f"\\x{{{ord(char):x}}}" for char in word) + after
