"""Token-like pieces and counts: deterministic approximations, not Mistral's tokenizer."""

from random import Random
from zlib import crc32

__all__ = ["count", "pieces"]

_SIZES = range(1, 9)


def pieces(text: str) -> list[str]:
    """Split an answer into pieces of 1 to 8 characters, the sizes seeded by the text.

    The same text is always split in the same places, and no place is safe: words, e-mail addresses and tags
    are cut anywhere, as a real stream cuts them.
    """
    random = Random(crc32(text.encode(errors="surrogatepass")))  # noqa: S311 - sizes, not secrets
    cut = []
    at = 0
    while at < len(text):
        size = random.choice(_SIZES)
        cut.append(text[at : at + size])
        at += size
    return cut


def count(text: str) -> int:
    """Tokens of a prompt: one for each four characters, rounded up."""
    return (len(text) + 3) // 4
