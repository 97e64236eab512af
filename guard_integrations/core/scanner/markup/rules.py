"""The markup rules: their ids, and how bad each would be."""

from types import MappingProxyType
from typing import Final

from guard_integrations.core.findings import Category, Severity

__all__ = ["CATEGORIES", "MARKUP_RULES"]

MARKUP_RULES: Final = MappingProxyType(
    {
        "markup-active-html": (Severity.HIGH, "Scripts, frames, forms, styles and event handlers act on the page."),
        "markup-dangerous-scheme": (Severity.HIGH, "A javascript:, data: or unknown link runs what it carries."),
        "markup-image": (Severity.HIGH, "What loads by itself tells its host whatever its address holds."),
        "markup-link-exfiltration": (
            Severity.MEDIUM,
            "A link with a query or an opaque path carries data to its host.",
        ),
        "markup-overflow": (Severity.MEDIUM, "Markup too long or too tangled to be decided was taken apart."),
        "terminal-escape-written": (Severity.MEDIUM, "An escape sequence written out is obeyed once it is decoded."),
    }
)
"""Rule id to severity and rationale; the catalogue of rules reads this."""
CATEGORIES: Final = MappingProxyType(
    {rule: Category.INVISIBLE if rule.startswith("terminal") else Category.MARKUP for rule in MARKUP_RULES}
)
