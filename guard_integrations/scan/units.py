"""Files cut into units of a few megabytes: what one worker reads, scans and is done with.

Where a file is cut depends on the file alone, so that any number of workers, on any machine, gives one result.
"""

import csv
import io
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Protocol

from pyarrow import ArrowException, parquet

from guard_integrations.scan.columns import Column, delimiter_of, json_column, parquet_column, text_column
from guard_integrations.scan.files import STDIN, File, Unreadable, located

__all__ = ["UNIT", "Unit", "units_of"]

UNIT: Final = 4 << 20
"""Bytes of a unit, more or less."""
_NEAR: Final = 64 << 10
"""Bytes after a cut of a text in which a better place is looked for."""
_LONGEST_ROW: Final = 64 << 20
"""Bytes of the longest row; a longer one is cut, and counted as broken."""
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A part of a file.

    Args:
        file: the file.
        begin: its first byte; for Parquet the number of its row group.
        end: one past its last byte.
        size: bytes of the file that it stands for.
        column: the column that holds the text, where there are columns.
        messages: whether it holds conversations: lists of messages.
        names: of all columns of a CSV file.
        delimiter: of a CSV file.
        data: the bytes themselves, where they cannot be read again.
        last: whether the file ends with it.
    """

    file: File
    begin: int
    end: int
    size: int
    column: str = ""
    messages: bool = False
    names: tuple[str, ...] = ()
    delimiter: str = ","
    data: bytes | None = None
    last: bool = False


class _Bytes(Protocol):
    def read(self, size: int, /) -> bytes: ...


def units_of(file: File, column: str | None = None) -> Iterator[Unit]:
    """The units of a file, in order, one after the other as they are asked for.

    Args:
        file: the file.
        column: the column that holds the text; found, where none is named.

    Raises:
        Unreadable: the file cannot be read, or has no column of texts.
    """
    problem = ""
    try:
        if file.path == STDIN:
            yield from _ended(_streamed(file, sys.stdin.buffer, column))
        elif file.format == "parquet":
            yield from _ended(_row_groups(file, column))
        else:
            system, inner = located(file.path)
            with system.open_input_file(inner) as source:
                if file.format == "csv":
                    yield from _ended(_streamed(file, source, column))
                else:
                    yield from _ended(_ranges(file, source, column))
    except (OSError, ArrowException) as error:
        problem = type(error).__name__
    if problem:
        raise Unreadable(f"{file.path}: cannot be read ({problem})")


def _ended(units: Iterator[Unit]) -> Iterator[Unit]:
    """The same, with the last one marked."""
    held: Unit | None = None
    for unit in units:
        if held is not None:
            yield held
        held = unit
    if held is not None:
        yield replace(held, last=True)


def _ranges(file: File, source: "_Seekable", column: str | None) -> Iterator[Unit]:
    """Units of a text or of JSON lines, found by looking at the places where they are cut only."""
    size = source.size()
    head = source.read(_NEAR)
    begin = len(_BOM) if head.startswith(_BOM) else 0
    chosen = Column("", messages=False)
    if file.format == "jsonl":
        chosen = json_column(file.path, _first_lines(source, begin), column)
    while begin < size:
        wished = begin + UNIT
        end = size if wished >= size else _place(source, wished, file.format == "jsonl")
        yield Unit(file=file, begin=begin, end=end, size=end - begin, column=chosen.name, messages=chosen.messages)
        begin = end


class _Seekable(_Bytes, Protocol):
    def seek(self, place: int, /) -> object: ...
    def size(self) -> int: ...


def _first_lines(source: "_Seekable", begin: int) -> list[bytes]:
    source.seek(begin)
    return source.read(1 << 20).splitlines()[:100]


def _place(source: "_Seekable", wished: int, lines: bool) -> int:  # noqa: FBT001 - two kinds of places
    """Where a file is cut: at the end of a line, or for texts at the best place near the one wished for."""
    source.seek(wished)
    if not lines:
        return wished + _good_cut(source.read(_NEAR))
    passed = 0
    while passed < _LONGEST_ROW and (block := source.read(1 << 20)):
        if (found := block.find(b"\n")) >= 0:
            return wished + passed + found + 1
        passed += len(block)
    return wished + passed


def _good_cut(block: bytes) -> int:
    for mark in (b"\n\n", b"\n", b" "):
        if (found := block.find(mark)) >= 0:
            return found + len(mark)
    at = 0
    # Not inside a character.
    while at < len(block) and block[at] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8's continuation bytes
        at += 1
    return at


def _streamed(file: File, source: _Bytes, column: str | None) -> Iterator[Unit]:
    """Units of what is read from its beginning to its end: CSV, whose quotes have to be counted, and standard input."""
    if file.format == "parquet":
        raise Unreadable(f"{file.path}: Parquet is read from its end: name a file")
    unit = Unit(file=file, begin=0, end=0, size=0)
    held = source.read(UNIT)
    begin = len(_BOM) if held.startswith(_BOM) else 0
    held = held[begin:]
    if file.format == "csv":
        while not (head := _first_record(held)) and (more := source.read(UNIT)):
            held += more
        head = head or len(held)
        unit = _with_header(unit, held[:head], held[head:], column)
        begin, held = begin + head, held[head:]
    elif file.format == "jsonl":
        while b"\n" not in held and (more := source.read(UNIT)):
            held += more
        chosen = json_column(file.path, held.splitlines()[:100], column)
        unit = replace(unit, column=chosen.name, messages=chosen.messages)
    more = source.read(UNIT)
    while held or more:
        # Without more to come all that is held is the last unit.
        end = _last_cut(held, file.format) if more else len(held)
        if end or len(held) >= _LONGEST_ROW:
            end = end or len(held)
            data = held[:end] if file.path == STDIN else None
            yield replace(unit, begin=begin, end=begin + end, size=end, data=data)
            begin, held = begin + end, held[end:]
        held += more
        more = source.read(UNIT) if more else b""


def _last_cut(block: bytes, kind: str) -> int:
    """The end of the last row that is all in a block; 0 where there is none. For texts the best place near the end."""
    if kind == "csv":
        return _last_record(block)
    if kind == "jsonl":
        return block.rfind(b"\n") + 1
    near = max(0, len(block) - _NEAR)
    return near + _good_cut(block[near:])


def _last_record(block: bytes) -> int:
    """The end of the last record of CSV; the block begins with the beginning of one. A line break in quotes ends none."""
    quoted = block.count(b'"') % 2
    at = len(block)
    while (found := block.rfind(b"\n", 0, at)) >= 0:
        quoted ^= block.count(b'"', found, at) % 2
        if not quoted:
            return found + 1
        at = found
    return 0


def _first_record(block: bytes) -> int:
    quoted = at = 0
    while (found := block.find(b"\n", at)) >= 0:
        quoted ^= block.count(b'"', at, found) % 2
        at = found + 1
        if not quoted:
            return at
    return 0


def _with_header(unit: Unit, head: bytes, rest: bytes, column: str | None) -> Unit:
    """A unit that knows its columns, from the first record and, where the column has to be found, some of the others."""
    delimiter = delimiter_of(head.decode("utf-8", "replace"))
    names = tuple(next(csv.reader(io.StringIO(head.decode("utf-8", "replace")), delimiter=delimiter), ()))
    sample = csv.reader(io.StringIO(rest[: 1 << 20].decode("utf-8", "replace")), delimiter=delimiter)
    rows = _sampled(sample)
    values = {name: [row[at] for row in rows if at < len(row)] for at, name in enumerate(names)}
    if column is not None and column not in names:
        raise Unreadable(f"{unit.file.path}: there is no column {column!r} among {len(names)}")
    chosen = text_column(unit.file.path, values, column)
    return replace(unit, names=names, delimiter=delimiter, column=chosen.name, messages=chosen.messages)


def _sampled(records: Iterator[list[str]]) -> list[list[str]]:
    """The first records, as far as they are CSV; what is none is counted when it is read."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(islice(records, 100))
    return rows


def _row_groups(file: File, column: str | None) -> Iterator[Unit]:
    system, inner = located(file.path)
    with system.open_input_file(inner) as source:
        stored = parquet.ParquetFile(source)
        chosen = parquet_column(file.path, stored, column)
        groups = stored.num_row_groups
        for group in range(groups):
            size = file.size * (group + 1) // groups - file.size * group // groups
            yield Unit(file=file, begin=group, end=group + 1, size=size, column=chosen.name, messages=chosen.messages)
