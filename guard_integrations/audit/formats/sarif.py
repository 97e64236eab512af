"""SARIF 2.1.0, for code scanning: GitHub, GitLab, Azure DevOps, editors.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0 (errata 01).
"""

import json
from typing import Final
from urllib.parse import quote

from guard_integrations import __version__
from guard_integrations.audit.checks import CHECKS
from guard_integrations.audit.formats.common import check_of
from guard_integrations.audit.model import AuditFinding, AuditReport, Check
from guard_integrations.core.findings import Severity

__all__ = ["to_sarif"]

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVEL: Final = {
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
_SCORE: Final = {Severity.LOW: "3.0", Severity.MEDIUM: "5.5", Severity.HIGH: "8.0", Severity.CRITICAL: "9.5"}
"""GitHub sorts by these: critical from 9.0, high from 7.0, medium from 4.0."""


def to_sarif(report: AuditReport) -> str:
    """One SARIF log with one run; suppressed findings are in it, marked as such."""
    ran = {check.id for check in report.checks}
    checks = [check for check in CHECKS if check.id in ran]
    numbers = {check.id: number for number, check in enumerate(checks)}
    run = {
        "tool": {
            "driver": {
                "name": "guard-integrations",
                "version": __version__,
                "rules": [_rule(check) for check in checks],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {
                        "level": "note",
                        "message": {"text": f"{skipped.path}: {skipped.reason}"},
                        "locations": [{"physicalLocation": {"artifactLocation": _artifact(skipped.path)}}],
                    }
                    for skipped in report.skipped
                ],
            }
        ],
        "results": [_result(finding, numbers) for finding in (*report.findings, *report.suppressed)],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "name": "".join(part.capitalize() for part in check.name.split("-")),
        "shortDescription": {"text": f"{check.title}."},
        "fullDescription": {"text": check.rationale},
        "help": {
            "text": f"{check.rationale} {check.remediation} See {check.link}.",
            "markdown": f"{check.rationale}\n\n**Remediation.** {check.remediation}\n\nSee `{check.link}`.",
        },
        "defaultConfiguration": {"level": _LEVEL[check.severity]},
        "properties": {"security-severity": _SCORE[check.severity], "tags": ["security", check.name]},
    }


def _result(finding: AuditFinding, numbers: dict[str, int]) -> dict[str, object]:
    region: dict[str, object] = {"startLine": finding.file_line}
    if finding.cell is None:
        region |= {
            "startColumn": finding.column,
            "endLine": finding.end_line,
            "endColumn": finding.end_column,
        }
    if finding.snippet:
        region["snippet"] = {"text": finding.snippet}
    cell = f" (cell {finding.cell}, line {finding.line})" if finding.cell is not None else ""
    commit = f" (commit {finding.commit})" if finding.commit is not None else ""
    result: dict[str, object] = {
        "ruleId": finding.check,
        "ruleIndex": numbers[finding.check],
        "level": _LEVEL[finding.severity],
        "message": {"text": f"{finding.message}{cell}{commit} {check_of(finding).remediation}"},
        "locations": [{"physicalLocation": {"artifactLocation": _artifact(finding.path), "region": region}}],
        "partialFingerprints": {"guardIntegrations/v1": finding.fingerprint},
    }
    if finding.justification is not None:
        suppression = {"kind": "inSource"}
        result["suppressions"] = [
            suppression | ({"justification": finding.justification} if finding.justification else {})
        ]
    return result


def _artifact(path: str) -> dict[str, str]:
    return {"uri": quote(path, errors="replace"), "uriBaseId": "%SRCROOT%"}
