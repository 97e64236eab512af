"""Checks that a pattern cannot make, by the name that rules know them by.

Each takes a whole match and says whether it is what it looks like, or how many of its characters, from the first on,
are. What a pattern takes in past the end of a value, so that a part of something longer is told from the value itself,
is refused here.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from guard_integrations.core.scanner.validators import checksums, contact, crypto, dates, national, secret

__all__ = ["VALIDATORS"]

VALIDATORS: Final[Mapping[str, Callable[[str], bool | int]]] = MappingProxyType(
    {
        "base58check": crypto.base58check,
        "bech32": crypto.bech32,
        "card": checksums.card,
        "coordinates": contact.coordinates,
        "date": dates.date,
        "document-number": national.document_number,
        "email": contact.email,
        "entropy": secret.entropy,
        "french-phone": contact.french_phone,
        "iban": checksums.iban,
        "ipv4": contact.ipv4,
        "ipv6": contact.ipv6,
        "luhn": checksums.luhn,
        "mac": contact.mac,
        "mixed": secret.mixed,
        "nanp-phone": contact.nanp_phone,
        "password": secret.password,
        "password-word": secret.password_word,
        "phone-number": contact.phone_number,
        "international-phone": contact.international_phone,
        "national-phone": contact.national_phone,
        "url-credentials": secret.url_credentials,
        "token": secret.token,
        "us-ssn": national.us_ssn,
        **national.NUMBERS,
    }
)
"""Validator by name."""
