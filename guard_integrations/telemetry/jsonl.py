"""Records and events in a file of JSON lines that only its owner may read."""

import json
import logging
import os
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final, cast

from guard_integrations.core.forks import keep_through_forks
from guard_integrations.core.queue import Item

__all__ = ["JsonlSink"]

_OWNER_ONLY: Final = 0o600


class _File(RotatingFileHandler):
    """The standard library's rotating file, with permissions, and errors that are raised instead of printed."""

    def _open(self) -> TextIOWrapper:
        file = open(self.baseFilename, self.mode, encoding=self.encoding, opener=_open_for_owner)  # noqa: SIM115 - the handler closes it
        return cast("TextIOWrapper", file)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the standard library's hook
        # Called inside the `except`: the queue counts what is lost.
        raise  # noqa: PLE0704 - as above


def _open_for_owner(path: str, flags: int) -> int:
    # A link that somebody else put there could point anywhere.
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0), _OWNER_ONLY)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, _OWNER_ONLY)  # a file that was there before may have been open to others
    return descriptor


class JsonlSink:
    """Appends each record and event to a file, as one JSON object a line.

    Safe with several threads. The file and its backups are readable by their owner alone. When the file would grow
    beyond `max_bytes` it becomes `<path>.1`, that becomes `<path>.2`, and so on; the oldest goes. One process writes to
    a file: give each its own path. It writes where it is called; behind a `QueuedSink`, as handlers put it, it holds
    nothing up.

    Args:
        path: the file; its folder must be there.
        max_bytes: the size from which on a new file is begun.
        backups: how many old files are kept.

    Raises:
        OSError: from the constructor when the file cannot be opened, from a call when it cannot be written.
    """

    def __init__(self, path: Path | str, *, max_bytes: int = 10_000_000, backups: int = 5) -> None:
        if max_bytes < 1 or backups < 1:
            raise ValueError("a file that rotates needs a size and at least one backup")
        self._file = _File(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", errors="strict")
        keep_through_forks(self)

    def __call__(self, item: Item) -> None:
        """Writes one line."""
        line = json.dumps(item.as_dict(), separators=(",", ":"))
        self._file.handle(logging.LogRecord("", logging.INFO, "", 0, line, None, None))

    def after_fork(self) -> None:
        """Opens the file anew in a child: the parent may have been writing, and its lock would stay locked here."""
        _ORPHANS.append(self._file.stream)  # closing the copy would write what the parent will write
        self._file.stream = None  # how the standard library says that it is to be opened

    def close(self) -> None:
        """Closes the file; a later record opens it again."""
        self._file.close()


_ORPHANS: Final[list[object]] = []
