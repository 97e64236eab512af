"""Which telephone numbers there are, by the numbering plans that `phonenumbers` keeps.

Its own functions take 50 µs for a number, and a text may hold many that are none: here each plan becomes one pattern
of the linear-time engine.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from guard_integrations.core.scanner.linear import Search, compile_pattern

if TYPE_CHECKING:
    from types import ModuleType

    from phonenumbers import PhoneMetadata

__all__ = ["given_out", "given_out_abroad", "possible_abroad"]

_WITH_TRUNK_ZERO: Final = (49, 33, 44, 31, 32, 43, 41, 46, 353, 358)
"""Calling codes of countries in which a number is dialled with a zero that is no part of it."""
_ITALY: Final = 39
_LONGEST_CODE: Final = 3
_KINDS: Final = (
    "fixed_line", "mobile", "premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan",
    "voicemail",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A country's plan.

    Args:
        trunk: what is dialled before a number within the country; empty where nothing is.
        lengths: how many digits a number may have, without its area's code, too.
        pattern: RE2's, for all numbers that may have been given out.
    """

    trunk: str
    lengths: frozenset[int]
    pattern: str

    def forms(self, digits: str) -> Iterable[str]:
        """The number as it stands behind the country's code, and without the zero that should not stand there."""
        yield digits
        if self.trunk and digits.startswith(self.trunk):
            yield digits[len(self.trunk) :]


@cache
def _library() -> "ModuleType":
    # 0.1 s, which only texts with something like a telephone number in them have to wait for.
    import phonenumbers  # noqa: PLC0415

    return phonenumbers


@cache
def _plan(code: int) -> _Plan | None:
    """The plan of a calling code; None where no country has it."""
    library = _library()
    regions: tuple[str, ...] = library.COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    kinds = library.PhoneMetadata
    found: list[PhoneMetadata] = [
        kinds.metadata_for_nongeo_region(code) if region == "001" else kinds.metadata_for_region(region)
        for region in regions
    ]
    general = found[0].general_desc if found else None
    if general is None:
        return None
    patterns = [
        desc.national_number_pattern.replace("\n", "").replace(" ", "")
        for one in found
        for kind in _KINDS
        if (desc := getattr(one, kind)) is not None and desc.national_number_pattern
    ]
    return _Plan(
        trunk=found[0].national_prefix or "",
        lengths=frozenset((*general.possible_length, *general.possible_length_local_only)),
        pattern="|".join(f"(?:{pattern})" for pattern in dict.fromkeys(patterns)),
    )


@cache
def _numbers_of(code: int) -> Search | None:
    plan = _plan(code)
    return None if plan is None else compile_pattern(rf"(?:{plan.pattern})\z").match


@cache
def _with_zero() -> Search:
    """Numbers as they are dialled within one of the countries."""
    plans = [plan.pattern for code in _WITH_TRUNK_ZERO if (plan := _plan(code)) is not None]
    italy = _plan(_ITALY)
    # Italy's leading zero belongs to the number.
    return compile_pattern(rf"(?:0(?:{'|'.join(plans)})|{'' if italy is None else italy.pattern})\z").match


def given_out(digits: str) -> bool:
    """Whether a number with its leading zero may have been given out in a country that has one."""
    return _with_zero()(digits.encode(), 0, len(digits)) is not None


def _abroad(digits: str) -> tuple[int, _Plan, str] | None:
    """The calling code that the digits begin with, its plan, and the rest."""
    for length in range(1, _LONGEST_CODE + 1):
        code = int(digits[:length] or "0")
        if code and (plan := _plan(code)) is not None:
            return code, plan, digits[length:]
    return None


def possible_abroad(digits: str) -> bool:
    """Whether there is a country with this code, in which numbers may be as long as this one."""
    found = _abroad(digits)
    return found is not None and any(len(form) in found[1].lengths for form in found[1].forms(found[2]))


def given_out_abroad(digits: str) -> bool:
    """Whether a number with its country's code may have been given out there."""
    found = _abroad(digits)
    numbers = None if found is None else _numbers_of(found[0])
    return (
        found is not None
        and numbers is not None
        and any(numbers(form.encode(), 0, len(form)) is not None for form in found[1].forms(found[2]))
    )
