"""How the demo looks in a terminal: tables that fit 80 columns, then the log lines and the key ring."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from guard_integrations.cli.demo.run import Outcome, Report, RingStep

__all__ = ["show"]

WIDTH = 80
"""Columns: what a terminal has when nobody has touched it."""
_CLIP = 160
"""Characters of a text that are shown."""


def show(report: Report, console: Console) -> None:
    """Prints a report."""
    console.print(_outcomes("guard | llm | sanitizer (LangChain)", report.chain))
    console.print(_outcomes("GuardedQueryEngine (LlamaIndex), one poisoned page", report.query_engine))
    console.print(_verdict([*report.chain, *report.query_engine]))
    console.rule("What is logged: metadata only", align="left", style="dim")
    for line in report.log_lines:
        console.print(Text(line, style="dim", overflow="fold"))
    console.print(_ring(report.rotation))


def _outcomes(title: str, outcomes: Iterable[Outcome]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_lines=True, width=WIDTH)
    for header, ratio in (("What came in", 9), ("Without the guard", 9), ("With the guard", 10)):
        table.add_column(header, ratio=ratio, overflow="fold")
    for outcome in outcomes:
        attack = outcome.kind == "attack"
        table.add_row(
            Text(_visible(outcome.prompt), style="bold" if attack else ""),
            _answer(outcome.unguarded, outcome.unguarded_ms, harmed=outcome.unguarded_harmed),
            _answer(outcome.guarded, outcome.guarded_ms, harmed=outcome.guarded_harmed, rules=outcome.rules),
        )
    return table


def _answer(answer: str, ms: float, *, harmed: bool, rules: Iterable[str] = ()) -> Text:
    """An answer, and under it how long it took and which rules fired."""
    text = Text(_visible(answer), style="red" if harmed else "")
    text.append(f"\n{ms:.1f} ms", style="dim")
    for rule in rules:
        text.append(f"\n{rule}", style="green")
    return text


def _verdict(outcomes: list[Outcome]) -> Text:
    attacks = [outcome for outcome in outcomes if outcome.kind == "attack"]
    ordinary = [outcome for outcome in outcomes if outcome.kind == "ordinary"]
    worked = sum(outcome.unguarded_harmed for outcome in attacks)
    got_through = sum(outcome.guarded_harmed for outcome in attacks)
    touched = sum(outcome.unguarded != outcome.guarded for outcome in ordinary)
    return Text.assemble(
        ("Attacks that worked: ", ""),
        (f"{worked} of {len(attacks)} unguarded", "red"),
        ", ",
        (f"{got_through} of {len(attacks)} guarded", "green" if not got_through else "red"),
        f". Ordinary prompts changed: {touched} of {len(ordinary)}.\n",
    )


def _ring(steps: Iterable[RingStep]) -> Table:
    table = Table(title="Key rotation", title_justify="left", title_style="bold", width=WIDTH)
    table.add_column("What happens", ratio=5)
    table.add_column("Caller", ratio=2)
    table.add_column("Key now", ratio=2)
    table.add_column("What the ring did", ratio=5)
    for step in steps:
        table.add_row(step.what, step.answer, step.key, "\n".join(step.events) or "-")
    return table


def _visible(text: str) -> str:
    """A text as a terminal may show it: control and invisible characters as escapes, and not too long."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text.replace("\n", " "))
    return shown if len(shown) <= _CLIP else shown[: _CLIP - 1] + "…"
