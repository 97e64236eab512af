"""Checksums short enough to keep here."""

import re
from datetime import date as calendar_date
from typing import Final

__all__ = ["aadhaar", "card", "de_rvnr", "es_nss", "iban", "luhn", "medicare_au"]

_DIGITS: Final = bytes(range(10))
_TWICE: Final = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9))
_TO_VALUES: Final = bytes.maketrans(b"0123456789", _DIGITS)
_TO_TWICE: Final = bytes.maketrans(b"0123456789", _TWICE)
_NOT_DIGITS: Final = bytes(code for code in range(256) if code not in b"0123456789")
_DIHEDRAL: Final = (
    *(tuple((first + second) % 5 + 5 * (second > 4) for second in range(10)) for first in range(5)),  # noqa: PLR2004 - the reflections
    *(tuple((first - second) % 5 + 5 * (second < 5) for second in range(10)) for first in range(5)),  # noqa: PLR2004
)
"""The multiplication table of the dihedral group of a pentagon, for Verhoeff's check digit."""
_PERMUTED: Final = (
    tuple(range(10)), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2), (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1), (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip
"""Verhoeff's permutation, applied as often as a digit is far from the last."""
_BEFORE_IBAN: Final = re.compile(r"[^0-9A-Za-z]")


def luhn(value: str) -> bool:
    """ISO/IEC 7812-1, Annex B: the check digit of payment cards. Everything but the digits is left out."""
    digits = value.encode("ascii", "ignore").translate(None, _NOT_DIGITS)
    total = sum(digits[-1::-2].translate(_TO_VALUES)) + sum(digits[-2::-2].translate(_TO_TWICE))
    return len(digits) > 1 and total % 10 == 0


def card(value: str) -> int:
    """A payment card's number of 12 to 19 digits; groups behind it that are no part of it do not count."""
    if value[-1] not in "0123456789":
        value = value[: max(value.rfind(" "), 0)]
    while value:
        digits = len(value) - value.count(" ") - value.count("-")
        if 12 <= digits <= 19 and luhn(value):  # noqa: PLR2004 - ISO/IEC 7812-1
            return len(value)
        value = value[: max(value.rfind(" "), 0)]
    return 0


def iban(value: str) -> bool:
    """ISO 13616: the number, its country moved to the end and letters read as 10 to 35, is 1 modulo 97."""
    compact = _BEFORE_IBAN.sub("", value)
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def de_rvnr(value: str) -> bool:
    """The German pension insurance number, VKVV section 4: area, date of birth, letter, serial number, check digit."""
    compact = re.sub(r"[ ./\-]", "", value)
    if not re.fullmatch(r"[0-9]{8}[A-Za-z][0-9]{3}", compact):
        return False
    day, month = int(compact[2:4]), int(compact[4:6])
    letter = f"{ord(compact[8].upper()) - ord('A') + 1:02}"
    digits = compact[:8] + letter + compact[9:11]
    products = (int(digit) * weight for digit, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True))
    total = sum(product // 10 + product % 10 for product in products)
    return 1 <= day % 50 <= 31 and 1 <= month <= 12 and total % 10 == int(compact[11])  # noqa: PLR2004 - a calendar


def es_nss(value: str) -> bool:
    """The Spanish social security number: province, serial number, and the remainder of both modulo 97."""
    digits = re.sub(r"[ /\-]", "", value)
    if not re.fullmatch(r"[0-9]{12}", digits):
        return False
    province, serial = int(digits[:2]), int(digits[2:10])
    # A serial number of seven digits is not padded before the remainder is taken.
    number = province * 10**7 + serial if serial < 10**7 else int(digits[:10])
    return number % 97 == int(digits[10:])


def medicare_au(value: str) -> bool:
    """The Australian Medicare card number: the ninth digit is the weighted sum of the first eight modulo 10."""
    digits = re.sub(r"[ \-/]", "", value)
    if not re.fullmatch(r"[2-6][0-9]{9,10}", digits):
        return False
    weights = (1, 3, 7, 9, 1, 3, 7, 9)
    return sum(int(digit) * weight for digit, weight in zip(digits[:8], weights, strict=True)) % 10 == int(digits[8])


def aadhaar(value: str) -> bool:
    """India's number of twelve digits: no 0 or 1 first, not the same backwards, and a check digit after Verhoeff."""
    digits = re.sub(r"[ \-]", "", value)
    if not re.fullmatch(r"[2-9][0-9]{11}", digits) or digits == digits[::-1]:
        return False
    check = 0
    for at, digit in enumerate(reversed(digits)):
        check = _DIHEDRAL[check][_PERMUTED[at % 8][int(digit)]]
    return check == 0


def calendar(year: int, month: int, day: int) -> bool:
    """Whether there is such a day."""
    try:
        calendar_date(year, month, day)
    except ValueError:
        return False
    return True
