"""docs/audit.md: the part about the checks is made of what they say of themselves. Run as a script, it writes it anew."""

from pathlib import Path

from guard_integrations.audit.checks import CHECKS
from guard_integrations.audit.model import KEY, Check, Example

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
BEGIN = "<!-- What follows is written by tests/audit/audit_docs.py. -->"
FENCES = {
    "py": "python",
    "ts": "typescript",
    "tsx": "tsx",
    "js": "javascript",
    "yaml": "yaml",
    "yml": "yaml",
    "toml": "toml",
}


def page() -> str:
    """The page as it should be."""
    head, _, _ = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    rows = "\n".join(f"| [{check.id}](#{check.id.lower()}) | {check.title} | {check.severity} |" for check in CHECKS)
    table = f"| id | what it looks for | severity |\n|---|---|---|\n{rows}"
    return "\n\n".join((head + BEGIN, table, *(section(check) for check in CHECKS))) + "\n"


def section(check: Check) -> str:
    return "\n\n".join(
        (
            f"### {check.id}",
            f"**{check.title}** (`{check.name}`, {check.severity})",
            check.rationale,
            f"What to do: {check.remediation}",
            f"Is found:\n\n{example(check.bad[0])}",
            f"Is not:\n\n{example(check.good[0])}",
        )
    )


def example(shown: Example) -> str:
    """The example's files, each in a fence of its own."""
    return "\n\n".join(
        f"```{FENCES.get(name.rpartition('.')[2], 'text')}\n"
        f"{'' if len(shown.files) == 1 and name.endswith(('.py', '.ts', '.tsx')) else f'# {name}{chr(10)}'}"
        f"{text.replace(KEY, '<the key>').rstrip()}\n```"
        for name, text in shown.files.items()
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
