"""A unit read into rows, and its rows written again with other texts."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyarrow import ArrowException, parquet

from guard_integrations.scan.files import Unreadable, located
from guard_integrations.scan.table import ROWS
from guard_integrations.scan.units import Unit

__all__ = ["Block", "blocks_of"]

_LONGEST_FIELD: Final = 1 << 27
_BATCH: Final = 4096
_BATCH_BYTES: Final = 16 << 20
"""Rows of Parquet, and their bytes, that are read together at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of a unit.

    Args:
        rows: which of the unit's rows have a text, counted from the block's first.
        texts: of these rows.
        size: rows in all, the broken ones included.
        broken: rows that could not be read, or only with characters replaced.
        written: the block as it stands in the file, with some of `texts`, by their place, replaced; without what is
            broken, since nobody has looked at it. For Parquet a stream of Arrow.
    """

    rows: list[int]
    texts: list[str]
    size: int
    broken: int
    written: Callable[[Mapping[int, str]], bytes]

    def table(self, unit: Unit, first: int) -> pa.Table:
        """What is scanned; `first` is the number of the block's first row."""
        count = len(self.rows)
        rows = pa.array([first + row for row in self.rows], pa.int64())
        path, kind = pa.repeat(unit.file.path, count), pa.repeat(unit.file.format, count)
        return pa.table([path, rows, kind, pa.array(self.texts, pa.large_string())], schema=ROWS)


def blocks_of(unit: Unit, *, whole: bool) -> Iterator[Block]:
    """The rows of a unit, in order.

    Args:
        unit: the unit.
        whole: whether the blocks will be written again, for which all columns are needed.

    Raises:
        Unreadable: the file has changed, or cannot be read any more.
    """
    problem = ""
    try:
        if unit.file.format == "parquet":
            yield from _parquet(unit, whole=whole)
        else:
            data = unit.data if unit.data is not None else _bytes(unit)
            yield _READERS.get(unit.file.format, _text)(data, unit)
    except (OSError, ArrowException) as error:
        problem = type(error).__name__
    if problem:
        raise Unreadable(f"{unit.file.path}: cannot be read ({problem})")


def _bytes(unit: Unit) -> bytes:
    system, inner = located(unit.file.path)
    with system.open_input_file(inner) as source:
        source.seek(unit.begin)
        data: bytes = source.read(unit.end - unit.begin)
    return data


def _decoded(data: bytes) -> tuple[str, bool]:
    """The text, and whether it is all there: what is not UTF-8 is replaced."""
    try:
        return data.decode("utf-8"), True
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace"), False


def _text(data: bytes, unit: Unit) -> Block:
    del unit
    text, whole = _decoded(data)
    return Block(
        rows=[0],
        texts=[text],
        size=1,
        broken=0 if whole else 1,
        written=lambda changed: changed[0].encode() if changed else data,
    )


def _jsonl(data: bytes, unit: Unit) -> Block:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    rows: list[int] = []
    texts: list[str] = []
    broken: set[int] = set()
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        text = _field(line, unit.column)
        if text is None:
            broken.add(number)
        elif text:
            rows.append(number)
            texts.append(text)

    def written(changed: Mapping[int, str]) -> bytes:
        kept: dict[int, bytes] = {at: line for at, line in enumerate(lines) if at not in broken}
        for at, text in changed.items():
            row = json.loads(lines[rows[at]])
            row[unit.column] = text
            kept[rows[at]] = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
        return b"\n".join(kept.values()) + (b"\n" if data.endswith(b"\n") and kept else b"")

    return Block(rows=rows, texts=texts, size=len(lines), broken=len(broken), written=written)


def _field(line: bytes, column: str) -> str | None:
    """The text of a row of JSON; "" where it has none, None where the row is broken."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    value = row.get(column)
    if value is None:
        return ""
    # A lone surrogate is valid in JSON and nowhere else.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _csv(data: bytes, unit: Unit) -> Block:
    text, whole = _decoded(data)
    csv.field_size_limit(_LONGEST_FIELD)
    at = unit.names.index(unit.column)
    records: list[list[str]] = []
    rows: list[int] = []
    texts: list[str] = []
    broken: set[int] = set()
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=unit.delimiter)
    failed = False
    while not failed:
        try:
            record = next(reader, None)
        except csv.Error:
            failed, record = True, []
        if record is None:
            break
        if failed or (record and len(record) != len(unit.names)):
            broken.add(len(records))
        elif record and record[at]:
            rows.append(len(records))
            texts.append(record[at])
        records.append(record)

    def written(changed: Mapping[int, str]) -> bytes:
        if not changed and not broken:
            return data
        for place, clean in changed.items():
            records[rows[place]][at] = clean
        out = io.StringIO(newline="")
        end = "\r\n" if b"\r\n" in data else "\n"
        kept = (record for number, record in enumerate(records) if number not in broken)
        csv.writer(out, delimiter=unit.delimiter, lineterminator=end).writerows(kept)
        return out.getvalue().encode()

    return Block(rows=rows, texts=texts, size=len(records), broken=len(broken) + (not whole), written=written)


def _parquet(unit: Unit, *, whole: bool) -> Iterator[Block]:
    system, inner = located(unit.file.path)
    with system.open_input_file(inner) as source:
        stored = parquet.ParquetFile(source)
        group = stored.metadata.row_group(unit.begin)
        rows = max(1, min(_BATCH, _BATCH_BYTES * group.num_rows // max(1, group.total_byte_size)))
        columns = None if whole else [unit.column]
        for batch in stored.iter_batches(batch_size=rows, row_groups=[unit.begin], columns=columns):
            yield _batch(pa.Table.from_batches([batch]), unit.column)


def _batch(table: pa.Table, column: str) -> Block:
    values, broken = _values(table[column])
    rows = [at for at, value in enumerate(values) if value]

    def written(changed: Mapping[int, str]) -> bytes:
        done = table
        if changed or broken:
            for place, clean in changed.items():
                values[rows[place]] = clean
            field = table.schema.field(column)
            cleaned = pa.array(values, pa.large_string())
            cleaned = cleaned.dictionary_encode() if pa.types.is_dictionary(field.type) else cleaned
            done = table.set_column(table.schema.get_field_index(column), field, cleaned.cast(field.type))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, done.schema) as stream:
            stream.write_table(done)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    return Block(rows=rows, texts=[values[at] or "" for at in rows], size=len(values), broken=broken, written=written)


def _values(column: pa.ChunkedArray) -> tuple[list[str | None], int]:
    """The texts of a column, and how many of them are not UTF-8, which nothing checks before they are read."""
    try:
        return column.to_pylist(), 0
    except UnicodeDecodeError:
        plain = column.cast(pa.large_string()).cast(pa.large_binary())
        decoded = [None if value is None else _decoded(value) for value in plain.to_pylist()]
        return [one and one[0] for one in decoded], sum(one is not None and not one[1] for one in decoded)


_READERS: Final[dict[str, Callable[[bytes, Unit], Block]]] = {"jsonl": _jsonl, "csv": _csv}
