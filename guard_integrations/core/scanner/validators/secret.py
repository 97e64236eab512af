"""Whether something looks made at random."""

import re
from collections import Counter
from math import log2
from typing import Final

__all__ = ["entropy", "mixed", "password", "password_word", "token", "url_credentials"]

_RANDOM: Final = 3.0
"""Bits a character, over the characters of the value itself; English words have about 2.5 at this length."""
_PLACEHOLDER: Final = re.compile(
    r"(?i)x{4,}|\*{3,}|\.{3,}|your[_\-]|[_\-]here|example|placeholder|changeme|redacted|dummy|[<{]|\A\$|\$[{(]|%[sd(]"
)
_FILLED: Final = re.compile(r"(?i)x{8}|(.)\1{11}|example|your[_\-]")
_CODE: Final = re.compile(
    r"(?:[A-Za-z_]{2,}\d{0,5}\.)+[A-Za-z_]{2,}\d{0,2}"  # names with dots
    r"|[a-z]+(?:[_\-][a-z0-9]+)+(?:\.\d+)*|[A-Z]+[0-9]*(?:[_\-][A-Z0-9]+)+"  # and with dashes, and versions
    r"|.*[(\[]|[#./\-].*|[^A-Z0-9]*/[^A-Z0-9]*|.*://.*"  # calls, paths and addresses
)
_EXAMPLE_USERS: Final = frozenset({"user", "username", "myuser", "login", "name"})
_EXAMPLE_PASSWORDS: Final = frozenset({"pass", "password", "passwd", "pwd", "mypassword", "token", "secret"})
_NO_PASSWORDS: Final = frozenset(
    [
        "string",
        "text",
        "password",
        "passwd",
        "hidden",
        "input",
        "secret",
        "required",
        "optional",
        "none",
        "null",
        "true",
        "false",
        "varchar",
        "str",
        "field",
        "mask",
        "value",
        "invalid",
        "incorrect",
        "missing",
        "empty",
        "reset",
        "forgot",
        "change",
        "unknown",
        "undefined",
        "wrong",
        "expired",
        "weak",
        "username",
    ]
)
"""What stands in a field for a password in a description of it, or an error about it."""
_PREFIX: Final = 10
_BODY: Final = 16
"""Characters of a token, at least, by which names are told from it, and its prefix, at most."""


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


def token(value: str) -> bool:
    """Something with a provider's own form, unless it is made of words, or a manual has filled it up."""
    body = value[max(0, min(_PREFIX, len(value) - _BODY)) :]
    lower, upper, digit = _has(body)
    capitals = sum("A" <= char <= "Z" for char in body)
    made = digit or (upper and (not lower or capitals >= len(body) / 4))
    return made and not _FILLED.search(value)


def mixed(value: str) -> bool:
    """Lower case, upper case and digits, at random: no hash in hexadecimal, no word."""
    return all(_has(value)) and _bits(value) >= 3.5 and not _PLACEHOLDER.search(value)  # noqa: PLR2004 - bits a character


def password(value: str) -> bool:
    """What follows "password": with a digit or a sign in it, so that it is no word of the sentence or of a program."""
    lower, upper, digit = _has(value)
    sign = any(char in "!@#$%^&*+=?~" for char in value)
    return (lower or upper) and (digit or sign) and not _PLACEHOLDER.search(value) and not _CODE.fullmatch(value)


def password_word(value: str) -> bool:
    """What stands in a field for a password: anything that is no description, no placeholder and no address."""
    return value.lower() not in _NO_PASSWORDS and not _PLACEHOLDER.search(value) and not _CODE.fullmatch(value)


def url_credentials(value: str) -> bool:
    """A user and a password before a host; not those of every manual, and no placeholder."""
    user, _, rest = value.partition(":")
    word = rest.rpartition("@")[0]
    known = user.lower() in _EXAMPLE_USERS and word.lower() in _EXAMPLE_PASSWORDS
    return bool(word) and not known and not re.search(r"[<>{}$*]|%[sd(]|\.\.\.|x{4}", user + word)
