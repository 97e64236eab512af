"""What the formats share: findings by check, places as text, counts."""

from dataclasses import dataclass
from itertools import groupby

from guard_integrations.audit.checks import CHECKS
from guard_integrations.audit.model import RANK, AuditFinding, AuditReport, Check, Skipped
from guard_integrations.core.findings import Severity

__all__ = ["Group", "by_check", "check_of", "counts", "line_of", "place_of", "printable", "skipped_of", "verdict"]

_CHECKS = {check.id: check for check in CHECKS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The findings of one check at one severity.

    Args:
        check: the check.
        severity: how bad they are.
        findings: in the order of their places.
    """

    check: Check
    severity: Severity
    findings: tuple[AuditFinding, ...]


def check_of(finding: AuditFinding) -> Check:
    """The check that a finding comes from."""
    return _CHECKS[finding.check]


def by_check(report: AuditReport) -> tuple[Group, ...]:
    """The findings by check, the worst first."""
    ordered = sorted(report.findings, key=lambda each: (-RANK[each.severity], each.check))
    return tuple(
        Group(check=_CHECKS[check], severity=severity, findings=tuple(group))
        for (severity, check), group in groupby(ordered, key=lambda each: (each.severity, each.check))
    )


def counts(report: AuditReport) -> tuple[tuple[Severity, int], ...]:
    """How many findings there are of each severity that has some, the worst first."""
    found = ((severity, sum(each.severity is severity for each in report.findings)) for severity in reversed(Severity))
    return tuple((severity, count) for severity, count in found if count)


def verdict(report: AuditReport) -> str:
    """The report in one sentence."""
    files = _many(report.files, "file")
    found = f"{', '.join(f'{count} {severity}' for severity, count in counts(report)) or 'nothing'} found in {files}"
    rest = [
        f"{report.known} known by the baseline" if report.known else "",
        f"{len(report.suppressed)} suppressed" if report.suppressed else "",
        f"{_many(len(report.skipped), 'file')} not read in full" if report.skipped else "",
    ]
    more = ", ".join(filter(None, rest))
    return f"{'Passed' if report.passed else 'Failed'}: {found}{f' ({more})' if more else ''}."


def place_of(finding: AuditFinding) -> str:
    """Where a finding is, as people and editors read it."""
    where = printable(finding.path)
    if finding.cell is not None:
        where += f", {'output of cell' if finding.output else 'cell'} {finding.cell}"
    if finding.commit is not None:
        where += f", commit {finding.commit[:12]}"
    return f"{where}:{finding.line}:{finding.column}" if finding.snippet else where


def line_of(finding: AuditFinding, width: int) -> tuple[str, int, int]:
    """The line that is shown, at most so wide, and from which character to which it is marked."""
    line = finding.snippet.expandtabs(4)
    before, after = (len(finding.snippet[:to].expandtabs(4)) for to in finding.mark)
    after = max(after, before + 1)
    indent = len(line) - len(line.lstrip())
    cut = indent if after - indent <= width else max(indent, min(before - 8, len(line) - width))
    shown = line[cut : cut + width]
    return shown, max(before - cut, 0), min(max(after - cut, 1), max(len(shown), 1))


def skipped_of(report: AuditReport) -> tuple[Skipped, ...]:
    """What was not read in full, by path."""
    return tuple(sorted(report.skipped, key=lambda each: each.path))


def printable(text: str) -> str:
    """A text in which nothing moves a cursor, turns the direction or breaks the line."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
