"""Where somebody is reached: mail, telephone, addresses in networks and on the globe."""

import re
from collections.abc import Callable, Iterator
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from guard_integrations.core.scanner.validators.telephone import given_out, given_out_abroad, possible_abroad

__all__ = [
    "coordinates",
    "email",
    "french_phone",
    "international_phone",
    "ipv4",
    "ipv6",
    "mac",
    "nanp_phone",
    "national_phone",
    "phone_number",
]

_FILES: Final = frozenset(
    {"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "json", "py", "html", "md", "whl", "tar", "gz"}
)
_SERVICES: Final = frozenset({"git", "hg", "svn"})
_NOT_DIGITS: Final = bytes(code for code in range(256) if code not in b"0123456789")
_SHORTEST_PHONE: Final = 7
_LONGEST_PHONE: Final = 15
_SHORTEST_NATIONAL: Final = 9
"""Digits of the shortest number that is taken for one by its form alone."""
_LONGEST_NATIONAL: Final = 13
_GAP: Final = re.compile(r"[ .\-/()\u00a0]+")
_DATE: Final = re.compile(
    r"\(?(?:\d{1,2}[./ \-]\d{1,2}[./ \-](?:\d{2}|\d{4})|(?:19|20)\d\d[./ \-]?\d{2}[./ \-]?\d{2}(?:[ ].*)?)\)?\Z"
)
_RANGE: Final = re.compile(r"(?:19|20)\d\d ?[\-/] ?(?:19|20)?\d\d\Z|\d{1,2}[.:]\d{2} ?- ?\d{1,2}[.:]\d{2}\Z")
_DECIMAL: Final = re.compile(r"\d{1,3}(?:[ ]\d{3})*\.\d+\Z|\d{1,3}(?:\.\d{3})+\Z")
_MOST_GROUPS: Final = 4
_LONG_GROUP: Final = re.compile(r"[0-9]{9}")
_WORD_AFTER: Final = re.compile(r"[A-Za-z_\[*]\Z")
_PAIR: Final = re.compile(r"[+-]?\d+\.\d+,? *[+-]?\d+\.\d+")
_EARTH: Final = (90, 180)


def email(value: str) -> bool:
    """Not the address of a repository (`git@…`), and not a file name (`icon@2x.png`)."""
    local, _, domain = value.rpartition("@")
    last = domain.rpartition(".")[2].lower()
    return local.lower() not in _SERVICES and last not in _FILES and ".." not in domain and domain[0] not in ".-"


def _digits(value: str) -> str:
    return value.encode("utf-8", "replace").translate(None, _NOT_DIGITS).decode()


def _beginnings(value: str) -> Iterator[str]:
    """The value, and what is left of it without its last groups: a number of another kind may stand behind it.

    Where a word goes on behind the last group, that one is no part of it.
    """
    if not _WORD_AFTER.search(value):
        yield value
    for gap in [*_GAP.finditer(value)][: -_MOST_GROUPS - 1 : -1]:
        if gap.start():
            yield value[: gap.start()]


def _longest(value: str, check: Callable[[str], bool]) -> int:
    """How long the longest beginning is that passes; 0 where none does."""
    return next((len(one) for one in _beginnings(value) if check(one)), 0)


def international_phone(value: str) -> int:
    """A number with its country's code, after `+` or `00`.

    After `+` its length must fit the country; after `00`, which other numbers begin with, too, it must have been
    given out.
    """
    return _longest(value, _has_country)


def _has_country(value: str) -> bool:
    digits = _digits(value)
    if not _SHORTEST_PHONE <= len(digits) <= _LONGEST_PHONE:
        return False
    return possible_abroad(digits) if value.startswith("+") else given_out_abroad(digits[2:])


def nanp_phone(value: str) -> bool:
    """A North American number: its shape is the pattern's, nothing may go on behind it."""
    digits = _digits(value.partition("x")[0].partition("e")[0])
    return len(digits) == 10 + digits.startswith("1") and not _WORD_AFTER.search(value)


def french_phone(value: str) -> bool:
    """Ten digits, and nothing goes on behind them."""
    return len(_digits(value)) == 10 and not _WORD_AFTER.search(value)  # noqa: PLR2004 - Arcep's numbering plan


def national_phone(value: str) -> int:
    """A national number with its leading zero that was given out in one of the countries that have one."""
    return _longest(value, _national)


def _national(value: str) -> bool:
    digits = _digits(value)
    if not _SHORTEST_NATIONAL <= len(digits) <= _LONGEST_NATIONAL or _LONG_GROUP.search(value):
        return False
    return given_out(digits) and _shaped(value)


def phone_number(value: str) -> int:
    """Any number that is as long as a telephone number and no date, range or amount."""
    return _longest(value, _shaped)


def _shaped(value: str) -> bool:
    return _SHORTEST_PHONE <= len(_digits(value)) <= _LONGEST_PHONE and not any(
        form.match(value) for form in (_DATE, _RANGE, _DECIMAL)
    )


def ipv4(value: str) -> bool:
    """An address of one machine: not a loopback, nobody's, a mask or a broadcast; and nothing goes on behind it."""
    address = value.partition("/")[0]
    octets = address.split(".")
    if len(octets) != 4 or not all(octet.isdecimal() and int(octet) <= 255 for octet in octets):  # noqa: PLR2004 - RFC 791
        return False
    return octets[0] not in {"0", "127", "255"}


def ipv6(value: str) -> bool:
    """RFC 4291: an address with `::` or all eight groups, and not the loopback or a namespace of a program."""
    try:
        address = IPv6Address(value)
    except AddressValueError:
        return False
    return not address.is_loopback and not address.is_unspecified and any("0" <= char <= "9" for char in value)


def mac(value: str) -> bool:
    """Six bytes, not all the same."""
    compact = re.sub(r"[:.\-]", "", value)
    return len(compact) == 12 and len({compact[at : at + 2] for at in range(0, 12, 2)}) > 1  # noqa: PLR2004 - 48 bits


def coordinates(value: str) -> bool:
    """Latitude and longitude, and no third number behind them; pairs under one are weights or probabilities."""
    numbers = [float(number) for number in re.findall(r"[+-]?\d+\.\d+", value)]
    if len(numbers) != 2 or not _PAIR.fullmatch(value):  # noqa: PLR2004 - two of them
        return False
    latitude, longitude = map(abs, numbers)
    return latitude <= _EARTH[0] and longitude <= _EARTH[1] and max(latitude, longitude) >= 1
