"""Words beside a match that make it more or less likely."""

from typing import Final, Self

from guard_integrations.core.findings import Category
from guard_integrations.core.scanner.linear import Search, compile_pattern, literal
from guard_integrations.core.scanner.rule import THRESHOLD, Context, Rule

__all__ = ["CONTEXT", "ContextWords", "context_window"]

CONTEXT: Final = 64
"""Characters to the left of a match in which context words count."""
_WORD: Final = "".join(char for char in map(chr, range(0x530)) if char.isalnum())
"""Letters and digits of the scripts that part words by spaces; the rest of a word is cut off by them."""

_FIRST_UNSPACED = 0x2E80
"""From here on most scripts (Chinese, Japanese) put no space between words."""
_STOPS = r".!?\x{3002}\x{FF01}\x{FF1F}"
"""Those of Chinese and Japanese end a sentence also without a space behind them."""
_GOES_ON = r"[.!?]\S|\n[ \t]*\S|[:,]\s*\n\s*"
"""Where a sentence goes on: behind a stop without a space, on the next line, and behind what announces a blank one."""
_SAME_SENTENCE = rf"(?:[^{_STOPS}\n]|{_GOES_ON})*(?:\n[ \t]*)?\z"
_AFTER_WORD = rf"(?:\z|\n[ \t]*\z|(?:[^\pL\pN\[{_STOPS}\n]|{_GOES_ON}){_SAME_SENTENCE})"


class ContextWords:
    """The context of one rule, compiled.

    Args:
        context: the words, and what they are worth.
        in_sentence: whether a word that lowers counts in the match's own sentence alone. Whoever writes a text that is
            to pass would only have to put "Do not be shy." before it.
    """

    __slots__ = ("_by", "_last", "_lowers", "_raises", "_words")

    def __init__(self, context: Context, *, in_sentence: bool = False) -> None:
        self._by = context.by
        self._words = context
        self._raises = _compile(context.raises)
        self._lowers = _compile(context.lowers, in_sentence=in_sentence)
        self._last: tuple[Search, Search] | None = None

    @classmethod
    def of(cls, rule: Rule) -> Self | None:
        """The words of a rule, where it has any. An attack is excused in its own sentence only."""
        if rule.context is None:
            return None
        return cls(rule.context, in_sentence=rule.category is Category.INJECTION)

    @staticmethod
    def pattern(words: tuple[str, ...], *, in_sentence: bool = False) -> str:
        """What finds any of these words. The edges stand in it once, not once a word: each is hundreds of ranges."""
        groups: dict[tuple[str, str], list[str]] = {}
        for word in words:
            groups.setdefault((_edge(word[0], r"\A"), _after(word[-1], in_sentence=in_sentence)), []).append(
                literal(word)
            )
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


def context_window(before: str) -> str:
    """The characters in which context words count, without the end of a word that begins before them.

    Args:
        before: what stands before a match, one character more than `CONTEXT` where there are so many.
    """
    window = before[-CONTEXT:]
    if len(before) == len(window) or not (before[-CONTEXT - 1].isalnum() or before[-CONTEXT - 1] == "["):
        return window
    return window.lstrip(_WORD)


def _compile(words: tuple[str, ...], *, in_sentence: bool = False) -> Search | None:
    return compile_pattern(ContextWords.pattern(words, in_sentence=in_sentence)).search if words else None


def _edge(char: str, end: str) -> str:
    """What may stand beside this character, where a word ends there; after `[` it is a label and no word."""
    return rf"(?:{end}|[^\pL\pN\[])" if ord(char) < _FIRST_UNSPACED else ""


def _after(char: str, *, in_sentence: bool) -> str:
    """What may stand behind this character."""
    if not in_sentence:
        return _edge(char, r"\z")
    return _AFTER_WORD if ord(char) < _FIRST_UNSPACED else _SAME_SENTENCE
