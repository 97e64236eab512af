"""The lines of a log: those that are there, and those that come."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from guard_integrations.telemetry.lines import LONGEST_LINE

__all__ = ["follow", "lines"]


def lines(path: Path) -> Iterator[str]:
    """Every line of a file; the rest of one that is too long comes as lines of its own.

    Raises:
        OSError: when the file cannot be read.
    """
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 2):
            yield _text(line)


def follow(path: Path, *, wait: Callable[[float], object] = time.sleep, every: float = 0.5) -> Iterator[str | None]:
    """Every line of a file, then None each time there is no more, and what comes after. Rotated files are followed.

    A line that is not finished is waited for.

    Raises:
        OSError: when the file cannot be read.
    """
    file = path.open("rb")
    begun = b""
    try:
        while True:
            if line := file.readline(LONGEST_LINE + 2):
                begun += line
                if begun.endswith(b"\n") or len(begun) > LONGEST_LINE:
                    yield _text(begun)
                    begun = b""
                continue
            yield None
            wait(every)
            if _was_replaced(file, path):
                yield from map(_text, file)  # what was written between the last look and the rotation
                file.close()
                file, begun = path.open("rb"), b""
    finally:
        file.close()


def _text(line: bytes) -> str:
    return line.decode(errors="replace")


def _was_replaced(file: IO[bytes], path: Path) -> bool:
    """Whether the name stands for another file now, or the file was emptied."""
    try:
        there, ours = path.stat(), os.fstat(file.fileno())
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) or there.st_size < file.tell()
