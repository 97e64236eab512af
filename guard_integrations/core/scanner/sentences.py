"""Where the sentences of a text are, in any script: the windows that are scored and the spans that are filtered."""

import re
from bisect import bisect_right
from typing import Final

__all__ = ["LONGEST", "enclosing", "sentences"]

LONGEST: Final = 320
"""Characters of a sentence; a longer one is cut between words."""
_END: Final = re.compile(
    r"[.!?;:]['\")\]]*(?=\s)|[。！？；।؟۔]|\\[nr]|[\r\n]+|\s\|\s|['\"],\s?['\"]|['\"]:\s?['\"]"  # noqa: RUF001 - other scripts
)


def sentences(text: str, shortest: int = 24) -> list[tuple[int, int]]:
    """Sentences, lines and the values of structured text: (start, end) in order, together covering the text.

    Args:
        text: any text.
        shortest: a shorter piece is taken together with what follows it.
    """
    found: list[tuple[int, int]] = []
    start = 0
    for cut in [*(match.end() for match in _END.finditer(text)), len(text)]:
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
