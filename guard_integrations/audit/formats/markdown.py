"""Markdown, for a merge request's comment or a job's summary."""

import re

from guard_integrations.audit.formats.common import Group, by_check, place_of, printable, skipped_of, verdict
from guard_integrations.audit.model import AuditFinding, AuditReport

__all__ = ["to_markdown"]


def to_markdown(report: AuditReport) -> str:
    """The report as Markdown, the worst first."""
    parts = ["# Security audit", verdict(report), *(_group(group) for group in by_check(report))]
    if report.skipped:
        lines = "\n".join(f"- {_code(each.path)}: {each.reason}" for each in skipped_of(report))
        parts.append(f"## Not read in full\n\n{lines}")
    rows = "\n".join(f"| {check.id} | {check.name} | {check.findings or 'passed'} |" for check in report.checks)
    parts.append(f"## Checks\n\n| id | check | findings |\n|---|---|---|\n{rows}")
    return "\n\n".join(parts) + "\n"


def _group(group: Group) -> str:
    check = group.check
    return "\n\n".join(
        (
            f"## {group.severity}: {check.title}",
            check.rationale,
            f"**Remediation.** {check.remediation} ({check.id}, explained in `{check.link}`)",
            *(_finding(finding) for finding in group.findings),
        )
    )


def _finding(finding: AuditFinding) -> str:
    said = f"- {_code(place_of(finding))}: {finding.message}"
    if not finding.snippet:
        return said
    line = printable(finding.snippet.strip().expandtabs(4))
    fence = "`" * max(3, _longest(line) + 1)
    return f"{said}\n\n  {fence}\n  {line}\n  {fence}"


def _code(text: str) -> str:
    """A code span that the text cannot end."""
    text = printable(text)
    ticks = "`" * (_longest(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _longest(text: str) -> int:
    """The length of the longest run of back-ticks."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
