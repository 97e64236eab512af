"""The audit: reads a project's code and says what is wrong in its use of Mistral, LangChain and LlamaIndex.

    report = audit_mistral_security("my-project")
    assert report.passed, [finding.message for finding in report.findings]

It runs nothing of what it reads and needs no network. Needs the extra `audit`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from guard_integrations.audit.model import AuditFinding, AuditReport, CheckResult, Skipped

if TYPE_CHECKING:
    from guard_integrations.audit.config import AuditConfig

__all__ = ["AuditFinding", "AuditReport", "CheckResult", "Skipped", "audit_mistral_security"]

_PARTS = {"ast_grep_py", "dotenv", "pathspec", "yaml"}


def audit_mistral_security(path: str | Path = ".", *, config: "AuditConfig | None" = None) -> AuditReport:
    """Audits a project, or one file of it.

    Files that cannot be read or do not parse are in the report's `skipped`, never an error.

    Args:
        path: the project's folder, or a file.
        config: how; None for what `[tool.guard-integrations.audit]` in the folder's `pyproject.toml` says.

    Raises:
        FileNotFoundError: when there is nothing at the path.
        ImportError: when the extra `audit` is not installed.
        PolicyError: when the configuration or the baseline is not valid.
    """
    missing = ""
    try:
        from guard_integrations.audit.engine import audit  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name not in _PARTS:
            raise
        missing = str(error.name)
    if missing:
        raise ImportError(f"The audit needs {missing}: pip install 'guard-integrations[audit]'")
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"There is nothing to audit at {root}.")
    return audit(root, config=config) if root.is_dir() else audit(root.parent, [root], config=config)
