"""Deterministic embeddings: a hashed bag of words, good enough to retrieve with."""

import base64
import math
import re
import struct
from collections import Counter
from zlib import crc32

__all__ = ["DIMENSION", "embed", "encode"]

DIMENSION = 1024
_WORD = re.compile(r"\w+")
_STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "do",
        "does",
        "for",
        "from",
        "how",
        "i",
        "in",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "s",
        "that",
        "the",
        "their",
        "this",
        "to",
        "was",
        "we",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "you",
        "your",
    ]
)


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending)
    return word


def embed(text: str, dimension: int = DIMENSION) -> list[float]:
    """A vector of length 1: words, lower case and stemmed, hashed to dimensions, weighted by 1 + log(count).

    Texts with words in common are close, the same text is the same vector in every process. A text without a word
    gets the first unit vector, so that no vector is zero.
    """
    words = Counter(_stem(word) for word in _WORD.findall(text.casefold()) if word not in _STOP_WORDS)
    vector = [0.0] * dimension
    for word, times in words.items():
        place = crc32(word.encode(errors="surrogatepass"))
        vector[place % dimension] += (1 + math.log(times)) * (1 if place & 0x8000_0000 else -1)
    norm = math.sqrt(sum(value * value for value in vector))
    if norm == 0:
        return [1.0] + [0.0] * (dimension - 1)
    return [round(value / norm, 7) if value else 0.0 for value in vector]


def encode(vector: list[float], dtype: str, encoding: str) -> list[float] | list[int] | str:
    """The vector as the request wants it: `float`, `int8`, `uint8`, or one bit a value in `binary`, `ubinary`.

    `binary` packs eight signs into one signed byte, `ubinary` into one unsigned one. With encoding `base64` the values are
    little-endian floats of 32 bits, or bytes, in base64.
    """
    values: list[float] | list[int]
    if dtype == "float":
        if encoding == "base64":
            return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        return vector
    if dtype in ("int8", "uint8"):
        shift = 128 if dtype == "uint8" else 0
        values = [round(value * 127) + shift for value in vector]
    else:
        shift = 0 if dtype == "ubinary" else 128
        bits = [value > 0 for value in vector]
        values = [
            sum(bit << (7 - place) for place, bit in enumerate(bits[at : at + 8])) - shift
            for at in range(0, len(bits), 8)
        ]
    if encoding == "base64":
        return base64.b64encode(bytes(value & 0xFF for value in values)).decode()
    return values
