"""What was found before and is to be left alone for now: fingerprints in a file, and how often each may occur."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard_integrations.audit.model import AuditFinding
from guard_integrations.errors import PolicyError

__all__ = ["load_baseline", "unknown", "write_baseline"]


class _Known(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    check: str
    path: str
    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$")


class _Baseline(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    version: int = Field(ge=1, le=1)
    findings: tuple[_Known, ...]


def load_baseline(path: Path) -> Counter[str]:
    """How often each fingerprint is known.

    Raises:
        PolicyError: when the file cannot be read as a baseline.
    """
    problem = ""
    try:
        known = _Baseline.model_validate_json(path.read_bytes())
        return Counter(finding.fingerprint for finding in known.findings)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValidationError as error:
        problem = f"is not a baseline: {error.errors()[0]['msg']}; write it anew with --write-baseline"
    raise PolicyError(f"{path}: {problem}")


def write_baseline(path: Path, findings: Iterable[AuditFinding]) -> None:
    """Writes what is found now, to be left alone from now on.

    Raises:
        OSError: when the file cannot be written.
    """
    known = [{"check": each.check, "path": each.path, "fingerprint": each.fingerprint} for each in findings]
    path.write_text(json.dumps({"version": 1, "findings": known}, indent=2) + "\n", encoding="utf-8")


def unknown(findings: Iterable[AuditFinding], known: Counter[str]) -> tuple[AuditFinding, ...]:
    """The findings that a baseline does not hold."""
    left = Counter(known)
    new: list[AuditFinding] = []
    for finding in findings:
        if left[finding.fingerprint] > 0:
            left[finding.fingerprint] -= 1
        else:
            new.append(finding)
    return tuple(new)
