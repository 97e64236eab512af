"""Reports as text: for people at a terminal, in a merge request and in a browser, and for machines.

Each format is a function from a report to a string. What a project's files hold (lines, names of files) is taken for
hostile in all of them, and no secret is in a report to begin with.
"""

from collections.abc import Callable
from typing import Final

from guard_integrations.audit.formats.html import to_html
from guard_integrations.audit.formats.json import to_json
from guard_integrations.audit.formats.markdown import to_markdown
from guard_integrations.audit.formats.sarif import to_sarif
from guard_integrations.audit.model import AuditReport

__all__ = ["FORMATS"]

FORMATS: Final[dict[str, Callable[[AuditReport], str]]] = {
    "json": to_json,
    "sarif": to_sarif,
    "markdown": to_markdown,
    "html": to_html,
}
"""By name; `text`, which needs a width, is `text.to_text`."""
