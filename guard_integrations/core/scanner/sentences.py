"""Where the sentences of a text are, in any script: the windows that are scored and the spans that are filtered."""

import re
from bisect import bisect_right
from typing import Final

__all__ = ["LONGEST", "enclosing", "sentences"]

LONGEST: Final = 320
"""Characters of a sentence; a longer one is cut between words."""
_PLAIN: Final = (
    r"[.!?;:。！？；।؟۔\\\r\n'\"](?:"  # noqa: RUF001 - other scripts
    r"(?<=[.!?;:])['\")\]]*(?=\s)|(?<=[。！？；।؟۔])|(?<=\\)[nr]|(?<=[\r\n])[\r\n]*"  # noqa: RUF001 - other scripts
    r"|(?<=['\"])(?:,\s?['\"]|:\s?['\"]))"
)
"""What a sentence ends with. All that it may begin with stands first: elsewhere nothing more is tried."""
_PLAIN_END: Final = re.compile(_PLAIN)
_END: Final = re.compile(rf"{_PLAIN}|[^\S\r\n]\|\s")
"""The same with the bars between the cells of a table, at three times the price."""


def sentences(text: str, shortest: int = 24) -> list[tuple[int, int]]:
    """Sentences, lines and the values of structured text: (start, end) in order, together covering the text.

    Args:
        text: any text.
        shortest: a shorter piece is taken together with what follows it.
    """
    found: list[tuple[int, int]] = []
    start = 0
    for cut in [*(match.end() for match in (_END if "|" in text else _PLAIN_END).finditer(text)), len(text)]:
        if cut - start < shortest and cut != len(text):
            continue
        while cut - start > LONGEST:
            space = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
            middle = space + 1 if space > 0 else start + LONGEST
            found.append((start, middle))
            start = middle
        if cut > start:
            found.append((start, cut))
        start = cut
    if len(found) > 1 and found[-1][1] - found[-1][0] < shortest:
        _, end = found.pop()
        found[-1] = (found[-1][0], end)
    return found


def enclosing(spans: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """The sentences that a stretch of text touches, from the first one's start to the last one's end."""
    first = max(bisect_right(spans, (start, 1 << 62)) - 1, 0)
    last = max(bisect_right(spans, (max(end - 1, start), 1 << 62)) - 1, first)
    return spans[first][0], spans[last][1]
