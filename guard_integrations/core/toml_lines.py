"""On which line of a TOML file a setting stands. Python's parser does not say."""

import tomllib
from collections.abc import Mapping, Sequence

__all__ = ["line_of"]


def line_of(text: str, place: Sequence[int | str]) -> int | None:
    """The line, from 1, on which the statement begins that sets a key.

    The parser itself is asked, with more and more of the text: the key stands in the statement with which it first
    appears. That takes a moment for each line, and is for errors only.

    Args:
        text: valid TOML.
        place: the keys that lead there, from the outermost; what is no key of the text, such as a place in a list, is
            left out.
    """
    keys = _known(tomllib.loads(text), place)
    if not keys:
        return None
    lines = text.split("\n")
    begins = 0
    for end in range(1, len(lines) + 1):
        try:
            settings = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a statement
        if len(_known(settings, keys)) == len(keys):
            return begins + 1
        begins = end
    return None


def _known(settings: object, place: Sequence[int | str]) -> list[str]:
    """As much of a place as there is, as far as it is keys."""
    keys: list[str] = []
    for key in place:
        if not isinstance(key, str) or not isinstance(settings, Mapping) or key not in settings:
            break
        keys.append(key)
        settings = settings[key]
    return keys
