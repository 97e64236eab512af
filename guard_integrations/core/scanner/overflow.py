"""What is too much to scan: the rules that say so, and what they find."""

from typing import Final

from guard_integrations.core.findings import Action, Category, Finding, Severity

__all__ = [
    "FLOOD_RULE",
    "LENGTH_RULE",
    "MATCHES_RULE",
    "NESTED_RULE",
    "UNSETTLED_RULE",
    "VALUE_RULE",
    "overflow",
]

FLOOD_RULE: Final = "too-much-to-scan"
"""The rule id of the rest of a text from the place on where there was more to look for than ordinary text ever holds."""
LENGTH_RULE: Final = "input-too-long"
"""The rule id of what stands in a text past the policy's limit."""
MATCHES_RULE: Final = "too-many-findings"
"""The rule id of the rest of a text in which there are more matches than are taken one by one."""
NESTED_RULE: Final = "too-much-encoding"
"""The rule id of a text that could not be decoded to its end."""
UNSETTLED_RULE: Final = "unsettled-text"
"""The rule id of a text that could not be filtered to its end; it is refused, whatever the policy says of overflows."""
VALUE_RULE: Final = "value-too-long"
"""The rule id of a value that only its label can stand for."""

_SEVERITIES: Final = {
    FLOOD_RULE: Severity.HIGH,
    LENGTH_RULE: Severity.LOW,
    MATCHES_RULE: Severity.MEDIUM,
    NESTED_RULE: Severity.HIGH,
    UNSETTLED_RULE: Severity.HIGH,
    VALUE_RULE: Severity.MEDIUM,
}


def overflow(rule: str, start: int, end: int, action: Action) -> Finding:
    """A finding of one of these rules."""
    return Finding(
        rule=rule, category=Category.OVERFLOW, severity=_SEVERITIES[rule], start=start, end=end, action=action
    )
