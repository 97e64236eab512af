"""Results as a notebook shows them: HTML in which everything is escaped."""

import re
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard_integrations.core.findings import Finding

__all__ = ["findings_html", "text_html"]

_LABEL: Final = re.compile(r"\[[A-Z][A-Z0-9_]+\]")
"""What is written in place of something that was taken out."""
_MARK: Final = '<mark style="background:#ffe0b8;color:#1c1c22">{}</mark>'
_BLOCK: Final = '<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{}</pre>'
_COLUMNS: Final = ("rule", "category", "severity", "done", "where", "score")


def text_html(text: str) -> str:
    """A clean text, with what stands in the place of findings highlighted."""
    pieces: list[str] = []
    done = 0
    for label in _LABEL.finditer(text):
        pieces += (escape(text[done : label.start()]), _MARK.format(escape(label[0])))
        done = label.end()
    return _BLOCK.format("".join((*pieces, escape(text[done:]))))


def findings_html(findings: "Sequence[Finding]") -> str:
    """A table of findings: metadata alone."""
    if not findings:
        return "<p>Nothing was found.</p>"
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(str(cell))}</td>"
            for cell in (
                found.rule,
                found.category.value,
                found.severity.value,
                found.action.value,
                f"{found.start} to {found.end}",
                f"{found.score:.2f}",
            )
        )
        + "</tr>"
        for found in findings
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
