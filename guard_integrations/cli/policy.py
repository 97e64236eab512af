"""`guard-integrations policy`: what a policy says, whether it is valid, and what it does with a text."""

import json
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, get_args

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from guard_integrations.cli.explain import Explained, explained, show_explained
from guard_integrations.cli.target import POLICY_HELP, named_policy
from guard_integrations.core.findings import Category, Stage
from guard_integrations.core.policy import GuardPolicy, Profile
from guard_integrations.core.scanner.injection import HIDDEN_RULE, MODEL_RULE
from guard_integrations.core.scanner.invisible import INVISIBLE_RULES
from guard_integrations.core.scanner.markup import MARKUP_RULES
from guard_integrations.core.scanner.overflow import FLOOD_RULE, NESTED_RULE
from guard_integrations.core.scanner.rule import builtin_rules, load_pack, rules_of
from guard_integrations.core.toml_lines import line_of
from guard_integrations.errors import GuardError, PolicyError

__all__ = ["app"]

app = typer.Typer(
    help="Policies: what one says, whether it is valid, and what it does with a text.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

_FILE: Final = "A policy in TOML."
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]


@app.command()
def show(policy: Annotated[str, typer.Argument(help=POLICY_HELP)] = "balanced", *, as_json: AsJson = False) -> None:
    """Show every setting, what it is, and where that comes from: the file, the profile, or the default.

    Without one it shows the policy that is used when nobody says anything. Exit code 2: it is not valid.
    """
    chosen = _policy(policy)
    settings = {name: _plain(getattr(chosen, name)) for name in type(chosen).model_fields if name != "hash_key"}
    sources = {name: _source(name, chosen, GuardPolicy(profile=chosen.profile)) for name in settings}
    if policy in get_args(Profile) and sources["profile"] == "file":
        sources["profile"] = "argument"
    if as_json:
        said = {name: {"value": value, "from": sources[name]} for name, value in settings.items()}
        typer.echo(json.dumps({"settings": said, "fingerprint": chosen.fingerprint}))
        return
    table = Table("setting", "value", "from", caption=f"fingerprint {chosen.fingerprint}", width=80)
    for name, value in settings.items():
        table.add_row(name, _said(value), sources[name], style="" if sources[name] == "default" else "bold")
    Console().print(table)


@app.command()
def check(file: Annotated[Path, typer.Argument(help=_FILE, exists=True, dir_okay=False)]) -> None:
    """Say whether a policy is valid, and on which line it is not.

    Beside what is read with every policy, the names of rules are looked up, and its rule packs are read whole.

    Exit code 0: valid; 1: not; 2: there is no such file.
    """
    faults: list[str] = []
    policy = GuardPolicy()
    try:
        policy = GuardPolicy.from_toml(file)
    except PolicyError as error:
        faults = [str(error)]
    faults = faults or [f"{file}: {fault}" for fault in _faults(policy, file.read_text(encoding="utf-8"))]
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)
    counts = ", ".join(f"{len(rules_of(policy, stage))} for {stage}" for stage in get_args(Stage))
    typer.echo(f"{file} is valid: profile {policy.profile}, fingerprint {policy.fingerprint}; rules: {counts}")


@app.command()
def explain(
    text: Annotated[str, typer.Argument(help="A text, or - for standard input.")],
    *,
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "balanced",
    stage: Annotated[str, typer.Option(help=f"Where it stands: {', '.join(get_args(Stage))}.")] = "input",
    as_json: AsJson = False,
) -> None:
    """Say what a policy does with a text: which rules, in which view of it, with which score, and why.

    Exit code 0: it passes unchanged; 1: something is found; 2: the policy is not valid, or there is no such stage.
    """
    chosen = _policy(policy)
    problem = ""
    said: Explained | None = None
    try:
        said = explained(sys.stdin.read() if text == "-" else text, chosen, stage)
    except (GuardError, ImportError) as error:  # an extra that the policy needs
        problem = str(error)
    if said is None:
        typer.echo(problem, err=True)
        raise typer.Exit(2)
    if as_json:
        typer.echo(json.dumps(said.as_dict()))
    else:
        show_explained(said, Console())
    raise typer.Exit(1 if said.findings else 0)


def _policy(given: str) -> GuardPolicy:
    problem = ""
    try:
        return named_policy(given)
    except PolicyError as error:
        problem = str(error)
    typer.echo(problem, err=True)
    raise typer.Exit(2)


def _plain(value: object) -> object:
    """A setting as JSON has it."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        return [str(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


def _said(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name} = {one}" for name, one in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _source(name: str, policy: GuardPolicy, profile: GuardPolicy) -> str:
    if getattr(policy, name) != getattr(profile, name):
        return "file"
    if getattr(profile, name) != getattr(GuardPolicy(), name):
        return "file" if name == "profile" else f"profile {policy.profile}"
    return "default"


def _faults(policy: GuardPolicy, text: str) -> list[str]:
    """What only shows when the rules are looked at, each with the line of its setting."""
    faults: list[tuple[tuple[str, ...], str]] = []
    known = {rule.id for rule in builtin_rules()} | {*INVISIBLE_RULES, *MARKUP_RULES}
    known |= {MODEL_RULE, HIDDEN_RULE, NESTED_RULE, FLOOD_RULE}
    for pack in policy.rule_packs:
        try:
            known |= {rule.id for rule in load_pack(pack)}
        except PolicyError as error:
            faults.append((("rule_packs",), str(error)))
    if not faults:
        named: list[tuple[tuple[str, ...], str]] = [
            (("disabled_rules",), rule) for rule in sorted(policy.disabled_rules)
        ]
        named += [(("enabled_rules",), rule) for rule in sorted(policy.enabled_rules)]
        named += [(("strategies", rule), rule) for rule in policy.strategies if rule not in set(Category)]
        for place, rule in named:
            if rule not in known:
                close = get_close_matches(rule, known, n=1)
                faults.append((place, f"there is no rule {rule!r}{f'; is it {close[0]}?' if close else ''}"))
    if not faults:
        try:
            rules_of(policy, "input")
        except PolicyError as error:
            faults.append((("rule_packs",), str(error)))
    return [f"line {line_of(text, place) or 1}: {'.'.join(place)}: {fault}" for place, fault in faults]
