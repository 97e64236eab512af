"""A text's letters and nothing else, so that re-cased, re-spaced, punctuated and accented copies read alike."""

import re
import string
import unicodedata
from typing import Final

__all__ = ["fold", "fold_character"]

_LETTERS: Final = string.ascii_letters.encode()
_LOWER: Final = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_NO_LETTER: Final = bytes(sorted(set(range(128)) - set(_LETTERS)))
_NO_ALNUM: Final = bytes(sorted(set(_NO_LETTER) - set(string.digits.encode())))
_REMEMBERED: Final = 1 << 16


class _Folded(dict[int, str]):
    """Folds one character that is not ASCII: compatibility form, lower case, letters only."""

    def __missing__(self, code: int) -> str:
        parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", chr(code)).casefold())
        folded = "".join(char for char in parts if char.isalpha())
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded


_FOLDED: Final = _Folded()
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def _fold_run(run: re.Match[str]) -> str:
    return run[0].translate(_FOLDED)


def fold(text: str, *, digits: bool = False) -> bytes:
    """A text's letters in lower case and without accents, and its ASCII digits where wanted, in UTF-8."""
    plain = text if text.isascii() else _NOT_ASCII.sub(_fold_run, text)
    return plain.encode("utf-8", "surrogatepass").translate(_LOWER, _NO_ALNUM if digits else _NO_LETTER)


_SINGLE: Final = {chr(code): fold(chr(code), digits=True) for code in range(128)}


def fold_character(char: str) -> bytes:
    """What one character is folded to, digits included."""
    return _SINGLE.get(char) or (b"" if char in _SINGLE else fold(char, digits=True))
