"""The evaluation set: texts made from templates, with the places of the personal data in them.

The templates are what people write: letters, tickets, invoices, forms, chats, tables, JSON. Half of them is for
tuning, the other half is held back and only ever measured.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Literal
from zlib import crc32

from pii.values import HARMLESS, SENSITIVE

Split = Literal["tune", "held"]

LANGUAGES: Final = ("en", "fr", "de", "es", "it", "xx")
_PLACE: Final = re.compile(r"<<(\w+)>>")
_TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A text, and where in it personal data stand.

    Args:
        text: the text.
        spans: first character and one past the last of each, in order.
        kinds: what each is.
        language: of the text; `xx` for a few languages more, empty for a text without personal data.
        split: the half of the set that its template belongs to.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    kinds: tuple[str, ...]
    language: str
    split: Split


def templates(name: str) -> list[str]:
    """The templates of a language, or the harmless ones."""
    return (_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n").split("\n%%\n")


def split_of(template: str) -> Split:
    """The half that a template belongs to; it stays there when others are added."""
    return "tune" if crc32(template.encode()) & 1 else "held"


def corpus(seed: int, *, each: int = 4) -> Iterator[Example]:
    """All templates, each filled in so many times.

    Args:
        seed: of the values.
        each: texts of a template; of a harmless one, too.
    """
    for name in (*LANGUAGES, "harmless"):
        for template in templates(name):
            chance = Random(f"{seed} {template}")  # noqa: S311 - no secret
            for _ in range(each):
                yield _filled(template, "" if name == "harmless" else name, chance)


def _filled(template: str, language: str, chance: Random) -> Example:
    text = ""
    spans: list[tuple[int, int]] = []
    kinds: list[str] = []
    at = 0
    for place in _PLACE.finditer(template):
        text += template[at : place.start()]
        kind = place[1]
        value = (SENSITIVE.get(kind) or HARMLESS[kind])(chance)
        if kind in SENSITIVE:
            spans.append((len(text), len(text) + len(value)))
            kinds.append(kind)
        text += value
        at = place.end()
    return Example(
        text=text + template[at:], spans=tuple(spans), kinds=tuple(kinds), language=language, split=split_of(template)
    )
