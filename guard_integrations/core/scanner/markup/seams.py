"""Where something may begin that is not all there yet, at the end of a text."""

import re
from typing import Final

from guard_integrations.core.scanner.markup.urls import BARE_URL_BEGUN
from guard_integrations.core.scanner.terminal import WRITTEN_BEGUN

__all__ = ["begun", "begun_in_plain", "filler", "joint"]

_PLAIN: Final = re.compile(rf"{BARE_URL_BEGUN}|{WRITTEN_BEGUN}", re.IGNORECASE)
_NEAR: Final = 12
"""Characters that the beginning of a URL or of a written-out escape sequence has at most."""
_LAST: Final = frozenset("hHtTpPsS:/fFwW")
"""What the beginning of a URL ends with."""


def begun(text: str) -> int:
    """Where, at the end of a text, there is what may become markup; the text's length where there is not."""
    plain = begun_in_plain(text)
    if not text.endswith(("!", "<", "]", "\\")):
        return plain
    return min(plain, len(text) - 1 - text.endswith("\\<"))


def begun_in_plain(text: str) -> int:
    """Where, at the end of a text, there is what may become a URL or a written-out escape sequence."""
    size = len(text)
    if text[-1:] not in _LAST and text.find("\\", max(0, size - _NEAR)) < 0:
        return size
    found = _PLAIN.search(text, max(0, size - _NEAR))
    return found.start() if found else size


def filler(before: str) -> str:
    """What stands in the stead of something that goes without a trace: a space, so that its two sides do not meet.

    Where they met, a tag, a URL or an e-mail address could begin that was not there before.
    """
    return "" if not before or before[-1] in "\r\n" else " "


def joint(before: str) -> str:
    """What stands before a label that takes the place of the end of a word: something that goes on with the word.

    What was no number of somebody's because letters followed it must not become one.
    """
    return "_" if before and before.isascii() and (before.isalnum() or before == "_") else ""
