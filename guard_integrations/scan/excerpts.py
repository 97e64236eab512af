"""Pieces of the texts around findings, for the one report that shows them."""

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

import pyarrow as pa

__all__ = ["EXCERPTS", "MOST", "excerpts_of"]

MOST: Final = 200
"""Excerpts of one table."""
_AROUND: Final = 160
_LONGEST: Final = 2_000
"""Characters between the first and the last finding of an excerpt, which is cut at twice as many."""

_MARK: Final = pa.struct([
    pa.field("start", pa.int64()), pa.field("end", pa.int64()),
    pa.field("rule", pa.string()), pa.field("severity", pa.string()), pa.field("action", pa.string()),
])  # fmt: skip
EXCERPTS: Final = pa.schema([
    pa.field("path", pa.string()), pa.field("row", pa.int64()), pa.field("line", pa.int64()),
    pa.field("within", pa.string()), pa.field("start", pa.int64()), pa.field("text", pa.large_string()), pa.field("marks", pa.list_(_MARK)),
])  # fmt: skip
"""`start` is the excerpt's first character in the row's text; the marks are counted in the excerpt."""


def excerpts_of(table: pa.Table, findings: pa.Table) -> pa.Table:
    """The surroundings of findings, those that touch taken together; the first `MOST` of them.

    Args:
        table: what was scanned.
        findings: what was found in it.
    """
    rows = table["row"].to_pylist()
    places = table["within"].to_pylist() if "within" in table.column_names else [None] * len(rows)
    texts = dict(zip(zip(rows, places, strict=True), table["text"].to_pylist(), strict=True))
    named = ("row", "within", "line", "start", "end", "rule", "severity", "action")
    by_text: dict[tuple[int, str | None], list[_Mark]] = {}
    for row, within, *mark in zip(*(findings[name].to_pylist() for name in named), strict=True):
        by_text.setdefault((row, within), []).append(_Mark(*mark))
    path = table["path"][0].as_py() if table.num_rows else ""
    groups = (
        (place, group, room)
        for place, marks in by_text.items()
        for group, room in _with_room(list(_grouped(marks)), len(texts[place]))
    )
    made = [_excerpt(path, place, texts[place], group, room) for place, group, room in islice(groups, MOST)]
    return pa.Table.from_pylist(made, schema=EXCERPTS)


class _Mark(NamedTuple):
    line: int | None
    start: int
    end: int
    rule: str
    severity: str
    action: str


def _grouped(marks: list[_Mark]) -> Iterator[list[_Mark]]:
    """Marks whose surroundings touch, as long as they are not too many for one excerpt."""
    group: list[_Mark] = []
    for mark in marks:
        if group and (
            mark.start - 2 * _AROUND > max(one.end for one in group) or mark.start - group[0].start > _LONGEST
        ):
            yield group
            group = []
        group.append(mark)
    if group:
        yield group


def _with_room(groups: list[list[_Mark]], length: int) -> Iterator[tuple[list[_Mark], tuple[int, int]]]:
    """Each group, and between which places its excerpt stays: another one's mark would look as if it were none."""
    ends = [max(one.end for one in group) for group in groups]
    starts = [group[0].start for group in groups]
    for group, since, until in zip(groups, [0, *ends], [*starts[1:], length], strict=False):
        yield group, (since, until)


def _excerpt(
    path: str, place: tuple[int, str | None], text: str, group: list[_Mark], room: tuple[int, int]
) -> dict[str, object]:
    last = max(one.end for one in group)
    start = min(group[0].start, max(room[0], group[0].start - _AROUND))
    end = min(max(last, min(last + _AROUND, room[1])), start + 2 * _LONGEST)
    marks = [
        {"start": one.start - start, "end": min(one.end, end) - start, **_said(one)} for one in group if one.start < end
    ]
    said = {"path": path, "row": place[0], "within": place[1], "line": group[0].line}
    return {**said, "start": start, "text": text[start:end], "marks": marks}


def _said(mark: _Mark) -> dict[str, str]:
    return {"rule": mark.rule, "severity": mark.severity, "action": mark.action}
