"""Files written whole or not at all, on any filesystem that Arrow knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from posixpath import dirname
from typing import IO

from pyarrow import fs

from guard_integrations.errors import PolicyError
from guard_integrations.scan.files import Unreadable, located

__all__ = ["writing"]


@contextmanager
def writing(path: str) -> Iterator[IO[bytes]]:
    """A file that has its name once it is complete; a run that is broken off leaves `.partial` behind.

    Raises:
        PolicyError: it cannot be written there.
    """
    problem = ""
    try:
        system, inner = located(path)
        system.create_dir(dirname(inner) or ".", recursive=True)
        with system.open_output_stream(f"{inner}.partial") as file:
            yield file
        _rename(system, inner)
    except Unreadable as error:
        problem = str(error)
    except OSError as error:
        problem = f"{path}: cannot be written ({type(error).__name__})"
    if problem:
        raise PolicyError(problem)


def _rename(system: fs.FileSystem, inner: str) -> None:
    system.move(f"{inner}.partial", inner)
