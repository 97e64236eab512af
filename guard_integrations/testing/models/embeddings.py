"""Deterministic embeddings: a hashed bag of words, good enough to retrieve with."""

import base64
import math
import struct
from collections import Counter
from zlib import crc32

from guard_integrations.testing.models.words import words

__all__ = ["DIMENSION", "embed", "encode"]

DIMENSION = 1024


def embed(text: str, dimension: int = DIMENSION) -> list[float]:
    """A vector of length 1: the words of `words.words`, hashed to dimensions, weighted by 1 + log(count).

    Texts with words in common are close, the same text is the same vector in every process. A text without a word
    gets the first unit vector, so that no vector is zero.
    """
    vector = [0.0] * dimension
    for word, times in Counter(words(text)).items():
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
