"""What of a report can be mended by a machine: as changes to look at first, and only then to make.

A key in a Python or TypeScript literal is read from the environment; a guardrail is told to block; a moderation model
that is out of date is named anew; `.env` is ignored. A change after which a file no longer parses is not offered.
"""

import ast
import difflib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from guard_integrations.audit.formats.common import check_of, printable
from guard_integrations.audit.model import AuditFinding, AuditReport, Hit, Language, Project
from guard_integrations.audit.places import finding_in
from guard_integrations.audit.reading import read
from guard_integrations.audit.secrets import masked
from guard_integrations.audit.source import SourceFile
from guard_integrations.audit.walk import git

__all__ = ["Change", "apply", "fixes"]

_MODEL: Final = "mistral-moderation-2603"
_OLD_MODEL: Final = re.compile(r"mistral-moderation-(?:latest|2411)")
_PASSES: Final = re.compile(r"""(block(?:_on_e|OnE)rror["']?\s*[:=]\s*)(False|false)""")
_TELLS: Final = re.compile(r"""(["']?action["']?\s*[:=]\s*["'])none(?=["'])""")
_NAME: Final = re.compile(r"([A-Za-z_]\w*)\W{1,4}$")
_IGNORED: Final = ".env\n.env.*\n!.env.example\n"


class Edit(NamedTuple):
    """Something else in the place of some characters."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one file.

    Args:
        path: relative to the root.
        before: the file now; left out of `repr`.
        after: the file then; left out of `repr`.
        diff: both, side under side, secrets masked.
    """

    path: str
    before: str = field(repr=False)
    after: str = field(repr=False)
    diff: str = field(repr=False)


def fixes(report: AuditReport) -> tuple[Change, ...]:
    """The changes that mend what can be mended, none of them made yet."""
    by_path: dict[str, list[AuditFinding]] = {}
    for finding in report.findings:
        if finding.commit is None:
            by_path.setdefault(finding.path, []).append(finding)
    project = Project(root=report.root)
    changes = [change for path, found in by_path.items() if (change := _change(project, path, found)) is not None]
    if any(check_of(finding).name == "env-file-not-ignored" for finding in report.findings):
        changes += _ignoring(Path(report.root))
    return tuple(changes)


def apply(root: Path, changes: tuple[Change, ...]) -> None:
    """Makes changes; a file that is not any more as it was when they were worked out is left alone.

    Raises:
        OSError: when a file cannot be written.
    """
    for change in changes:
        path = root / change.path
        raw = path.read_bytes() if path.exists() else b""
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        if text != change.before:
            continue
        after = change.after.replace("\n", "\r\n") if b"\r\n" in raw else change.after
        encoded = (b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b"") + after.encode()
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(encoded)
        Path(name).chmod(path.stat().st_mode if path.exists() else 0o644)
        Path(name).replace(path)


def _change(project: Project, path: str, findings: list[AuditFinding]) -> Change | None:
    if not (Path(project.root) / path).is_file() or path.endswith(".ipynb"):
        return None
    try:
        (file, *_), _ = read(project, path)
        (Path(project.root) / path).read_bytes().decode()
    except (OSError, ValueError, SyntaxError):
        return None
    wanted = {(finding.check, finding.line, finding.column) for finding in findings}
    edits: list[Edit] = []
    for check in {check_of(finding).id: check_of(finding) for finding in findings}.values():
        fixer = _FIXERS.get(check.name)
        for hit in check.inspect(file) if check.inspect is not None and fixer is not None else ():
            place = finding_in(file, check, hit)
            if fixer is not None and (place.check, place.line, place.column) in wanted:
                edits += fixer(file, hit)
    after = _edited(file.text, edits)
    if file.language is Language.PYTHON and "os.environ[" in after and after != file.text:
        after = _with_os(after)
    if after == file.text or not _parses(path, after):
        return None
    shown = masked(file.text, file.hidden)
    return Change(
        path=path, before=file.text, after=after, diff=_diff(path, shown, masked(after, _hidden(file, after)))
    )


def _hidden(file: SourceFile, after: str) -> tuple[tuple[int, int], ...]:
    return SourceFile(path=file.path, language=file.language, text=after, project=file.project).hidden


def _edited(text: str, edits: list[Edit]) -> str:
    last = len(text)
    for edit in sorted(set(edits), reverse=True):
        if edit.end <= last:
            text = text[: edit.start] + edit.text + text[edit.end :]
            last = edit.start
    return text


def _diff(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), f"a/{path}", f"b/{path}", lineterm="")
    return "\n".join(printable(line.replace("\t", "    ")) for line in lines)


def _parses(path: str, text: str) -> bool:
    if not path.endswith((".py", ".pyi")):
        return True
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _key(file: SourceFile, hit: Hit) -> Iterator[Edit]:
    """A literal that is the key and nothing but the key is read from the environment."""
    text = file.text
    quote = text[hit.start - 1 : hit.start]
    if quote not in {'"', "'"} or text[hit.end : hit.end + 1] != quote:
        return
    before = text[max(0, hit.start - 81) : hit.start - 1]
    if before.endswith((quote, "f", "b", "r", "F", "B", "R")):  # a longer literal, or one with a prefix
        return
    match = _NAME.search(before)
    name = match[1] if match else ""
    mistral = "mistral" in text.lower()
    variable = name if name.isupper() and name.endswith("KEY") else "MISTRAL_API_KEY" if mistral else ""
    if not variable:
        return
    if file.language is Language.PYTHON:
        yield Edit(hit.start - 1, hit.end + 1, f'os.environ["{variable}"]')
    elif file.language is Language.SCRIPT:
        yield Edit(hit.start - 1, hit.end + 1, f"process.env.{variable}")


def _guardrail(file: SourceFile, hit: Hit) -> Iterator[Edit]:
    for match in _PASSES.finditer(file.text, hit.start, hit.end):
        yield Edit(match.start(2), match.end(2), "True" if match[2] == "False" else "true")
    for match in _TELLS.finditer(file.text, hit.start, hit.end):
        yield Edit(match.end(1), match.end(), "block")


def _model(file: SourceFile, hit: Hit) -> Iterator[Edit]:
    for match in _OLD_MODEL.finditer(file.text, hit.start, hit.end):
        yield Edit(match.start(), match.end(), _MODEL)


_FIXERS: Final[dict[str, Callable[[SourceFile, Hit], Iterator[Edit]]]] = {
    "hard-coded-key": _key,
    "guardrail-off": _guardrail,
    "old-moderation-model": _model,
}


def _with_os(text: str) -> str:
    """Python with `import os`, behind its docstring and what it imports from the future."""
    tree = ast.parse(text)
    line = 0
    for node in tree.body:
        if isinstance(node, ast.Import) and any(alias.name == "os" and alias.asname is None for alias in node.names):
            return text
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and line == 0
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if docstring or future:
            line = node.end_lineno or line
    lines = text.split("\n")
    if line == 0:  # behind an interpreter, an encoding, a licence
        line = next((number for number, each in enumerate(lines) if not each.startswith("#")), len(lines))
    return "\n".join([*lines[:line], *(["", "import os"] if line else ["import os"]), *lines[line:]])


def _ignoring(root: Path) -> Iterator[Change]:
    if git(root, "check-ignore", "-q", "--no-index", "--", ".env") is not None:
        return  # it is tracked, not forgotten: that is for a person to undo
    path = root / ".gitignore"
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError):
        return
    after = before + ("" if not before or before.endswith("\n") else "\n") + _IGNORED
    yield Change(path=".gitignore", before=before, after=after, diff=_diff(".gitignore", before, after))
