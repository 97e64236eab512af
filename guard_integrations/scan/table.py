"""The scan as one pure function on Arrow tables, so that any engine can map it."""

from typing import Any, Final

import pyarrow as pa

from guard_integrations.core.findings import Finding, Stage
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.scanner.markup import Render
from guard_integrations.errors import PolicyError
from guard_integrations.scan.text import TextScanner

__all__ = ["FINDINGS", "FLOWING", "ROWS", "Scanner"]

ROWS: Final = pa.schema([
    pa.field("path", pa.string(), nullable=False),
    pa.field("row", pa.int64(), nullable=False),
    pa.field("format", pa.string(), nullable=False),
    pa.field("text", pa.large_string()),
])  # fmt: skip
"""What is scanned: where each text comes from, and the text. Other columns are left alone."""

TURNS: Final = pa.schema([*ROWS, pa.field("stage", pa.string()), pa.field("within", pa.string())])
"""The same of conversations: where each text stands, if not where the scanner says, and where it is in the row's value."""

FINDINGS: Final = pa.schema([
    pa.field("path", pa.string(), nullable=False),
    pa.field("row", pa.int64(), nullable=False),
    pa.field("line", pa.int64()),
    pa.field("within", pa.string()),
    pa.field("start", pa.int64(), nullable=False),
    pa.field("end", pa.int64(), nullable=False),
    pa.field("rule", pa.string(), nullable=False),
    pa.field("category", pa.string(), nullable=False),
    pa.field("severity", pa.string(), nullable=False),
    pa.field("score", pa.float64(), nullable=False),
    pa.field("action", pa.string(), nullable=False),
    pa.field("view", pa.string(), nullable=False),
])  # fmt: skip
"""What is found: `start` and `end` are characters of the text; `line`, from 1, is the file's where it has lines; `within`
is the place of a conversation's text in the row's value, as a JSONPath."""

FLOWING: Final = frozenset({"text", "markdown", "html"})
"""Formats in which a file is one row, whose lines are the file's."""


class Scanner:
    """What maps over tables. Immutable, picklable, and safe to share between threads.

    Args:
        policy: what to look for.
        stage: where the texts stand.

    Raises:
        PolicyError: as `TextScanner`.
    """

    def __init__(self, policy: GuardPolicy | None = None, stage: Stage = "document") -> None:
        self.policy = policy or GuardPolicy()
        self.stage: Stage = stage
        self.text = TextScanner(self.policy, stage)
        self._others: dict[Stage, TextScanner] = {stage: self.text}

    def __reduce__(self) -> tuple[type["Scanner"], tuple[GuardPolicy, Stage]]:
        return type(self), (self.policy, self.stage)

    def __call__(self, table: pa.Table) -> pa.Table:
        """`scan_batch`, for engines that map callables."""
        return self.scan_batch(table)

    def at(self, stage: Stage | None) -> TextScanner:
        """What looks at the texts of a stage; None stands for the scanner's own."""
        if stage is None:
            return self.text
        if stage not in self._others:
            self._others[stage] = TextScanner(self.policy, stage)
        return self._others[stage]

    def scan_batch(self, table: pa.Table) -> pa.Table:
        """The findings in a table of texts, row by row: however rows are put into tables, they are the same.

        Args:
            table: with the columns of `ROWS`, or of `TURNS`; a text that is null has none.

        Returns:
            A table with the columns of `FINDINGS`.

        Raises:
            PolicyError: a column is missing.
        """
        if missing := [name for name in ROWS.names if name not in table.column_names]:
            raise PolicyError(f"the table has no column {', '.join(missing)}; it needs {', '.join(ROWS.names)}")
        texts = table["text"].to_pylist()
        stages = table["stage"].to_pylist() if "stage" in table.column_names else [None] * len(texts)
        alike: dict[tuple[str, Stage | None], list[int]] = {}
        for at, one in enumerate(zip(table["format"].to_pylist(), stages, strict=True)):
            alike.setdefault(one, []).append(at)
        hits: dict[int, list[Finding]] = {}
        for (kind, stage), places in alike.items():
            each = self.at(stage).each([texts[at] or "" for at in places], render_of(kind))
            hits |= {at: findings for at, findings in zip(places, each, strict=True) if findings}
        found = Found()
        for at in sorted(hits):
            found.add(table.slice(at, 1).to_pylist()[0], hits[at])
        return found.table()


def render_of(kind: str) -> Render:
    """As what a format's texts are shown."""
    return "html" if kind == "html" else "markdown"


class Found:
    """Findings on their way into a table."""

    def __init__(self) -> None:
        self._columns: dict[str, list[object]] = {name: [] for name in FINDINGS.names}

    def add(self, row: dict[str, Any], findings: list[Finding]) -> None:
        """Takes the findings in one text, with the columns that it came with."""
        at, line = 0, 1
        kind, text = row["format"], row["text"]
        for one in findings:
            if kind in FLOWING:
                line += text.count("\n", at, one.start)
                at = one.start
            place = (row["path"], row["row"], line if kind in FLOWING else None, row.get("within"))
            values = (*place, one.start, one.end)
            said = (one.rule, one.category.value, one.severity.value, one.score, one.action.value, one.view)
            for column, value in zip(self._columns.values(), (*values, *said), strict=True):
                column.append(value)

    def table(self) -> pa.Table:
        """What was taken."""
        return pa.table(self._columns, schema=FINDINGS)
