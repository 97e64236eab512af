"""The audit: files to findings."""

import ast
import hashlib
import tokenize
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from guard_integrations.audit.checks import CHECKS
from guard_integrations.audit.guards import facts_of
from guard_integrations.audit.model import (
    AuditFinding,
    AuditReport,
    Check,
    CheckResult,
    FileFacts,
    Hit,
    Language,
    Project,
    Skipped,
)
from guard_integrations.audit.notebook import Notebook, read_notebook
from guard_integrations.audit.secrets import masked
from guard_integrations.audit.source import SourceFile
from guard_integrations.audit.walk import language_of, walk

__all__ = ["audit"]

_LARGEST: Final = 5_000_000
"""Bytes of a file that is read."""
_LARGEST_CONFIG: Final = 256_000
"""Characters of a configuration file that is parsed; what is larger is data."""
_LONGEST: Final = 200
"""Characters of a line that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A finding that awaits the rest of the project."""

    finding: AuditFinding
    unless: frozenset[str]
    given: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What became of one file."""

    found: tuple[_Found, ...] = ()
    facts: FileFacts | None = None
    skipped: tuple[Skipped, ...] = ()


def audit(root: Path, *, checks: Sequence[Check] = CHECKS) -> AuditReport:
    """Audits a project."""
    root = root.resolve()
    walked = walk(root)
    read = [_file(walked.project, path, checks) for path in walked.project.files]
    facts = tuple(each.facts for each in read if each.facts is not None)
    guards = frozenset(guard for each in facts for guard in each.guards)
    traits = frozenset(trait for each in facts for trait in each.traits)
    findings = [
        found.finding for each in read for found in each.found if not found.unless & guards and found.given <= traits
    ]
    for check in checks:
        if check.conclude is not None:
            findings += [
                _finding(check, hit, None, hit.path)
                for hit in check.conclude(walked.project, facts)
                if not hit.unless & guards and hit.given <= traits
            ]
    findings.sort(key=lambda each: (each.path, each.file_line, each.column, each.check))
    findings = list(_once(findings, checks))
    return AuditReport(
        root=str(root),
        files=len(facts),
        checks=tuple(_result(check, findings) for check in checks),
        findings=tuple(findings),
        skipped=(*walked.skipped, *(skipped for each in read for skipped in each.skipped)),
    )


def _once(findings: Iterable[AuditFinding], checks: Sequence[Check]) -> Iterable[AuditFinding]:
    single = {check.id for check in checks if check.once}
    seen: set[str] = set()
    for finding in findings:
        if finding.check not in seen or finding.check not in single:
            seen.add(finding.check)
            yield finding


def _result(check: Check, findings: Sequence[AuditFinding]) -> CheckResult:
    count = sum(finding.check == check.id for finding in findings)
    return CheckResult(id=check.id, name=check.name, passed=not count, findings=count)


def _file(project: Project, path: str, checks: Sequence[Check]) -> _Read:
    """Runs the checks on one file. Whatever a file does to a parser, it is the file that is left out, not the audit."""
    try:
        file, skipped = _source(project, path)
        found = tuple(
            _Found(finding=_finding(check, hit, file, path), unless=hit.unless, given=hit.given)
            for check in checks
            if check.inspect is not None
            and file.language in check.languages
            and (not check.keywords or any(word in file.lower for word in check.keywords))
            for hit in check.inspect(file)
        )
        return _Read(found=found, facts=facts_of(file), skipped=skipped)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        return _Read(skipped=(Skipped(path=path, reason=_reason(error)),))


def _reason(error: Exception) -> str:
    """Why a file could not be read; no word of what is in it."""
    match error:
        case SyntaxError():
            return f"does not parse (line {error.lineno})"
        case UnicodeDecodeError():
            return "is not UTF-8"
        case OSError():
            return f"cannot be read: {error.strerror}"
        case ValueError() if error.args and type(error) is ValueError:
            return str(error)
        case _:
            return f"does not parse ({type(error).__name__})"


def _source(project: Project, path: str) -> tuple[SourceFile, tuple[Skipped, ...]]:
    """Reads a file; what does not parse is read as plain text, where secrets are found all the same."""
    full = Path(project.root) / path
    if full.stat().st_size > _LARGEST:
        raise ValueError(f"is larger than {_LARGEST // 1_000_000} MB")
    data = full.read_bytes()
    if b"\0" in data[:8192]:
        raise ValueError("is binary")
    language = language_of(path) or Language.TEXT
    encoding = "utf-8-sig"
    if path.endswith(".py"):
        encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
    text = data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    reason = ""
    notebook: Notebook | None = None
    tree: ast.Module | None = None
    if language is Language.CONFIG and len(text) > _LARGEST_CONFIG:
        language, reason = Language.TEXT, f"is larger than {_LARGEST_CONFIG // 1000} KB"
    try:
        if path.endswith(".ipynb"):
            text, notebook = read_notebook(text)
            language = Language.PYTHON if notebook.python else Language.TEXT
        tree = _parsed(text) if language is Language.PYTHON else None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        language, reason = Language.TEXT, _reason(error)
    file = SourceFile(path=path, language=language, text=text, project=project, tree=tree, notebook=notebook)
    try:
        if file.settings or (language is Language.SCRIPT and file.script.broken):
            reason = f"does not parse (line {file.script.broken})" if file.script.broken else ""
    except (ValueError, RecursionError) as error:
        file = SourceFile(path=path, language=Language.TEXT, text=text, project=project)
        reason = _reason(error)
    left = "read as far as it goes" if file.language is Language.SCRIPT else "only looked through for keys"
    return file, (Skipped(path=path, reason=f"{reason}: {left}"),) if reason else ()


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the audited code's escapes
        return ast.parse(text)


def _finding(check: Check, hit: Hit, file: SourceFile | None, path: str) -> AuditFinding:
    line = column = end_line = end_column = file_line = 1
    snippet = ""
    cell: int | None = None
    if file is not None:
        line, column = file.place(hit.start)
        end_line, end_column = file.place(max(hit.end, hit.start))
        start = hit.start - column + 1
        snippet = masked(file.lines[line - 1], file.secrets, start)[:_LONGEST].rstrip()
        file_line = line
        if file.notebook is not None:
            cell, first = file.notebook.cell(line)
            line, end_line = first, end_line - line + first
    print_of = hashlib.sha256("\0".join((check.id, path, " ".join(snippet.split()))).encode(errors="replace"))
    return AuditFinding(
        check=check.id,
        name=check.name,
        severity=hit.severity or check.severity,
        message=hit.message,
        path=path,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        snippet=snippet,
        fingerprint=print_of.hexdigest()[:16],
        cell=cell,
        file_line=file_line,
    )
