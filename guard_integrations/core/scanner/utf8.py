"""Places in UTF-8, where a character is one to four bytes. Lone surrogates are let through, each as three bytes."""

__all__ = ["Place", "back", "character_length", "decode", "encode", "is_word", "previous_character"]

_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")


def encode(text: str) -> bytes:
    """UTF-8, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """The text of whole characters."""
    return data.decode("utf-8", "surrogatepass")


def is_word(byte: int) -> bool:
    r"""Whether this is a character that the engine's `\\b` takes for part of a word."""
    return byte in _WORD


def character_length(first: int) -> int:
    """Bytes of the character that begins with this byte."""
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4  # noqa: PLR2004 - UTF-8's own numbers


def previous_character(data: bytes, at: int) -> int:
    """Where the character before `at` begins; 0 at the beginning."""
    at -= 1
    while at > 0 and data[at] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8's continuation bytes
        at -= 1
    return max(at, 0)


def back(data: bytes, at: int, characters: int) -> int:
    """The beginning of a character that is at least so many characters before `at`, or the beginning."""
    place = max(0, at - 4 * characters)
    while place > 0 and data[place] & 0xC0 == 0x80:  # noqa: PLR2004 - as above
        place -= 1
    return place


class Place:
    """Bytes to characters, for places that are mostly asked for in rising order.

    Args:
        data: the bytes.
        byte: a place before the first that is asked for.
        char: the character of the whole text that begins there.
    """

    __slots__ = ("_ascii", "_byte", "_char", "_data")

    def __init__(self, data: bytes, byte: int, char: int) -> None:
        self._data = data
        self._ascii = data.isascii()
        self._byte = byte
        self._char = char

    def of(self, at: int) -> int:
        """The character of the whole text that begins at this byte."""
        if self._ascii:
            self._char += at - self._byte
        elif at < self._byte:
            # Back from the match to the beginning of its head, which is not decided yet.
            self._char -= len(decode(self._data[at : self._byte]))
        else:
            self._char += len(decode(self._data[self._byte : at]))
        self._byte = at
        return self._char

    def end(self, start: int, end: int) -> int:
        """The character at which a stretch ends whose start was asked for last."""
        return self._char + (end - start if self._ascii else len(decode(self._data[start:end])))
