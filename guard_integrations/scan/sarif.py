"""Findings as SARIF 2.1.0, written as they come.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) 2.1.0.
"""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final
from urllib.parse import quote

from guard_integrations.scan.run import Part, Totals
from guard_integrations.scan.table import FLOWING

__all__ = ["Sarif"]

_LEVELS: Final = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}


class Sarif:
    """One run, one result a finding. In JSON the order of members says nothing: the rules come last.

    Args:
        write: takes text.
        rationales: why each rule is there, by its id.
    """

    def __init__(self, write: Callable[[str], object], rationales: Mapping[str, str]) -> None:
        self._write = write
        self._rationales = rationales
        self._comma = ""
        write('{"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{')
        write('"columnKind": "unicodeCodePoints", "results": [')

    def take(self, part: Part) -> None:
        """Writes the findings of a part."""
        for row in part.findings.to_pylist():
            self._write(f"{self._comma}\n{json.dumps(_result(row, flows=part.unit.file.format in FLOWING))}")
            self._comma = ","

    def finish(self, totals: Totals) -> None:
        """Writes who found it, and what could not be read."""
        rules = [
            {
                "id": rule,
                "shortDescription": {"text": self._rationales.get(rule, rule)},
                "properties": {"category": category},
            }
            for rule, category in sorted({(rule, category) for rule, category, _, _ in totals.rules})
        ]
        driver = {"name": "guard-integrations", "version": version("guard-integrations"), "rules": rules}
        invocation = {
            "executionSuccessful": not totals.problems,
            "toolExecutionNotifications": [{"level": "error", "message": {"text": said}} for said in totals.problems],
        }
        self._write(f'\n], "tool": {json.dumps({"driver": driver})}, "invocations": [{json.dumps(invocation)}]}}]}}\n')


def _result(row: Mapping[str, object], *, flows: bool) -> dict[str, object]:
    region: dict[str, object] = {}
    if row["line"] is not None:
        region["startLine"] = row["line"]
    if flows:
        region["charOffset"] = row["start"]
        region["charLength"] = int(str(row["end"])) - int(str(row["start"]))
    place: dict[str, object] = {"artifactLocation": {"uri": quote(str(row["path"]), safe="/:")}}
    if region:
        place["region"] = region
    named = ("row", "within", "start", "end", "category", "severity", "score", "action", "view")
    where = "" if flows else f", row {row['row']}"
    where += f" at {row['within']}" if row["within"] else ""
    return {
        "ruleId": row["rule"],
        "level": _LEVELS[str(row["severity"])],
        "message": {"text": f"{row['rule']} ({row['category']}){where}, characters {row['start']} to {row['end']}"},
        "locations": [{"physicalLocation": place}],
        "properties": {name: row[name] for name in named if row[name] is not None},
    }
