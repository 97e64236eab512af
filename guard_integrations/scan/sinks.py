"""Findings written for programs: JSON lines and Parquet. Offsets and rule ids, and never the text that was matched."""

import json
from collections.abc import Callable
from typing import IO

from pyarrow import parquet

from guard_integrations.scan.run import Part, Totals
from guard_integrations.scan.table import FINDINGS

__all__ = ["JsonLines", "Parquet"]


class JsonLines:
    """One finding a line.

    Args:
        write: takes text.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def take(self, part: Part) -> None:
        """Writes the findings of a part."""
        for row in part.findings.to_pylist():
            self._write(json.dumps({name: value for name, value in row.items() if value is not None}) + "\n")

    def finish(self, totals: Totals) -> None:
        """Nothing is left to be written."""


class Parquet:
    """The findings as a table.

    Args:
        file: is written to, and not closed.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._writer = parquet.ParquetWriter(file, FINDINGS)

    def take(self, part: Part) -> None:
        """Writes the findings of a part."""
        if part.findings.num_rows:
            self._writer.write_table(part.findings)

    def finish(self, totals: Totals) -> None:
        """Writes the end, without which the file is none."""
        del totals
        self._writer.close()
