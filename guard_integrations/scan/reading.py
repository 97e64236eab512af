"""A unit read into rows, and its rows written again with other texts."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa
from pyarrow import ArrowException, parquet

from guard_integrations.scan.files import Unreadable, located
from guard_integrations.scan.messages import Piece, Steps, pieces_of, rewritten, stores_messages, within
from guard_integrations.scan.table import ROWS, TURNS
from guard_integrations.scan.units import Unit

__all__ = ["Block", "blocks_of"]

Changes: TypeAlias = Mapping[int, Sequence[tuple[Steps, str]]]
"""By row, what stands where in it now."""

_LONGEST_FIELD: Final = 1 << 27
_BATCH: Final = 4096
_BATCH_BYTES: Final = 16 << 20
"""Rows of Parquet, and their bytes, that are read together at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of a unit.

    Args:
        rows: the unit's row that each text is of, counted from the block's first.
        pieces: the texts, one for each of `rows`; a conversation has several.
        size: rows in all, the broken ones included.
        broken: rows that could not be read, or only with characters replaced.
        written: the block as it stands in the file, with some of the texts, by their place, replaced; without what is
            broken, since nobody has looked at it. For Parquet a stream of Arrow.
    """

    rows: list[int]
    pieces: list[Piece]
    size: int
    broken: int
    written: Callable[[Changes], bytes]

    def table(self, unit: Unit, first: int) -> pa.Table:
        """What is scanned; `first` is the number of the block's first row."""
        count = len(self.rows)
        rows = pa.array([first + row for row in self.rows], pa.int64())
        path, kind = pa.repeat(unit.file.path, count), pa.repeat(unit.file.format, count)
        columns = [path, rows, kind, pa.array([piece.text for piece in self.pieces], pa.large_string())]
        if not unit.messages:
            return pa.table(columns, schema=ROWS)
        stages = pa.array([piece.stage for piece in self.pieces], pa.string())
        places = pa.array([within(piece.steps) if piece.steps else None for piece in self.pieces], pa.string())
        return pa.table([*columns, stages, places], schema=TURNS)

    def changes(self, changed: Mapping[int, str]) -> Changes:
        """What is changed in each row."""
        found: dict[int, list[tuple[Steps, str]]] = {}
        for at, text in changed.items():
            found.setdefault(self.rows[at], []).append((self.pieces[at].steps, text))
        return found


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
        pieces=[Piece(text, None, ())],
        size=1,
        broken=0 if whole else 1,
        written=lambda changes: changes[0][0][1].encode() if changes else data,
    )


class _Rows:
    """Rows of a table as they are read."""

    def __init__(self, unit: Unit) -> None:
        self.rows: list[int] = []
        self.pieces: list[Piece] = []
        self.broken: set[int] = set()
        self._messages = unit.messages

    def take(self, row: int, value: object) -> None:
        pieces = pieces_of(value, messages=self._messages)
        if pieces is None:
            self.broken.add(row)
            return
        for piece in pieces:
            self.rows.append(row)
            self.pieces.append(piece)


def _jsonl(data: bytes, unit: Unit) -> Block:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    read = _Rows(unit)
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            read.take(number, row.get(unit.column))
        else:
            read.broken.add(number)

    def written(changes: Changes) -> bytes:
        kept: dict[int, bytes] = {at: line for at, line in enumerate(lines) if at not in read.broken}
        for at, each in changes.items():
            row = json.loads(lines[at])
            row[unit.column] = rewritten(row[unit.column], each)
            kept[at] = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
        return b"\n".join(kept.values()) + (b"\n" if data.endswith(b"\n") and kept else b"")

    return Block(rows=read.rows, pieces=read.pieces, size=len(lines), broken=len(read.broken), written=written)


def _csv(data: bytes, unit: Unit) -> Block:
    text, whole = _decoded(data)
    csv.field_size_limit(_LONGEST_FIELD)
    at = unit.names.index(unit.column)
    records: list[list[str]] = []
    read = _Rows(unit)
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
            read.broken.add(len(records))
        elif record:
            read.take(len(records), record[at])
        records.append(record)

    def written(changes: Changes) -> bytes:
        if not changes and not read.broken:
            return data
        for row, each in changes.items():
            records[row][at] = str(rewritten(records[row][at], each))
        out = io.StringIO(newline="")
        end = "\r\n" if b"\r\n" in data else "\n"
        kept = (record for number, record in enumerate(records) if number not in read.broken)
        csv.writer(out, delimiter=unit.delimiter, lineterminator=end).writerows(kept)
        return out.getvalue().encode()

    broken = len(read.broken) + (not whole)
    return Block(rows=read.rows, pieces=read.pieces, size=len(records), broken=broken, written=written)


def _parquet(unit: Unit, *, whole: bool) -> Iterator[Block]:
    system, inner = located(unit.file.path)
    with system.open_input_file(inner) as source:
        stored = parquet.ParquetFile(source)
        group = stored.metadata.row_group(unit.begin)
        rows = max(1, min(_BATCH, _BATCH_BYTES * group.num_rows // max(1, group.total_byte_size)))
        columns = None if whole else [unit.column]
        for batch in stored.iter_batches(batch_size=rows, row_groups=[unit.begin], columns=columns):
            yield _batch(pa.Table.from_batches([batch]), unit)


def _batch(table: pa.Table, unit: Unit) -> Block:
    column = unit.column
    values, broken = _values(table[column])
    read = _Rows(unit)
    for at, value in enumerate(values):
        read.take(at, value)

    def written(changes: Changes) -> bytes:
        done = table
        if changes or broken or read.broken:
            for row, each in changes.items():
                values[row] = rewritten(values[row], each)
            field = table.schema.field(column)
            if stores_messages(field.type):
                cleaned = pa.array(values, field.type)
            else:
                cleaned = pa.array(values, pa.large_string())
                cleaned = cleaned.dictionary_encode() if pa.types.is_dictionary(field.type) else cleaned
                cleaned = cleaned.cast(field.type)
            done = table.set_column(table.schema.get_field_index(column), field, cleaned)
            done = done.take([at for at in range(len(values)) if at not in read.broken]) if read.broken else done
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, done.schema) as stream:
            stream.write_table(done)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    broken += len(read.broken)
    return Block(rows=read.rows, pieces=read.pieces, size=len(values), broken=broken, written=written)


def _values(column: pa.ChunkedArray) -> tuple[list[object], int]:
    """The values of a column, and how many of them are not UTF-8, which nothing checks before they are read."""
    try:
        return column.to_pylist(), 0
    except UnicodeDecodeError:
        pass
    if stores_messages(column.type):
        read = [_read(value) for value in column]
        return read, sum(value is None and stored.is_valid for value, stored in zip(read, column, strict=True))
    plain = column.cast(pa.large_string()).cast(pa.large_binary())
    decoded = [None if value is None else _decoded(value) for value in plain.to_pylist()]
    return [one and one[0] for one in decoded], sum(one is not None and not one[1] for one in decoded)


def _read(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return None


_READERS: Final[dict[str, Callable[[bytes, Unit], Block]]] = {"jsonl": _jsonl, "csv": _csv}
