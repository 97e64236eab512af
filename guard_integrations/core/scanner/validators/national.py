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
_SAME: Final = re.compile(r"([0-9])\1*")


def _by_stdnum(name: str) -> Callable[[str], bool]:
    @cache
    def load() -> Callable[[str], bool]:
        # Each country is loaded when a text needs it.
        valid: Callable[[str], bool] = import_module(f"stdnum.{name}").is_valid
        return valid

    def check(value: str) -> bool:
        return _SAME.fullmatch(value) is None and load()(value)

    return check


def us_ssn(value: str) -> bool:
    """SSA: no area 000, 666 or 900 to 999, no group 00, no serial number 0000."""
    return _SSN.fullmatch(value) is not None


def document_number(value: str) -> bool:
    """A number on a document: at least four digits, and no date."""
    return sum("0" <= char <= "9" for char in value) >= _FEWEST_DIGITS and not re.fullmatch(
        r"(?:19|20)\d\d|\d{1,2}[\-/]\d{1,2}[\-/]\d{2,4}|\d{4}-\d\d-\d\d", value
    )


NUMBERS: Final[Mapping[str, Callable[[str], bool]]] = MappingProxyType(
    {
        "at-svnr": _by_stdnum("at.vnr"),
        "au-medicare": checksums.medicare_au,
        "au-tfn": _by_stdnum("au.tfn"),
        "be-nn": _by_stdnum("be.nn"),
        "br-cpf": _by_stdnum("br.cpf"),
        "ca-sin": _by_stdnum("ca.sin"),
        "ch-ahv": _by_stdnum("ch.ssn"),
        "de-idnr": _by_stdnum("de.idnr"),
        "de-rvnr": checksums.de_rvnr,
        "dk-cpr": _by_stdnum("dk.cpr"),
        "es-dni": _by_stdnum("es.dni"),
        "es-nie": _by_stdnum("es.nie"),
        "es-nss": checksums.es_nss,
        "fi-hetu": _by_stdnum("fi.hetu"),
        "fr-nif": _by_stdnum("fr.nif"),
        "fr-nir": _by_stdnum("fr.nir"),
        "gb-nhs": _by_stdnum("gb.nhs"),
        "gb-utr": _by_stdnum("gb.utr"),
        "ie-pps": _by_stdnum("ie.pps"),
        "in-aadhaar": _by_stdnum("in_.aadhaar"),
        "in-pan": _by_stdnum("in_.pan"),
        "it-codice-fiscale": _by_stdnum("it.codicefiscale"),
        "it-iva": _by_stdnum("it.iva"),
        "nl-bsn": _by_stdnum("nl.bsn"),
        "no-fnr": _by_stdnum("no.fodselsnummer"),
        "pl-nip": _by_stdnum("pl.nip"),
        "pl-pesel": _by_stdnum("pl.pesel"),
        "pt-cc": _by_stdnum("pt.cc"),
        "pt-nif": _by_stdnum("pt.nif"),
        "se-personnummer": _by_stdnum("se.personnummer"),
        "us-itin": _by_stdnum("us.itin"),
    }
)
"""Validator by the id of its rule."""
