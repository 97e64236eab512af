"""Where something may begin that is not all there yet, at the end of a text."""

from typing import Final

from guard_integrations.core.scanner.markup.urls import BARE_URL_BEGUN
from guard_integrations.core.scanner.terminal import WRITTEN_BEGUN

__all__ = ["begun", "begun_in_plain", "filler"]

_NEAR: Final = 12
"""Characters that the beginning of a URL or of a written-out escape sequence has at most."""


def begun(text: str) -> int:
    """Where, at the end of a text, there is what may become markup; the text's length where there is not."""
    place = len(text)
    if text.endswith("<"):
        place = len(text[:-1].rstrip("\\"))
    elif text.endswith(("!", "\\")):
        place = len(text.rstrip(text[-1]))
    elif text.endswith("]"):
        place -= 1
    return min(place, begun_in_plain(text))


def begun_in_plain(text: str) -> int:
    """Where, at the end of a text, there is what may become a URL or a written-out escape sequence."""
    size = len(text)
    found = BARE_URL_BEGUN.search(text, max(0, size - _NEAR)) or WRITTEN_BEGUN.search(text, max(0, size - _NEAR))
    return found.start() if found else size


def filler(before: str) -> str:
    """What stands in the stead of something that goes without a trace: a space, so that its two sides do not meet.

    Where they met, a tag, a URL or an e-mail address could begin that was not there before.
    """
    return "" if not before or before[-1].isspace() else " "
