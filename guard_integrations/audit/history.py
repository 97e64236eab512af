"""Keys in what git keeps of earlier days, and that nobody sees in the files any more.

Every version of every file that any branch, tag or stash reaches is read once, from git's own store: no checkout is
made, and no filter, hook or textual conversion of the repository is run.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, NamedTuple

from guard_integrations.audit.model import AuditFinding, Check, Language, Project
from guard_integrations.audit.places import finding_in
from guard_integrations.audit.source import SourceFile
from guard_integrations.audit.walk import GIT, git, is_env, language_of

__all__ = ["history"]

_LARGEST: Final = 2_000_000
"""Bytes of a version that is read."""
_COMMIT: Final = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NONE: Final = "-"
_FILE_MODES: Final = (b"100644", b"100755")


class _Version(NamedTuple):
    """One version of a file, and the commit that brought it."""

    blob: str
    path: str
    commit: str


def history(project: Project, check: Check) -> Iterator[AuditFinding]:
    """What a check for secrets finds in the history alone: each secret once, where it came in.

    Args:
        project: a git repository; of another folder there is no history.
        check: the check that looks for secrets.
    """
    root = Path(project.root)
    present, versions = _now(root), list(_versions(root))
    seen: set[str] = set()
    wanted = set(project.files)
    # First what is there now, which the audit itself reports.
    versions.sort(key=lambda version: version.blob not in present)
    with _reader(root) as read:
        for version in versions:
            text = read(version.blob)
            if text is None:
                continue
            current = version.blob in present and version.path in wanted and not is_env(version.path)
            file = SourceFile(path=version.path, language=Language.TEXT, text=text, project=project)
            for hit in check.inspect(file) if check.inspect is not None else ():
                value = text[hit.start : hit.end]
                if value not in seen and not current:
                    yield replace(finding_in(file, check, hit), commit=version.commit)
                seen.add(value)


def _now(root: Path) -> frozenset[str]:
    """The versions that are in the index."""
    listed = git(root, "ls-files", "-z", "--stage") or b""
    return frozenset(entry.split(b" ", 2)[1].decode() for entry in listed.split(b"\0") if entry)


def _versions(root: Path) -> Iterator[_Version]:
    """Every version of every file that would be audited, oldest first, once."""
    listed = git(
        root, "log", "--all", "--reverse", "--format=%x00%H", "--raw", "-z", "--no-abbrev", "--no-renames", "-m", "--root",
        "--no-ext-diff", "--relative",
    )  # fmt: skip
    commit, blob = "", ""
    seen = {_NONE}
    for token in (listed or b"").split(b"\0"):
        if blob:
            path = os.fsdecode(token)
            if blob not in seen and language_of(path) is not None:
                seen.add(blob)
                yield _Version(blob=blob, path=path, commit=commit)
            blob = ""
        elif token.lstrip(b"\n").startswith(b":"):
            _, mode, _, after, status = token.lstrip(b"\n").split(b" ")
            # Of what is deleted or no plain file, the name alone is read past.
            blob = after.decode() if mode in _FILE_MODES and status != b"D" else _NONE
        elif _COMMIT.fullmatch(token.strip()):
            commit = token.strip().decode()


@contextmanager
def _reader(root: Path) -> "Iterator[_Reader]":
    command = [*GIT, "-C", str(root), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - git with arguments of ours
        if process.stdin is None or process.stdout is None:
            raise OSError("git cannot be spoken to")
        yield _Reader(process.stdin, process.stdout)


class _Reader:
    """Asks git for one version after the other."""

    def __init__(self, ask: IO[bytes], answer: IO[bytes]) -> None:
        self._ask = ask
        self._answer = answer

    def __call__(self, blob: str) -> str | None:
        """The text of a version; None where it is too large, binary or gone."""
        self._ask.write(f"{blob}\n".encode())
        self._ask.flush()
        head = self._answer.readline().split()
        if len(head) != 3:  # noqa: PLR2004 - name, kind and size; else "missing"
            return None
        size = int(head[2])
        if size > _LARGEST:
            left = size + 1
            while left > 0:
                left -= len(self._answer.read(min(left, _LARGEST)))
            return None
        data = self._answer.read(size + 1)[:-1]
        return None if b"\0" in data else data.decode(errors="replace")
