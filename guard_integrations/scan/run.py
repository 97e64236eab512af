"""A whole scan: files into units, units through an engine, and what is found, in order, to whoever writes it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from guard_integrations.core.findings import Severity
from guard_integrations.scan.excerpts import EXCERPTS
from guard_integrations.scan.files import File, Unreadable
from guard_integrations.scan.table import FINDINGS, FLOWING
from guard_integrations.scan.units import Unit, units_of
from guard_integrations.scan.work import Result

__all__ = ["Engine", "Part", "Sink", "Totals", "scan"]

Engine: TypeAlias = Callable[[Iterable[Unit]], Iterator[Result]]
"""Does the work on units and gives back the results in their order."""


_SMALL: Final = 100_000
"""Bytes that are not worth being told in megabytes."""


@dataclass(slots=True, kw_only=True)
class Totals:
    """What a scan has come to, so far.

    Args:
        files: how many have been read to their end, or as far as they could be.
        rows: rows of them; a text is one.
        broken: rows that could not be read, or only with characters replaced.
        size: bytes of the files.
        rules: findings by rule, category, severity and action.
        problems: why files could not be read.
    """

    files: int = 0
    rows: int = 0
    broken: int = 0
    size: int = 0
    rules: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def findings(self) -> int:
        """How many there are."""
        return sum(self.rules.values())

    @property
    def said(self) -> str:
        """The counts as a sentence without its full stop."""
        said = f"{_many(self.files, 'file')}, {_many(self.rows, 'row')}, {_bytes(self.size)}: "
        said += _many(self.findings, "finding")
        return f"{said}; {_many(self.broken, 'row')} broken" if self.broken else said

    def at_least(self, severity: Severity) -> int:
        """How many are as severe as that, or more."""
        order = list(Severity)
        wanted = {one.value for one in order[order.index(severity) :]}
        return sum(count for (_, _, how_bad, _), count in self.rules.items() if how_bad in wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The next part of a scan, with everything counted from the beginning of its file.

    Args:
        unit: what it came of.
        findings: with the columns of `FINDINGS`.
        excerpts: with the columns of `EXCERPTS`.
        clean: as it is to be written.
        problem: why the unit could not be read; empty for one that could.
    """

    unit: Unit
    findings: pa.Table
    excerpts: pa.Table
    clean: bytes
    problem: str


class Sink(Protocol):
    """Who writes a scan down."""

    def take(self, part: Part) -> None:
        """Takes the next part; the parts of a file come one after the other."""

    def finish(self, totals: Totals) -> None:
        """Writes the end; called once, when everything has been taken."""


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= _SMALL else f"{size / 1e3:,.1f} kB"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


@dataclass(slots=True)
class _Before:
    """What came of the file before a unit."""

    rows: int = 0
    characters: int = 0
    lines: int = 0


def scan(
    files: Iterable[File],
    engine: Engine,
    sinks: Iterable[Sink],
    *,
    column: str | None = None,
    progress: Callable[[Totals], object] = lambda _: None,
) -> Totals:
    """Scans files to their end.

    A file that cannot be read is a problem, and the scan goes on.

    Args:
        files: what is scanned.
        engine: does the work.
        sinks: are given each part in the order of the files.
        column: the column that holds the texts, where there are columns; found, where none is named.
        progress: told after each unit.

    Raises:
        GuardUnavailable: the engine gave up.
    """
    totals = Totals()
    sinks = tuple(sinks)
    sent: list[Unit] = []
    before = _Before()
    file: File | None = None
    for result in engine(_noted(files, column, sent, totals)):
        unit = sent.pop(0)
        if unit.file != file:
            file, before = unit.file, _Before()
        part = _placed(unit, result, before)
        _count(totals, unit, result)
        for sink in sinks:
            sink.take(part)
        before.rows += result.rows
        before.characters += result.characters
        before.lines += result.lines
        progress(totals)
    for sink in sinks:
        sink.finish(totals)
    return totals


def _noted(files: Iterable[File], column: str | None, sent: list[Unit], totals: Totals) -> Iterator[Unit]:
    for file in files:
        try:
            for unit in units_of(file, column):
                sent.append(unit)
                yield unit
        except Unreadable as error:
            totals.problems.append(str(error))


def _count(totals: Totals, unit: Unit, result: Result) -> None:
    flows = unit.file.format in FLOWING
    totals.files += unit.last
    totals.rows += unit.last if flows else result.rows
    totals.broken += result.broken
    totals.size += unit.size
    if result.problem:
        totals.problems.append(result.problem)
    keys = ("rule", "category", "severity", "action")
    for row in result.findings.group_by(keys).aggregate([([], "count_all")]).to_pylist():
        key = (row["rule"], row["category"], row["severity"], row["action"])
        totals.rules[key] = totals.rules.get(key, 0) + row["count_all"]


def _placed(unit: Unit, result: Result, before: _Before) -> Part:
    """A result with its rows, characters and lines counted from the beginning of the file."""
    findings, excerpts = result.findings, result.excerpts
    kind = unit.file.format
    if kind in FLOWING:
        findings = _added(findings, {"start": before.characters, "end": before.characters, "line": before.lines})
        excerpts = _added(excerpts, {"start": before.characters, "line": before.lines})
    else:
        findings, excerpts = (_added(table, {"row": before.rows}) for table in (findings, excerpts))
    if kind == "jsonl":
        findings, excerpts = (_with_lines(table) for table in (findings, excerpts))
    return Part(
        unit=unit,
        findings=findings.cast(FINDINGS),
        excerpts=excerpts.cast(EXCERPTS),
        clean=result.clean,
        problem=result.problem,
    )


def _added(table: pa.Table, more: dict[str, int]) -> pa.Table:
    for name, count in more.items():
        if count:
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at), pc.add(table[name], count))
    return table


def _with_lines(table: pa.Table) -> pa.Table:
    """In JSON lines a row is a line."""
    at = table.schema.get_field_index("line")
    return table.set_column(at, table.schema.field(at), pc.add(table["row"], 1))
