"""What a policy does with one text, and why."""

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from guard_integrations.core.choices import require_choice
from guard_integrations.core.findings import Category, Finding, Stage
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.scanner.classifier import Classifier
from guard_integrations.core.scanner.injection import MODEL_RULE
from guard_integrations.core.scanner.normalise import views
from guard_integrations.core.scanner.rationales import rationales
from guard_integrations.errors import GuardBlocked

__all__ = ["Explained", "explained", "show_explained"]

_STAGES: Final[tuple[Stage, ...]] = ("input", "document", "tool", "output")
_WIDTH: Final = 80
_COLOURS: Final = {"block": "bold red", "filter": "red", "flag": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What a policy does with a text.

    Args:
        stage: where the text stands.
        views: how it was read, and how much the model takes each for an injection; None without the model.
        score: of the whole text.
        threshold: from which score on it is an injection.
        findings: what was found.
        why: the rationale of each finding's rule.
        text: the text itself.
        result: what becomes of it; None for one that is refused.
    """

    stage: Stage
    views: tuple[tuple[str, float | None], ...]
    score: float
    threshold: float
    findings: tuple[Finding, ...]
    why: tuple[str, ...]
    text: str = field(repr=False)
    result: str | None = field(repr=False)

    def as_dict(self) -> dict[str, object]:
        """The same for JSON."""
        found = [{**asdict(one), "why": why} for one, why in zip(self.findings, self.why, strict=True)]
        return {**asdict(self), "views": dict(self.views), "findings": found, "why": None}


def explained(text: str, policy: GuardPolicy, stage: str) -> Explained:
    """Asks the guards.

    Raises:
        PolicyError: there is no such stage, or the policy leaves nothing to look for.
        GuardUnavailable: the text could not be scanned.
    """
    require_choice("stage", stage, _STAGES)
    where = next(one for one in _STAGES if one == stage)
    result: str | None = None
    score = 0.0
    read: tuple[tuple[str, float | None], ...] = ()
    if where == "output":
        session = OutputSanitizer(policy).stream()
        try:
            result = session.feed_last(text)
        except GuardBlocked:
            result = None
        found = session.findings
    else:
        guard = InputSanitizer(policy)
        scanned = guard.scan(text, where)
        found, score = scanned.findings, scanned.injection_score
        read = _views(text, policy, where)
        try:
            result = guard.sanitize(text, where).text
        except GuardBlocked:
            result = None
    known = rationales()
    return Explained(
        stage=where,
        views=read,
        score=score,
        threshold=policy.injection_threshold,
        findings=found,
        why=tuple(known.get(one.rule, _why(one)) for one in found),
        text=text,
        result=result,
    )


def _why(finding: Finding) -> str:
    if finding.category is Category.OVERFLOW:
        return "It is longer than the policy's limit."
    return "A rule of the policy's own packs."


def _views(text: str, policy: GuardPolicy, stage: Stage) -> tuple[tuple[str, float | None], ...]:
    if policy.profile == "basic":
        return (("raw", None),)
    read = views(text).items
    if MODEL_RULE in policy.disabled_rules:
        return tuple((view.name, None) for view in read)
    model = Classifier.load()
    return tuple(
        (view.name, max((window.score for window in model.windows(view.text, stage, least=0.0)), default=0.0))
        for view in read
    )


def show_explained(said: Explained, console: Console) -> None:
    """Prints it, 80 columns wide."""
    console.print(_marked(said), highlight=False)
    if said.views:
        read = ", ".join(name if score is None else f"{name} ({score:.2f})" for name, score in said.views)
        console.print(f"\nRead as: {read}", highlight=False, markup=False)
        verdict = "an injection" if said.score >= said.threshold else "no injection"
        console.print(f"Injection score {said.score:.2f}, threshold {said.threshold:.2f}: {verdict}", highlight=False)
    if said.findings:
        table = Table(width=_WIDTH, show_lines=True)
        table.add_column("rule", no_wrap=True)
        for header in ("place", "view", "score", "action", "why"):
            table.add_column(header, overflow="fold")
        for one, why in zip(said.findings, said.why, strict=True):
            action = Text(one.action.value, style=_COLOURS[one.action.value])
            table.add_row(one.rule, f"{one.start}-{one.end}", one.view, f"{one.score:.2f}", action, Text(why))
        console.print(table)
    if said.result is None:
        console.print(f"As {said.stage} it is refused.")
    elif said.result == said.text:
        console.print(f"As {said.stage} it stays what it is: nothing is changed.")
    else:
        console.print(f"As {said.stage} it becomes:")
        console.print(Text(_printable(said.result)))


def _marked(said: Explained) -> Text:
    """The text with what was found set off."""
    shown = Text()
    found = [(one.start, one.end) for one in said.findings]
    edges = sorted({0, len(said.text), *(edge for span in found for edge in span)})
    for start, end in pairwise(edges):
        hit = any(first <= start and end <= last for first, last in found)
        shown.append(_printable(said.text[start:end]), style="reverse" if hit else "")
    return shown


def _printable(text: str) -> str:
    """As a terminal may show it: control and invisible characters as escapes."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
