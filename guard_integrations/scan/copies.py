"""Cleaned copies of what was scanned, file by file, on any filesystem that Arrow knows."""

import csv
import io
from collections.abc import Iterable, Sequence
from os.path import realpath
from posixpath import dirname
from typing import Final

import pyarrow as pa
from pyarrow import fs, parquet

from guard_integrations.errors import PolicyError
from guard_integrations.scan.files import STDIN, File, located
from guard_integrations.scan.run import Part, Totals
from guard_integrations.scan.units import Unit

__all__ = ["Copies"]

_BOTH: Final = "--redact: two files would have one name; scan them one after the other"


class Copies:
    """Writes each part as it comes. A file has its name once it is complete; one that could not be read gets no copy.

    In tables only the column that was scanned is cleaned. Rows that could not be read, and so were not looked at, are
    left out.

    Args:
        target: the copy of a single file, or the folder for the copies of several, under the names they have in theirs.
        files: all that are scanned.

    Raises:
        PolicyError: a copy would take the place of its original, or of another copy.
    """

    def __init__(self, target: str, files: Sequence[File]) -> None:
        self._system, inner = located(target)
        info = self._system.get_file_info(inner)
        alone = len(files) == 1 and not files[0].inside and not target.endswith("/")
        single = alone and info.type is not fs.FileType.Directory
        self._places = {file.path: inner if single else f"{inner.rstrip('/')}/{file.name}" for file in files}
        if len(set(self._places.values())) < len(files):
            raise PolicyError(_BOTH)
        if isinstance(self._system, fs.LocalFileSystem) and (taken := _originals(files) & _real(self._places.values())):
            raise PolicyError(f"--redact: {min(taken)} is one of the originals; choose another place")
        self._open: _Text | _Table | None = None
        self._unit: Unit | None = None

    def take(self, part: Part) -> None:
        """Writes a part."""
        if self._unit is None or self._unit.file != part.unit.file:
            self._end(complete=False)
            self._start(part.unit)
        self._unit = part.unit
        if part.problem:
            self._end(complete=False)
        if self._open is not None:
            self._open.write(part.clean)
            if part.unit.last:
                self._end(complete=True)

    def finish(self, totals: Totals) -> None:
        """Throws away what is not complete."""
        del totals
        self._end(complete=False)

    def _start(self, unit: Unit) -> None:
        place = self._places[unit.file.path]
        if folder := dirname(place):
            self._system.create_dir(folder, recursive=True)
        stream = self._system.open_output_stream(f"{place}.partial")
        self._open = _Table(stream) if unit.file.format == "parquet" else _Text(stream, _header(unit))

    def _end(self, *, complete: bool) -> None:
        if self._open is None or self._unit is None:
            return
        self._open.close()
        self._open = None
        place = self._places[self._unit.file.path]
        if complete:
            self._system.move(f"{place}.partial", place)
        else:
            self._system.delete_file(f"{place}.partial")


def _originals(files: Sequence[File]) -> set[str]:
    return _real(file.path for file in files if file.path != STDIN and "://" not in file.path)


def _real(paths: Iterable[str]) -> set[str]:
    return {realpath(path) for path in paths}


def _header(unit: Unit) -> bytes:
    if unit.file.format != "csv":
        return b""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=unit.delimiter, lineterminator="\n").writerow(unit.names)
    return out.getvalue().encode()


class _Text:
    """A copy that is bytes."""

    def __init__(self, stream: pa.NativeFile, header: bytes) -> None:
        self._stream = stream
        self.write(header)

    def write(self, clean: bytes) -> None:
        self._stream.write(clean)

    def close(self) -> None:
        self._stream.close()


class _Table:
    """A copy that is Parquet; what is written is streams of Arrow, one after the other."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream
        self._writer: parquet.ParquetWriter | None = None

    def write(self, clean: bytes) -> None:
        source = pa.BufferReader(clean)
        tables: list[pa.Table] = []
        while source.tell() < len(clean):
            tables.append(pa.ipc.open_stream(source).read_all())
        if not tables:
            return
        table = pa.concat_tables(tables)
        self._writer = self._writer or parquet.ParquetWriter(self._stream, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._stream.close()
