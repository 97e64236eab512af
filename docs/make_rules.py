"""Writes the catalogue of rules, docs/rules.md, from the rules themselves: `make docs`."""

from itertools import groupby
from operator import attrgetter
from pathlib import Path

from guard_integrations.core.scanner.catalogue import CatalogueEntry, catalogue

TITLES = {
    "injection": "Prompt injection",
    "pii": "Personal data",
    "secret": "Secrets",
    "markup": "Markup",
    "leak": "Leaks of the system prompt",
    "invisible": "Invisible and control characters",
    "overflow": "Limits",
}
HEAD = """# Rules

Generated from the rules by `make docs`. A policy switches a rule off with `disabled_rules` and one that is in no profile
on with `enabled_rules`; what is done with a finding goes by its category (`actions`) and, for personal data and secrets,
by `strategies`. OWASP is the Top 10 for LLM applications, 2025.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for category, entries in groupby(catalogue(), key=attrgetter("category")):
        rows = [row(entry) for entry in entries]
        parts += [
            f"## {TITLES[category.value]}: {len(rows)}\n",
            "| rule | severity | profiles | where | OWASP | languages | why |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    return "\n".join(parts)


def row(entry: CatalogueEntry) -> str:
    """One line of a table."""
    cells = (
        f"`{entry.id}`",
        entry.severity.value,
        ", ".join(entry.profiles) or "on request",
        ", ".join(entry.stages),
        entry.owasp,
        ", ".join(entry.languages),
        entry.rationale.replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    (Path(__file__).parent / "rules.md").write_text(page(), encoding="utf-8")
