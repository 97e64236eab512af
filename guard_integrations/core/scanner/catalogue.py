"""Every rule there is, whichever way it is looked for: by pattern, by parser, by model."""

from dataclasses import dataclass
from typing import get_args

from guard_integrations.core.findings import Category, Severity, Stage
from guard_integrations.core.policy import GuardPolicy, Profile
from guard_integrations.core.scanner.injection import HIDDEN_RULE, MODEL_RULE
from guard_integrations.core.scanner.invisible import INVISIBLE_RULES
from guard_integrations.core.scanner.leak import LEAK_RULES
from guard_integrations.core.scanner.markup.rules import CATEGORIES, MARKUP_RULES
from guard_integrations.core.scanner.name_rules import NAME_RULES
from guard_integrations.core.scanner.overflow import FLOOD_RULE, LENGTH_RULE, NESTED_RULE, UNSETTLED_RULE
from guard_integrations.core.scanner.rule import builtin_rules, require_known, rules_in

__all__ = ["CatalogueEntry", "catalogue", "require_disabled_known"]

_OUTSIDE_BASIC = ("balanced", "strict")
_INPUT = ("input", "document", "tool")
_INJECTIONS = {
    MODEL_RULE: (Severity.HIGH, "The local model takes a sentence for an order to the assistant."),
    HIDDEN_RULE: (Severity.HIGH, "Text in characters that nobody sees is meant for the model alone."),
    NESTED_RULE: (Severity.HIGH, "A text that cannot be decoded to its end cannot be judged."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One rule, as a reader wants to know it.

    Args:
        id: what findings and policies call it.
        category: what kind of thing it finds.
        severity: how bad it would be if it went through.
        profiles: the profiles it belongs to; none for a rule that a policy must name in `enabled_rules`, or that
            needs its `name_models`.
        stages: where it runs.
        owasp: the entry of the OWASP Top 10 for LLM applications, 2025; empty where there is none.
        languages: BCP 47 codes, where the rule is bound to languages.
        rationale: why it is looked for.
    """

    id: str
    category: Category
    severity: Severity
    profiles: tuple[str, ...]
    stages: tuple[str, ...]
    owasp: str
    languages: tuple[str, ...]
    rationale: str


def catalogue() -> tuple[CatalogueEntry, ...]:
    """All built-in rules, by category and id."""
    entries = [
        CatalogueEntry(
            id=rule.id,
            category=rule.category,
            severity=rule.severity,
            profiles=tuple(profile for profile in get_args(Profile) if profile in rule.profiles),
            stages=tuple(stage for stage in get_args(Stage) if stage in rule.stages),
            owasp=rule.owasp or "",
            languages=tuple(sorted(rule.languages)),
            rationale=rule.rationale,
        )
        for rule in builtin_rules()
    ]
    entries += [_entry(name, *said, Category.INJECTION, _INPUT, "LLM01") for name, said in _INJECTIONS.items()]
    entries += [
        CatalogueEntry(
            id=rule.id,
            category=rule.category,
            severity=rule.severity,
            profiles=(),
            stages=get_args(Stage),
            owasp="LLM02",
            languages=(),
            rationale=rule.rationale,
        )
        for rule in NAME_RULES
    ]
    entries += [_entry(name, *said, Category.LEAK, ("output",), "LLM07") for name, said in LEAK_RULES.items()]
    entries += [_entry(name, *said, Category.INVISIBLE, ("output",), "LLM05") for name, said in INVISIBLE_RULES.items()]
    entries += [_entry(name, *said, CATEGORIES[name], ("output",), "LLM05") for name, said in MARKUP_RULES.items()]
    entries.append(
        _entry(
            FLOOD_RULE,
            Severity.HIGH,
            "Where a text holds far more of what attacks are made of than any ordinary one, its rest is one finding.",
            Category.OVERFLOW,
            _INPUT,
            "LLM10",
        )
    )
    entries.append(
        _entry(
            UNSETTLED_RULE,
            Severity.HIGH,
            "A text in which filtering makes something new to filter each time is refused.",
            Category.OVERFLOW,
            _INPUT,
            "LLM10",
        )
    )
    entries.append(
        CatalogueEntry(
            id=LENGTH_RULE,
            category=Category.OVERFLOW,
            severity=Severity.LOW,
            profiles=("basic", *_OUTSIDE_BASIC),
            stages=_INPUT,
            owasp="LLM10",
            languages=(),
            rationale="A text that is longer than the policy allows is refused, or cut, and never in silence.",
        )
    )
    return tuple(sorted(entries, key=lambda entry: (list(Category).index(entry.category), entry.id)))


def require_disabled_known(policy: GuardPolicy) -> None:
    """Refuses a policy whose `disabled_rules` name a rule that does not exist: the one that was meant would run.

    Raises:
        PolicyError: names the ids, and for each the one most like it.
    """
    if policy.disabled_rules:
        known = {rule.id for rule in rules_in(policy)}.union(entry.id for entry in catalogue())
        require_known("disabled_rules", policy.disabled_rules, known)


def _entry(  # noqa: PLR0913, PLR0917 - a row of a table
    name: str, severity: Severity, rationale: str, category: Category, stages: tuple[str, ...], owasp: str
) -> CatalogueEntry:
    return CatalogueEntry(
        id=name,
        category=category,
        severity=severity,
        profiles=_OUTSIDE_BASIC,
        stages=stages,
        owasp=owasp,
        languages=(),
        rationale=rationale,
    )
