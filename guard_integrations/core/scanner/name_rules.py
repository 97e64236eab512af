"""The kinds of names that an analyzer may look for."""

from dataclasses import dataclass
from typing import Final

from guard_integrations.core.findings import Category, Severity

__all__ = ["NAME_RULES", "NameRule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRule:
    """A kind of name.

    Args:
        id: what findings and policies call it.
        entity: what Presidio calls it.
        category: what kind of thing it is.
        severity: how bad it would be if it went through.
        label: what stands in its place.
        rationale: why it is looked for.
    """

    id: str
    entity: str
    category: Category = Category.PII
    severity: Severity
    label: str
    rationale: str


NAME_RULES: Final = (
    NameRule(
        id="person-name",
        entity="PERSON",
        severity=Severity.MEDIUM,
        label="[PERSON]",
        rationale="The name of a person. Needs the extra `presidio` and `name_models`.",
    ),
    NameRule(
        id="place-name",
        entity="LOCATION",
        severity=Severity.LOW,
        label="[LOCATION]",
        rationale="The name of a place. Needs the extra `presidio` and `name_models`.",
    ),
)
