"""Text for a terminal, with the line shown and the place in it marked."""

from collections.abc import Iterator
from io import StringIO
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from guard_integrations.audit.formats.common import (
    Group,
    by_check,
    line_of,
    place_of,
    printable,
    skipped_of,
    verdict,
)
from guard_integrations.audit.model import AuditFinding, AuditReport
from guard_integrations.core.findings import Severity

__all__ = ["to_text"]

_STYLE: Final = {
    Severity.LOW: "bold blue",
    Severity.MEDIUM: "bold yellow",
    Severity.HIGH: "bold red",
    Severity.CRITICAL: "bold white on red",
}
_MOST_SKIPPED: Final = 10


def to_text(report: AuditReport, *, width: int = 80, colour: bool = False) -> str:
    """The report for a terminal, the worst first.

    Args:
        report: the report.
        width: columns.
        colour: whether the terminal understands colours.
    """
    console = Console(
        file=StringIO(), width=width, force_terminal=colour, no_color=not colour, highlight=False, markup=False,
        emoji=False, legacy_windows=False,
    )  # fmt: skip
    with console.capture() as captured:
        for group in by_check(report):
            console.print(_head(group))
            console.print(Padding(Text(group.check.rationale), (0, 0, 0, 2)))
            console.print(
                Padding(
                    Text.assemble(("Fix: ", "bold"), group.check.remediation, (f" See {group.check.link}.", "dim")),
                    (0, 0, 0, 2),
                )
            )
            for finding in group.findings:
                console.print(Padding(Text("\n").join(_finding(finding, width)), (1, 0, 0, 2)))
            console.print()
        skipped = skipped_of(report)
        for each in skipped[:_MOST_SKIPPED]:
            console.print(Text.assemble(("not read in full: ", "dim"), f"{printable(each.path)}: {each.reason}"))
        if len(skipped) > _MOST_SKIPPED:
            console.print(Text(f"not read in full: {len(skipped) - _MOST_SKIPPED} more", style="dim"))
        passed = sum(check.passed for check in report.checks)
        console.print(Text(f"{passed} of {len(report.checks)} checks passed"))
        console.print(Text(verdict(report), style="bold green" if report.passed else "bold red"))
    return "\n".join(line.rstrip() for line in captured.get().split("\n")) if not colour else captured.get()


def _head(group: Group) -> Text:
    return Text.assemble(
        (f" {group.severity} ", _STYLE[group.severity]), " ", (group.check.title, "bold"), f" [{group.check.id}]"
    )


def _finding(finding: AuditFinding, width: int) -> Iterator[Text]:
    yield Text(place_of(finding), style="cyan")
    yield Text(finding.message)
    if finding.snippet:
        number = str(finding.line)
        shown, start, end = line_of(finding, width - len(number) - 6)
        yield Text.assemble((f"{number} | ", "dim"), printable(shown))
        yield Text.assemble(
            (f"{' ' * len(number)} | ", "dim"), " " * start, ("^" * (end - start), _STYLE[Severity.HIGH])
        )
