"""What is done is kept in a folder, so that a scan that was broken off goes on where it was."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pyarrow as pa

from guard_integrations.errors import PolicyError
from guard_integrations.scan.files import STDIN, File
from guard_integrations.scan.run import Engine
from guard_integrations.scan.text import PIECE
from guard_integrations.scan.units import UNIT, Unit
from guard_integrations.scan.work import Result, Work

__all__ = ["Store", "resuming"]

_KEY: Final = "scan.key"


class Store:
    """A folder of results. They hold findings and, where copies or a report of the texts are asked for, texts.

    Args:
        folder: made where it is missing, readable by its owner alone.
        work: what is done.
        files: with what.
        column: the column of texts, where one was named.

    Raises:
        PolicyError: the folder holds the results of another scan, or cannot be used; or standard input is to be
            scanned, which cannot be read again.
    """

    def __init__(self, folder: Path, work: Work, files: Sequence[File], column: str | None) -> None:
        if any(file.path == STDIN for file in files):
            raise PolicyError("--resume: standard input cannot be read again")
        self._folder = folder
        key = _key(work, files, column)
        problem = ""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            known = (folder / _KEY).read_text() if (folder / _KEY).exists() else ""
            if not known and any(folder.iterdir()):
                problem = "is not empty, and holds no scan"
            elif known and known != key:
                problem = (
                    "holds another scan: other files, policy or options; finish that one, or choose another folder"
                )
            else:
                (folder / _KEY).write_text(key)
        except OSError as error:
            problem = f"cannot be used: {error.strerror}"
        if problem:
            raise PolicyError(f"--resume {folder}: {problem}")

    def has(self, number: int) -> bool:
        """Whether the result of a unit is there."""
        return self._path(number).exists()

    def load(self, number: int) -> Result:
        """The result of a unit."""
        with pa.OSFile(str(self._path(number))) as file:
            return Result.of(pa.ipc.open_file(file).read_all().to_pylist()[0])

    def save(self, number: int, result: Result) -> None:
        """Keeps the result of a unit; it is all there or not at all."""
        path = self._path(number)
        partial = path.with_suffix(".partial")
        stored = result.stored()
        with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, stored.schema) as written:
            written.write_table(stored)
        partial.replace(path)

    def clear(self) -> None:
        """Removes all that is in the folder, and the folder; for when everything is done."""
        for path in self._folder.iterdir():
            if path.name == _KEY or path.suffix in {".arrow", ".partial"}:
                path.unlink()
        self._folder.rmdir()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}.arrow"


def _key(work: Work, files: Sequence[File], column: str | None) -> str:
    said = {
        "version": version("guard-integrations"),
        "policy": work.scanner.policy.fingerprint,
        "work": [work.scanner.stage, work.cleans, work.quotes, column, UNIT, PIECE],
        "files": [asdict(file) for file in files],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def resuming(engine: Engine, store: Store) -> Engine:
    """An engine that does only what is not in the store yet, and keeps what it does."""

    def run(units: Iterable[Unit]) -> Iterator[Result]:
        order: deque[tuple[int, bool]] = deque()

        def missing() -> Iterator[Unit]:
            for number, unit in enumerate(units):
                order.append((number, store.has(number)))
                if not order[-1][1]:
                    yield unit

        for result in engine(missing()):
            while order[0][1]:
                yield store.load(order.popleft()[0])
            number, _ = order.popleft()
            if not result.problem:
                store.save(number, result)
            yield result
        while order:
            yield store.load(order.popleft()[0])

    return run
