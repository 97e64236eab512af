"""Words beside a match that make it more or less likely."""

from guard_integrations.core.scanner.linear import Search, compile_pattern, literal
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
    """One pattern for all words. The edges stand in it once, not once a word: each is hundreds of ranges."""
    if not words:
        return None
    groups: dict[tuple[str, str], list[str]] = {}
    for word in words:
        groups.setdefault((_edge(word[0], r"\A"), _edge(word[-1], r"\z")), []).append(literal(word))
    sources = (f"{before}(?:{'|'.join(group)}){after}" for (before, after), group in groups.items())
    return compile_pattern(f"(?i:{'|'.join(sources)})").search


def _edge(char: str, end: str) -> str:
    """What may stand beside this character, where a word ends there; after `[` it is a label and no word."""
    return rf"(?:{end}|[^\pL\pN\[])" if ord(char) < _FIRST_UNSPACED else ""
