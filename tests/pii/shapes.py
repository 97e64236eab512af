"""Random digits and letters, and the shapes that they are poured into."""

import string
from random import Random


def random_digits(chance: Random, number: int) -> str:
    return "".join(chance.choices(string.digits, k=number))


def random_letters(chance: Random, number: int, of: str = string.ascii_uppercase) -> str:
    return "".join(chance.choices(of, k=number))


def filled(chance: Random, *shapes: str) -> str:
    """One of the shapes with its signs filled in: `#` any digit, `%` 1 to 9, `@` a capital letter."""
    make = {"#": string.digits, "%": "123456789", "@": string.ascii_uppercase}
    return "".join(chance.choice(make[char]) if char in make else char for char in chance.choice(shapes))


def poured(chance: Random, digits: str, *shapes: str) -> str:
    """The characters poured into one of the shapes, whose signs are `#`; an empty shape leaves them together."""
    shape = chance.choice(shapes)
    left = iter(digits)
    return "".join(next(left) if char == "#" else char for char in shape) if shape else digits


def birthday(chance: Random) -> tuple[int, int, int]:
    return chance.randint(1938, 2006), chance.randint(1, 12), chance.randint(1, 28)
