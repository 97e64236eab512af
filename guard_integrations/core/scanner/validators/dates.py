"""Dates of birth."""

import re
from typing import Final

from guard_integrations.core.scanner.validators.checksums import calendar

__all__ = ["date"]

_NUMBERS: Final = re.compile(r"\d+")
_OLDEST: Final = 1880
_LATEST: Final = 2026
_MONTHS: Final = 12


def date(value: str) -> bool:
    """Whether the numbers of a match can be a day that somebody living was born on, in any order of day and month."""
    numbers = _NUMBERS.findall(value)
    years = [int(number) for number in numbers if len(number) == 4]  # noqa: PLR2004 - digits of a year
    if years and not _OLDEST <= years[0] <= _LATEST:
        return False
    if len(numbers) != 3:  # noqa: PLR2004 - day, month, year; else the month is a word
        return len(numbers) == 2 and 1 <= min(map(int, numbers)) <= 31  # noqa: PLR2004 - days of a month
    if not years:
        return max(map(int, numbers[:2])) <= 31 and min(map(int, numbers[:2])) in range(1, _MONTHS + 1)  # noqa: PLR2004
    rest = [int(number) for number in numbers if len(number) < 4]  # noqa: PLR2004 - as above
    if len(rest) != 2:  # noqa: PLR2004 - two years
        return False
    first, second = rest
    return calendar(years[0], first, second) or calendar(years[0], second, first)
