"""What is done with a unit: read, scanned and, where asked for, written again without what the policy filters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from guard_integrations.scan.excerpts import EXCERPTS, excerpts_of
from guard_integrations.scan.files import Unreadable
from guard_integrations.scan.reading import Block, blocks_of
from guard_integrations.scan.table import FINDINGS, FLOWING, Scanner, render_of
from guard_integrations.scan.units import Unit

__all__ = ["Result", "Work"]

_COUNTS: Final = ("rows", "broken", "characters", "lines")
_STORED: Final = pa.schema([
    *(pa.field(name, pa.int64()) for name in _COUNTS),
    pa.field("problem", pa.string()),
    *(pa.field(name, pa.large_binary()) for name in ("findings", "excerpts", "clean")),
])  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a unit. Rows, lines and, in texts, characters are counted from the unit's first.

    Args:
        findings: with the columns of `FINDINGS`.
        excerpts: with the columns of `EXCERPTS`; empty where nobody asked.
        rows: how many there are.
        broken: how many of them could not be read, or only with characters replaced.
        characters: of a unit of a text, which is counted as no row of its own.
        lines: of a unit of a text.
        clean: the unit as it is to be written; for Parquet streams of Arrow, one after the other.
        problem: why the unit could not be read; empty for one that could.
    """

    findings: pa.Table
    excerpts: pa.Table
    rows: int = 0
    broken: int = 0
    characters: int = 0
    lines: int = 0
    clean: bytes = b""
    problem: str = ""

    def stored(self) -> pa.Table:
        """The result as one row of a table, for engines and for files."""
        counts = [[getattr(self, name)] for name in _COUNTS]
        tables = [[_packed(self.findings)], [_packed(self.excerpts)]]
        return pa.table([*counts, [self.problem], *tables, [self.clean]], schema=_STORED)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Result":
        """The result that `stored` has made a row of."""
        values = {name: row[name] for name in _STORED.names}
        for name in ("findings", "excerpts"):
            values[name] = pa.ipc.open_stream(values[name]).read_all()
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done with every unit. Picklable.

    Args:
        scanner: what looks at the texts.
        cleans: whether a cleaned copy is asked for.
        quotes: whether excerpts of the texts are asked for.
    """

    scanner: Scanner
    cleans: bool = False
    quotes: bool = False

    def __call__(self, unit: Unit) -> Result:
        """Does it."""
        blocks = self._blocks(unit)
        findings: list[pa.Table] = [FINDINGS.empty_table()]
        excerpts: list[pa.Table] = [EXCERPTS.empty_table()]
        clean: list[bytes] = []
        rows = broken = characters = lines = 0
        problem = ""
        try:
            for block in blocks:
                table = block.table(unit, rows)
                found = self.scanner.scan_batch(table)
                findings.append(found)
                if self.quotes and found.num_rows:
                    excerpts.append(excerpts_of(table, found))
                if self.cleans:
                    clean.append(block.written(block.changes(self._cleaned(unit, block, rows, found))))
                rows += block.size
                broken += block.broken
                if unit.file.format in FLOWING:
                    text = block.pieces[0].text
                    characters, lines = len(text), text.count("\n")
        except Unreadable as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, its message may hold content
            problem = f"{unit.file.path}: {type(error).__name__} while it was scanned"
        return Result(
            findings=pa.concat_tables(findings),
            excerpts=pa.concat_tables(excerpts),
            rows=rows,
            broken=broken,
            characters=characters,
            lines=lines,
            clean=b"".join(clean),
            problem=problem,
        )

    def _blocks(self, unit: Unit) -> Iterator[Block]:
        return blocks_of(unit, whole=self.cleans)

    def _cleaned(self, unit: Unit, block: Block, first: int, found: pa.Table) -> dict[int, str]:
        """The texts of a block that are changed, by their place in it."""
        hit = set(pc.unique(found["row"]).to_pylist())
        render = render_of(unit.file.format)
        return {
            at: self.scanner.at(piece.stage).clean(piece.text, render)
            for at, (row, piece) in enumerate(zip(block.rows, block.pieces, strict=True))
            if first + row in hit
        }


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data
