"""Cuts long texts into pieces that fit the classifier's context. Pure.

A token is at least one byte, so a piece of N UTF-8 bytes never has more than N tokens, in any language and for
any tokenizer. That is a guarantee, where an average of characters per token would be a hope.
"""

import re
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["group", "scrub", "size", "split"]

_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*\s|\n")  # noqa: RUF001 - full-width marks end sentences, too
_OVERLAP = 200
"""Characters that two pieces share where the cut had to go through a sentence."""

T = TypeVar("T")


def split(text: str, limit: int) -> tuple[tuple[int, int], ...]:
    """Spans of `text`, start and end in characters, that cover it and hold at most `limit` bytes each.

    Cuts stand after the last sentence in reach. Where none ends in the second half of a piece, the cut stands
    after a word, else anywhere, and the next piece starts a little earlier, so that what was cut through is
    read whole once.

    Args:
        text: what is to be cut; valid Unicode (see `scrub`).
        limit: bytes of UTF-8, at least 1024.
    """
    if size(text) <= limit:
        return ((0, len(text)),)
    spans: list[tuple[int, int]] = []
    start = 0
    while True:
        reach = start + _fitting(text[start : start + limit], limit)
        if reach == len(text):
            spans.append((start, reach))
            return tuple(spans)
        middle = start + (reach - start) // 2
        end = max((match.end() for match in _SENTENCE_END.finditer(text, middle, reach)), default=0)
        following = end
        if not end:
            end = text.rfind(" ", middle, reach) + 1 or reach
            following = end - min(_OVERLAP, (end - start) // 2)
        spans.append((start, end))
        start = following


def group(sizes: Sequence[int], *, limit: int, most: int) -> tuple[range, ...]:
    """Runs of neighbours that go into one request: at most `most` of them and, past the first, `limit` bytes."""
    groups: list[range] = []
    first = total = 0
    for index, weight in enumerate(sizes):
        if index > first and (total + weight > limit or index - first == most):
            groups.append(range(first, index))
            first, total = index, 0
        total += weight
    return (*groups, range(first, len(sizes))) if sizes else ()


def size(text: str) -> int:
    """Bytes of `text` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def scrub(text: str) -> str:
    """`text` as it can be sent: lone surrogates, which UTF-8 does not have, become U+FFFD, one for one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def _fitting(text: str, limit: int) -> int:
    """How many characters from the start fit into `limit` bytes."""
    encoded = text.encode()
    return len(text) if len(encoded) <= limit else len(encoded[:limit].decode(errors="ignore"))
