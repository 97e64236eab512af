"""Keys, tokens and passwords in the text of a file.

A key of Mistral is 32 letters and digits and says nothing of itself: it is known by the name it is given, or by the
call it is passed to.
"""

import re
from dataclasses import dataclass
from typing import Final

from guard_integrations.core.scanner.validators.secret import mixed

__all__ = ["Secret", "find_secrets", "masked", "wherever"]

_MASK: Final = "********"
_RANDOM: Final = re.compile(r"[A-Za-z0-9_\-]{20,}")
"""What is masked in a line that is shown if it looks like chance, though no rule knows it."""
_MISTRAL: Final = re.compile(
    r"(?i:mistral[\w.\-]{0,40}|\bapi[_\-]?keys?|\bx-api-key|\bbearer)[\"'\]]{0,2}\s{0,4}"
    r"(?::\s{0,4}[A-Za-z\[\]|. ]{1,30}\s{0,4}=|[:=,(]|\s){1,3}\s{0,4}(?:SecretStr\()?[bf]?[\"'`]?"
    r"(?:Bearer\s)?(?P<key>[A-Za-z0-9]{32})(?![A-Za-z0-9_\-])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A place where a secret stands.

    Args:
        rule: the id of the rule that found it.
        start: first character.
        end: one past the last character.
    """

    rule: str
    start: int
    end: int


def find_secrets(text: str) -> tuple[Secret, ...]:
    """The secrets of a text, in their order."""
    return tuple(
        Secret(rule="mistral-api-key", start=match.start("key"), end=match.end("key"))
        for match in _MISTRAL.finditer(text)
        if mixed(match["key"])
    )


def wherever(text: str, secrets: tuple[Secret, ...]) -> tuple[tuple[int, int], ...]:
    """Where the secrets of a text stand, and all places where one of them stands again, unnoticed."""
    values = {text[secret.start : secret.end] for secret in secrets}
    again = ((match.start(), match.end()) for value in values for match in re.finditer(re.escape(value), text))
    return tuple(sorted({*((secret.start, secret.end) for secret in secrets), *again}))


def masked(text: str, hidden: tuple[tuple[int, int], ...], start: int = 0) -> str:
    """A piece of a text with its secrets masked.

    Args:
        text: the piece.
        hidden: where the whole text has something to hide, in order.
        start: where the piece begins in the whole.
    """
    parts: list[str] = []
    at = 0
    for first, last in hidden:
        begin, end = max(first - start, at), min(last - start, len(text))
        if begin < end:
            parts += [text[at:begin], _MASK]
            at = end
    return _RANDOM.sub(lambda match: _MASK if mixed(match[0]) else match[0], "".join([*parts, text[at:]]))
