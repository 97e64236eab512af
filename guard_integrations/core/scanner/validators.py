"""Checks that a pattern cannot make: checksums over a whole value, by the name that rules know them by."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["VALIDATORS", "luhn"]


def luhn(value: str) -> bool:
    """ISO/IEC 7812-1, Annex B: the check digit of payment cards. Everything but the digits is left out."""
    digits = [int(char) for char in value if char in "0123456789"]
    doubled = (digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2])  # noqa: PLR2004 - twice 5 is two digits
    return len(digits) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


VALIDATORS: Final[Mapping[str, Callable[[str], bool]]] = MappingProxyType({"luhn": luhn})
"""Validator by name. Each takes the whole matched head and says whether it is what it looks like."""
