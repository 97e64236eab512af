"""National identity, tax and social security numbers; most of their checksums are python-stdnum's."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Final

from guard_integrations.core.scanner.validators import checksums

__all__ = ["NUMBERS", "document_number", "us_ssn"]

_SSN: Final = re.compile(r"(?!000|666|9)[0-9]{3}([- ])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}")
_FEWEST_DIGITS: Final = 4
_GROUPING: Final = dict.fromkeys(map(ord, " .-/+"))
_DOTS: Final = {ord("."): None}
_ITIN: Final = re.compile(r"9[0-9]{2}([- ])(?:5[0-9]|6[0-5]|7[0-9]|8[0-8]|9[0-24-9])\1[0-9]{4}")
_SAME: Final = re.compile(r"([0-9])\1*")


def _by_stdnum(name: str, *lengths: int) -> Callable[[str], bool]:
    """The check of one kind of number, for values of these lengths without what parts their groups."""

    @cache
    def load() -> Callable[[str], bool]:
        # Each country is loaded when a text needs it.
        valid: Callable[[str], bool] = import_module(f"stdnum.{name}").is_valid
        return valid

    def check(value: str) -> bool:
        compact = value.translate(_GROUPING)
        return len(compact) in lengths and _SAME.fullmatch(compact) is None and load()(value.translate(_DOTS))

    return check


def us_ssn(value: str) -> bool:
    """SSA: no area 000, 666 or 900 to 999, no group 00, no serial number 0000."""
    return _SSN.fullmatch(value) is not None


def us_itin(value: str) -> bool:
    """IRS, Publication 1915: begins with 9, and the group is 50 to 65, 70 to 88, 90 to 92 or 94 to 99."""
    return _ITIN.fullmatch(value) is not None


def document_number(value: str) -> bool:
    """A number on a document: at least four digits, and no date."""
    return sum("0" <= char <= "9" for char in value) >= _FEWEST_DIGITS and not re.fullmatch(
        r"(?:19|20)\d\d|\d{1,2}[\-/]\d{1,2}[\-/]\d{2,4}|\d{4}-\d\d-\d\d", value
    )


NUMBERS: Final[Mapping[str, Callable[[str], bool]]] = MappingProxyType(
    {
        "at-svnr": _by_stdnum("at.vnr", 10),
        "au-medicare": checksums.medicare_au,
        "au-tfn": _by_stdnum("au.tfn", 8, 9),
        "be-nn": _by_stdnum("be.nn", 11),
        "br-cpf": _by_stdnum("br.cpf", 11),
        "ca-sin": _by_stdnum("ca.sin", 9),
        "ch-ahv": _by_stdnum("ch.ssn", 13),
        "de-idnr": _by_stdnum("de.idnr", 11),
        "de-rvnr": checksums.de_rvnr,
        "dk-cpr": _by_stdnum("dk.cpr", 10),
        "es-dni": _by_stdnum("es.dni", 9),
        "es-nie": _by_stdnum("es.nie", 9),
        "es-nss": checksums.es_nss,
        "fi-hetu": _by_stdnum("fi.hetu", 10, 11),
        "fr-nif": _by_stdnum("fr.nif", 13),
        "fr-nir": _by_stdnum("fr.nir", 15),
        "gb-nhs": _by_stdnum("gb.nhs", 10),
        "gb-utr": _by_stdnum("gb.utr", 10, 11),
        "ie-pps": _by_stdnum("ie.pps", 8, 9),
        "in-aadhaar": checksums.aadhaar,
        "in-pan": _by_stdnum("in_.pan", 10),
        "it-codice-fiscale": _by_stdnum("it.codicefiscale", 16),
        "it-iva": _by_stdnum("it.iva", 11, 13),
        "nl-bsn": _by_stdnum("nl.bsn", 9),
        "no-fnr": _by_stdnum("no.fodselsnummer", 11),
        "pl-nip": _by_stdnum("pl.nip", 10),
        "pl-pesel": _by_stdnum("pl.pesel", 11),
        "pt-cc": _by_stdnum("pt.cc", 12),
        "pt-nif": _by_stdnum("pt.nif", 9),
        "se-personnummer": _by_stdnum("se.personnummer", 10, 12),
        "us-itin": us_itin,
    }
)
"""Validator by the id of its rule."""
