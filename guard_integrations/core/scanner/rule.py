r"""Rules, and the TOML packs that they are read from.

A pack is a list of `[[rule]]` tables whose keys are the fields of `Rule`:

    [[rule]]
    id = "card"
    category = "pii"
    severity = "high"
    label = "[CARD]"
    pattern = '\b\d{4}(?:[ -]?\d{4}){3}\b'
    validator = "luhn"
    stages = ["output"]
    profiles = ["balanced", "strict"]
    rationale = "A payment card's number is enough to pay with."
    examples = ["4111 1111 1111 1111"]
    counterexamples = ["4111 1111 1111 1112"]
"""

import tomllib
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from guard_integrations.core.findings import Category, Severity, Stage
from guard_integrations.core.policy import GuardPolicy, Profile
from guard_integrations.core.scanner.name_rules import NAME_RULES
from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.validators import VALIDATORS
from guard_integrations.errors import PolicyError

__all__ = [
    "THRESHOLD",
    "Context",
    "Rule",
    "Run",
    "Until",
    "builtin_rules",
    "load_pack",
    "require_known",
    "rules_in",
    "rules_of",
]

THRESHOLD: Final = 0.5
"""A match with a lower score is none."""

_FORBID: Final = ConfigDict(extra="forbid", hide_input_in_errors=True)
_NonEmpty: TypeAlias = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A phase of a tail: swallows the characters of a class for as long as they last.

    Args:
        run: a pattern of one character, such as `[^\\n]`.
        most: how many it swallows at most; None for all.
    """  # noqa: D301 - a backslash of the pattern

    __pydantic_config__ = _FORBID

    run: _NonEmpty
    most: Annotated[int, Field(gt=0)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """A phase of a tail: swallows everything up to and including a terminator, else to the end of the text.

    Args:
        until: the terminator, a bounded pattern.
    """

    __pydantic_config__ = _FORBID

    until: _NonEmpty


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Words that, within 64 characters to the left of a match, make it more or less likely.

    Args:
        raises: words that add `by` to the score, once, whichever are there. Case does not matter.
        lowers: words that take `by` from it, once; from an injection's only in the same sentence.
        by: how much; 0 to 1.
    """

    __pydantic_config__ = _FORBID

    raises: tuple[_NonEmpty, ...] = ()
    lowers: tuple[_NonEmpty, ...] = ()
    by: Annotated[float, Field(gt=0, le=1)] = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing to look for.

    A match is a bounded *head*, the `pattern`, and then whatever the phases of the *tail* swallow, in their order.
    A head that has matched decides: an `until` whose terminator never comes reaches to the end of the text.
    A match whose score is under THRESHOLD is none.

    Args:
        id: kebab-case, stable, unique over all packs.
        category: what kind of thing it is.
        severity: how bad it would be if it went through.
        label: what stands in its place when it is redacted; empty, it goes without a trace.
        pattern: the head, in the portable subset (see `pattern`).
        ignore_case: whether upper and lower case are one, in pattern, lead and tail.
        lead: a pattern of the one character that must stand before the head, unless the text begins there; it is
            no part of the match. Use it where a `\\b` would not do.
        keep: a pattern that the head begins with and that stays, such as the name of what is assigned: the match
            begins after the longest text of it.
        tail: what the match goes on with.
        through: for rules that never run on output: the match reaches to the last of these in the same line, and
            without one there is none.
        validator: name of a check in `validators` that the head, without what is kept, must pass.
        score: confidence in a match, before its context, 0 to 1.
        context: words to the left that change the score.
        stages: where it runs. Rules for personal data and secrets name all four; on the way in they run only where
            a vault or the policy asks for it.
        profiles: the profiles it belongs to; none for a rule that runs only where the policy's `enabled_rules` name it.
        owasp: the entry of the OWASP Top 10 for LLM applications, 2025, such as "LLM01".
        rationale: why it is looked for.
        languages: BCP 47 codes, where the rule is bound to languages.
        examples: texts in which it must match; a test runs them. `{alnum:36}` stands for so many characters of a
            kind, so that nothing that looks like a credential is ever written out.
        counterexamples: texts in which it must not.
    """  # noqa: D301 - a backslash of the pattern

    __pydantic_config__ = _FORBID

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    category: Category
    severity: Severity
    pattern: _NonEmpty
    rationale: _NonEmpty
    examples: Annotated[tuple[_NonEmpty, ...], Field(min_length=1)]
    counterexamples: tuple[_NonEmpty, ...] = ()
    label: str = ""
    ignore_case: bool = False
    lead: _NonEmpty | None = None
    keep: _NonEmpty | None = None
    tail: tuple[Run | Until, ...] = ()
    through: _NonEmpty | None = None
    validator: str | None = None
    score: Annotated[float, Field(ge=0, le=1)] = 1.0
    context: Context | None = None
    stages: Annotated[frozenset[Stage], Field(min_length=1)]
    profiles: frozenset[Profile]
    owasp: str | None = None
    languages: tuple[str, ...] = ()

    @property
    def head(self) -> Pattern:
        """The parsed pattern, after what is kept."""
        source = self.pattern if self.keep is None else f"(?:{self.keep})(?:{self.pattern})"
        return Pattern.parse(source, ignore_case=self.ignore_case)

    @property
    def waits(self) -> bool:
        """Whether it is no match without one of its context words."""
        return self.score < THRESHOLD and self.context is not None and bool(self.context.raises)

    def problems(self) -> Iterator[str]:
        """What is wrong with the rule beyond the types of its fields."""
        parsed: dict[str, Pattern] = {}
        parts = {"pattern": self.pattern, "lead": self.lead, "keep": self.keep, "through": self.through}
        for number, phase in enumerate(self.tail):
            parts[f"tail.{number}"] = phase.run if isinstance(phase, Run) else phase.until
        for name, source in parts.items():
            if source is None:
                continue
            try:
                parsed[name] = Pattern.parse(source, ignore_case=self.ignore_case)
            except PolicyError as error:
                yield f"{name}: {error}"
                continue
            yield from (f"{name} {problem}" for problem in parsed[name].problems())
            single = name == "lead" or (name.startswith("tail") and isinstance(self.tail[int(name[5:])], Run))
            if single and parsed[name].width != (1, 1):
                yield f"{name} is not a pattern of one character"
        if self.validator is not None and self.validator not in VALIDATORS:
            yield f"validator: there is no {self.validator!r}; there are {', '.join(sorted(VALIDATORS))}"
        most = self.score + (self.context.by if self.context is not None and self.context.raises else 0)
        if most < THRESHOLD:
            yield f"score: never reaches {THRESHOLD}, so that nothing is ever found"
        if self.through is not None and ("output" in self.stages or self.tail):
            yield "through: only for rules without a tail that never run on output, since a stream could not decide it"


@dataclass(frozen=True, slots=True)
class _Pack:
    __pydantic_config__ = _FORBID

    rule: tuple[Rule, ...]


@cache
def _packs() -> TypeAdapter[_Pack]:
    """Made when the first pack is read: it takes longer than everything else that importing this module does."""
    return TypeAdapter(_Pack)


def load_pack(path: Path) -> tuple[Rule, ...]:
    """Reads a rule pack.

    Raises:
        PolicyError: when the file cannot be read or a rule is not valid; names the file, the rule and the fault.
    """
    problem = ""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    if problem:
        raise PolicyError(f"{path}: {problem}")
    rules = _parse(text, str(path))
    if faults := [f"rule {rule.id}: {fault}" for rule in rules for fault in rule.problems()]:
        raise PolicyError(f"{path}: {'; '.join(faults)}")
    return rules


@cache
def builtin_rules() -> tuple[Rule, ...]:
    """The rules of all packs that come with the package, in the order of the packs' names.

    A test looks for their problems: here that would cost more than everything else.
    """
    packs = sorted(
        (pack for pack in files("guard_integrations.core.scanner").joinpath("rules").iterdir()),
        key=lambda pack: pack.name,
    )
    found = [_parse(pack.read_text(encoding="utf-8"), pack.name) for pack in packs if pack.name.endswith(".toml")]
    rules = tuple(rule for pack in found for rule in pack)
    _check_unique(rules)
    return rules


def rules_in(policy: GuardPolicy) -> tuple[Rule, ...]:
    """All rules that a policy chooses from: the built-in ones, and its own packs'.

    Raises:
        PolicyError: when a pack of the policy is not valid.
    """
    rules = builtin_rules()
    if policy.rule_packs:
        rules += tuple(rule for pack in policy.rule_packs for rule in load_pack(pack))
        _check_unique(rules)
    return rules


def rules_of(policy: GuardPolicy, stage: Stage) -> tuple[Rule, ...]:
    """The rules that a policy runs at a stage, its own packs' after the built-in ones.

    Raises:
        PolicyError: when a pack of the policy is not valid, or a strategy or `enabled_rules` names a rule that does
            not exist.
    """
    rules = rules_in(policy)
    known = {rule.id for rule in rules}.union((rule.id for rule in NAME_RULES), Category)
    if unknown := sorted(name for name in policy.strategies if name not in known):
        raise PolicyError(f"strategies: there is no rule and no category {', '.join(map(repr, unknown))}")
    require_known("enabled_rules", policy.enabled_rules, {rule.id for rule in rules})
    return tuple(
        rule
        for rule in rules
        if stage in rule.stages
        and (policy.profile in rule.profiles or rule.id in policy.enabled_rules)
        and rule.id not in policy.disabled_rules
    )


def require_known(setting: str, named: Iterable[str], ids: AbstractSet[str]) -> None:
    """Refuses an id that no rule has: what was to be switched on would stay off, or off would stay on.

    Raises:
        PolicyError: names the ids, and for each the one most like it.
    """
    missing = [
        f"{name!r}; do you mean {near[0]!r}?" if (near := get_close_matches(name, sorted(ids), n=1)) else repr(name)
        for name in sorted(set(named) - ids)
    ]
    if missing:
        raise PolicyError(f"{setting}: there is no rule {', '.join(missing)}")


def _check_unique(rules: Iterable[Rule]) -> None:
    """Refuses two rules of one id.

    Raises:
        PolicyError: names the id.
    """
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise PolicyError(f"rule {rule.id}: the id is taken by another rule; choose one of your own")
        seen.add(rule.id)


def _parse(text: str, name: str) -> tuple[Rule, ...]:
    faults: list[str] = []
    tables: dict[str, Any] = {}
    rules: tuple[Rule, ...] = ()
    try:
        tables = tomllib.loads(text)
        rules = _packs().validate_python(tables).rule
    except tomllib.TOMLDecodeError as error:
        faults = [f"is not TOML: {error}"]
    except ValidationError as error:
        faults = [_fault(tables, fault["loc"], fault["msg"]) for fault in error.errors()]
    if faults:
        raise PolicyError(f"{name}: {'; '.join(faults)}")
    return rules


def _fault(tables: dict[str, Any], location: tuple[int | str, ...], message: str) -> str:
    """One fault that pydantic found, under the rule's id where it has one."""
    match location:
        case ("rule", int(index), *inner):
            table = tables["rule"][index]
            name = table.get("id", f"number {index + 1}") if isinstance(table, dict) else f"number {index + 1}"
            return f"rule {name}: {'.'.join(map(str, inner))}: {message}"
        case _:
            return f"{'.'.join(map(str, location)) or 'pack'}: {message}"
