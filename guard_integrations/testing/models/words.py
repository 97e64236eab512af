"""The words of a text, to compare texts by."""

import re

__all__ = ["words"]

_WORD = re.compile(r"\w+")
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|e)$")
_STOP_WORDS = frozenset(
    (  # noqa: SIM905 - a paragraph of words, not a line for each
        "a about an and any are as at be been but by can could did do does for from had has have how i if in into is it its me my "
        "no not of on or our please say so tell than that the their them then there these they this those to was we were what "
        "when where which who whom whose why will with within would you your"
    ).split()
)


def words(text: str) -> list[str]:
    """The telling words in lower case and without their endings: "closes" and "close" are one word."""
    return [_ENDING.sub("", word) for word in _WORD.findall(text.casefold()) if word not in _STOP_WORDS]
