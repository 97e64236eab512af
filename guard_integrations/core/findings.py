"""What a scan says about a text. Nothing here but `Sanitized.text` holds any of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Literal, TypeAlias, TypeVar

from guard_integrations.core.display import findings_html, text_html

__all__ = ["Action", "Category", "Finding", "Sanitized", "SanitizedValue", "ScanResult", "Severity", "Stage"]

_Value = TypeVar("_Value")

Stage: TypeAlias = Literal["input", "output", "document", "tool"]
"""Where a text stands: the user's turn, the model's answer, a retrieved document, a tool's result."""


class Category(StrEnum):
    """What kind of thing was found."""

    INJECTION = "injection"
    PII = "pii"
    SECRET = "secret"  # noqa: S105 - a category, not a secret
    MARKUP = "markup"
    LEAK = "leak"
    INVISIBLE = "invisible"
    OVERFLOW = "overflow"
    MODERATION = "moderation"


class Severity(StrEnum):
    """How bad it would be if it went through, least first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Action(StrEnum):
    """What the policy does with a finding: report it, replace it, or refuse the whole text."""

    FLAG = "flag"
    FILTER = "filter"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place in a text that a rule, or the classifier, has something to say about.

    Args:
        rule: id of the rule, kebab-case and stable.
        category: what kind of thing it is.
        severity: how bad it is.
        start: first character, counted in the caller's text.
        end: one past the last character.
        score: confidence, 0 to 1.
        action: what the policy does with it.
        view: how the text was read when this was found: "raw", or the name of a decoding such as "base64".
    """

    rule: str
    category: Category
    severity: Severity
    start: int
    end: int
    score: float = 1.0
    action: Action = Action.FLAG
    view: str = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What `InputSanitizer.scan` found.

    Args:
        findings: in the order of their start.
        injection_score: 0 to 1, rules and classifier together.
        is_injection: whether the policy takes the text for a prompt injection.
    """

    findings: tuple[Finding, ...] = ()
    injection_score: float = 0.0
    is_injection: bool = False

    @property
    def is_unread(self) -> bool:
        """Whether the text is too much to scan, and the policy refuses that: what its rest holds is not known."""
        return any(found.category is Category.OVERFLOW and found.action is Action.BLOCK for found in self.findings)

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict and the findings, no text."""
        verdict = "an injection" if self.is_injection else "no injection"
        return f"<p>{verdict}, score {self.injection_score:.2f}</p>{findings_html(self.findings)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanitized:
    """A text made safe, and why it was changed.

    Args:
        text: what may go on; left out of `repr`.
        findings: in the order of their start in the text as it came in.
    """

    text: str = field(repr=False)
    findings: tuple[Finding, ...] = ()

    def _repr_html_(self) -> str:
        """What a notebook shows: the clean text, with what stands in the findings' place highlighted."""
        return text_html(self.text) + findings_html(self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SanitizedValue(Generic[_Value]):
    """A structure made safe, and why it was changed.

    Args:
        value: what may go on; left out of `repr`.
        findings: string by string; the offsets count from the beginning of each string.
    """

    value: _Value = field(repr=False)
    findings: tuple[Finding, ...] = ()
