"""Whether something looks made at random."""

import re
from collections import Counter
from math import log2
from typing import Final

__all__ = ["entropy", "mixed", "password", "url_credentials"]

_RANDOM: Final = 3.0
"""Bits a character, over the characters of the value itself; English words have about 2.5 at this length."""
_PLACEHOLDER: Final = re.compile(
    r"(?i)x{3,}|\*{3,}|\.{3,}|your[_\-]|[_\-]here|example|placeholder|changeme|redacted|dummy|<|\{|\$|%[sd(]|123456789|abcdef"
)
_CODE: Final = re.compile(
    r"[A-Za-z_]+(?:\.[A-Za-z_][A-Za-z0-9_]*)+|[a-z]+(?:_[a-z0-9]+)+|[A-Z]+(?:_[A-Z0-9]+)+|.*[(\[]"
)
_EXAMPLE_USERS: Final = frozenset({"user", "username", "myuser", "login", "name"})
_EXAMPLE_PASSWORDS: Final = frozenset({"pass", "password", "passwd", "pwd", "mypassword", "token", "secret"})


def _bits(value: str) -> float:
    length = len(value)
    return -sum(count / length * log2(count / length) for count in Counter(value).values())


def _has(value: str) -> tuple[bool, bool, bool]:
    """Lower case, upper case, digits."""
    return (
        any("a" <= char <= "z" for char in value),
        any("A" <= char <= "Z" for char in value),
        any("0" <= char <= "9" for char in value),
    )


def entropy(value: str) -> bool:
    """Made of letters and digits at random; not a name in a program, and not a placeholder."""
    lower, upper, digit = _has(value)
    return (
        digit
        and (lower or upper)
        and _bits(value) >= _RANDOM
        and not _PLACEHOLDER.search(value)
        and not _CODE.fullmatch(value)
    )


def mixed(value: str) -> bool:
    """Lower case, upper case and digits, at random: no hash in hexadecimal, no word."""
    return all(_has(value)) and _bits(value) >= 3.5 and not _PLACEHOLDER.search(value)  # noqa: PLR2004 - bits a character


def password(value: str) -> bool:
    """What follows "password": with a digit or a sign in it, so that it is no word of the sentence or of a program."""
    lower, upper, digit = _has(value)
    sign = any(char in "!@#%^&*+=?~" for char in value)
    return (lower or upper) and (digit or sign) and not _PLACEHOLDER.search(value) and not _CODE.fullmatch(value)


def url_credentials(value: str) -> bool:
    """A user and a password before a host; not those of every manual, and no placeholder."""
    user, _, rest = value.partition("://")[2].partition(":")
    word = rest.rpartition("@")[0]
    known = user.lower() in _EXAMPLE_USERS and word.lower() in _EXAMPLE_PASSWORDS
    return bool(word) and not known and not re.search(r"[<>{}$*]|%[sd(]|\.\.\.|x{4}", user + word)
