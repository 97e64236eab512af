"""From what a check has hit to a finding with its place, the line that is shown, and a fingerprint."""

import hashlib
from typing import Final

from guard_integrations.audit.model import AuditFinding, Check, Hit
from guard_integrations.audit.secrets import masked
from guard_integrations.audit.source import SourceFile
from guard_integrations.audit.suppress import justification

__all__ = ["finding_in", "finding_of"]

_LONGEST: Final = 200
"""Characters of a line that are shown."""


def finding_in(file: SourceFile, check: Check, hit: Hit) -> AuditFinding:
    """The finding for a hit in a file."""
    line, column = file.place(hit.start)
    end_line, end_column = file.place(max(hit.end, hit.start))
    # The mask goes over the line before it is cut, so that no half of a secret is left.
    full, begins = file.lines[line - 1], hit.start - column + 1
    snippet = _cut(masked(full, file.hidden, begins))
    last = end_column - 1 if end_line == line else len(full)
    mark = tuple(min(len(masked(full[:to], file.hidden, begins)), len(snippet)) for to in (column - 1, last))
    cell: int | None = None
    file_line = line
    if file.notebook is not None:
        file_line = file.notebook.file_line(line)
        cell, first = file.notebook.cell(line)
        line, end_line = first, end_line - line + first
    return AuditFinding(
        check=check.id,
        name=check.name,
        severity=hit.severity or check.severity,
        message=hit.message,
        path=file.path,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        snippet=snippet,
        mark=(mark[0], mark[1]),
        fingerprint=_fingerprint(check.id, file.path, snippet),
        cell=cell,
        output=file.notebook is not None and file.notebook.output,
        file_line=file_line,
        justification=justification(file, check.id, hit),
    )


def finding_of(check: Check, hit: Hit) -> AuditFinding:
    """The finding for a hit of the project as a whole."""
    return AuditFinding(
        check=check.id,
        name=check.name,
        severity=hit.severity or check.severity,
        message=hit.message,
        path=hit.path,
        line=1,
        column=1,
        end_line=1,
        end_column=1,
        fingerprint=_fingerprint(check.id, hit.path, hit.message),
    )


def _cut(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _fingerprint(check: str, path: str, text: str) -> str:
    """What stays the same when the lines around change; made of masked text, so that it tells nothing of a secret."""
    parts = "\0".join((check, path, " ".join(text.split())))
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()[:16]
