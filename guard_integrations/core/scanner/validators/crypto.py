"""Addresses of cryptocurrencies."""

import hashlib
from typing import Final

__all__ = ["base58check", "bech32"]

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CONSTANTS: Final = (1, 0x2BC830A3)
_PAYLOAD: Final = 21
"""Bytes of an address: the version and a hash of 160 bits."""


def base58check(value: str) -> bool:
    """Bitcoin's addresses and those of its descendants: the last four bytes are a double SHA-256 of the rest."""
    number = 0
    for char in value:
        digit = _BASE58.find(char)
        if digit < 0:
            return False
        number = number * 58 + digit
    if number >= 1 << 8 * (_PAYLOAD + 4):
        return False
    data = number.to_bytes(_PAYLOAD + 4)
    payload, check = data[:_PAYLOAD], data[_PAYLOAD:]
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4] == check


def bech32(value: str) -> bool:
    """BIP 173 and BIP 350."""
    lower = value.lower()
    prefix, _, data = lower.rpartition("1")
    values = [_BECH32.find(char) for char in data]
    if value not in {lower, value.upper()} or min(values, default=-1) < 0:
        return False
    check = 1
    for part in [*(ord(char) >> 5 for char in prefix), 0, *(ord(char) & 31 for char in prefix), *values]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ part
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    return check in _BECH32_CONSTANTS
