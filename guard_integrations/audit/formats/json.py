"""JSON, for programs: the report's own fields."""

import json
from dataclasses import asdict

from guard_integrations.audit.formats.common import check_of
from guard_integrations.audit.model import AuditFinding, AuditReport

__all__ = ["to_json"]


def to_json(report: AuditReport) -> str:
    """One JSON object; `version` changes when a field changes its meaning."""
    return json.dumps(
        {
            "version": 1,
            "passed": report.passed,
            "fail_on": report.fail_on,
            "files": report.files,
            "known": report.known,
            "checks": [asdict(check) for check in report.checks],
            "findings": [_finding(finding) for finding in report.findings],
            "suppressed": [_finding(finding) for finding in report.suppressed],
            "skipped": [asdict(skipped) for skipped in report.skipped],
        },
        indent=2,
    )


def _finding(finding: AuditFinding) -> dict[str, object]:
    check = check_of(finding)
    return {**asdict(finding), "rationale": check.rationale, "remediation": check.remediation, "docs": check.link}
