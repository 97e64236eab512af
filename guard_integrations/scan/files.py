"""What there is to scan: files, folders and object stores, through the filesystems that Arrow knows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal, TypeAlias

from pyarrow import fs

__all__ = ["FORMATS", "STDIN", "File", "Format", "Unreadable", "discover", "located"]

Format: TypeAlias = Literal["text", "markdown", "html", "jsonl", "csv", "parquet"]
"""How a file is read."""
FORMATS: Final[tuple[Format, ...]] = ("text", "markdown", "html", "jsonl", "csv", "parquet")
STDIN: Final = "-"
"""The path that stands for standard input."""

_SUFFIXES: Final[dict[str, Format]] = {
    ".txt": "text", ".text": "text", ".log": "text", ".rst": "text",
    ".md": "markdown", ".markdown": "markdown",
    ".html": "html", ".htm": "html",
    ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet",
}  # fmt: skip


class Unreadable(Exception):  # noqa: N818 - the name says it
    """A file that could not be read; the message names it and says why, without any of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to be scanned.

    Args:
        path: as it was given, or under the folder that was given; `STDIN` for standard input.
        name: its path under the folder that was given, else its name.
        format: how it is read.
        size: bytes; 0 for standard input.
        inside: whether a folder was named, and not the file.
        changed: when it was last changed, in nanoseconds; 0 where nobody knows.
    """

    path: str
    name: str
    format: Format
    size: int
    inside: bool = False
    changed: int = 0


def located(path: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a path or URI (`s3://…`, `gs://…`, `hdfs://…`), and the path in it."""
    problem = ""
    try:
        return fs.FileSystem.from_uri(path) if "://" in path else (fs.LocalFileSystem(), path)
    except (OSError, ValueError) as error:
        problem = type(error).__name__
    raise Unreadable(f"{path}: no filesystem knows this address ({problem})")


def discover(
    paths: Iterable[str], read_as: Format | None = None, *, passed_over: list[str] | None = None
) -> Iterator[File]:
    """The files that paths name, in the order of the paths and, in folders, of their names.

    In a folder what has another suffix is passed over, and so is what is hidden. A file that is named itself is read
    as text when its suffix says nothing.

    Args:
        paths: files, folders, URIs, `STDIN`.
        read_as: how all of them are read, whatever their suffix.
        passed_over: takes the paths of files in folders whose suffix says nothing.

    Raises:
        Unreadable: a path does not exist, or cannot be looked at.
    """
    for path in paths:
        if path == STDIN:
            yield File(path=path, name="stdin", format=read_as or "text", size=0)
            continue
        system, inner = located(path)
        infos = _listed(system, inner, path)
        folder = inner.rstrip("/")
        for info in infos:
            shown = path.rstrip("/") + info.path.removeprefix(folder) if info.path != inner else path
            kind = read_as or _SUFFIXES.get(PurePosixPath(info.path).suffix.lower())
            if info.path == inner:
                kind = kind or "text"
            if kind is not None:
                name = info.path.removeprefix(folder).lstrip("/") or PurePosixPath(info.path).name
                changed = info.mtime_ns or 0
                inside = info.path != inner
                yield File(path=shown, name=name, format=kind, size=info.size or 0, inside=inside, changed=changed)
            elif passed_over is not None:
                passed_over.append(shown)


def _listed(system: fs.FileSystem, inner: str, path: str) -> list[fs.FileInfo]:
    problem = "there is nothing there"
    found: list[fs.FileInfo] = []
    try:
        info = system.get_file_info(inner)
        if info.type == fs.FileType.File:
            found = [info]
        elif info.type == fs.FileType.Directory:
            found = system.get_file_info(fs.FileSelector(inner, recursive=True))
            problem = ""
    except OSError as error:
        problem = f"cannot be looked at ({type(error).__name__})"
    if not found and problem:
        raise Unreadable(f"{path}: {problem}")
    inside = len(inner.rstrip("/")) + 1
    return sorted(
        (
            one
            for one in found
            if one.type == fs.FileType.File and (one.path == inner or not _hidden(one.path[inside:]))
        ),
        key=lambda one: one.path,
    )


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path).parts)
