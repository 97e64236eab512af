"""Comments that suppress a finding: `# guard: ignore[GI003] reason`, at the place itself or on a line of its own above.

Any comment of any language will do; several ids are parted by commas. The reason is shown wherever suppressed findings
are.
"""

import re
from typing import Final

from guard_integrations.audit.model import Hit
from guard_integrations.audit.source import SourceFile

__all__ = ["justification"]

_IGNORE: Final = re.compile(
    r"(?:#|//|/\*|<!--|\{#|--|;)\s*guard:\s*ignore\[\s*(GI\d{3}(?:\s*,\s*GI\d{3})*)\s*\][ \t:-]*(.*?)\s*(?:\*/|-->|#\})?\s*$"
)
_ALONE: Final = re.compile(r"\s*\{?\s*(?:#|//|/\*|<!--|\{#|--|;)\s*guard:")


def justification(file: SourceFile, check: str, hit: Hit) -> str | None:
    """What the comment says that suppresses a hit; None where there is no such comment."""
    if "guard:" not in file.text:
        return None
    first, _ = file.place(hit.start)
    last, _ = file.place(max(hit.start, hit.end - 1))
    for number in {first, last, first - 1}:
        line = file.lines[number - 1] if number >= 1 else ""
        if number < first and not _ALONE.match(line):
            continue
        match = _IGNORE.search(line)
        if match and check in re.split(r"\s*,\s*", match[1]):
            return match[2]
    return None
