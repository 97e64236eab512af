"""Findings in a terminal: how many of each rule, and where the first of them are. Never what was matched."""

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from guard_integrations.scan.run import Part, Totals

__all__ = ["Summary"]

_FIRST: Final = 40
_COLOURS: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}


class Summary:
    """Two tables that fit 80 columns.

    Args:
        console: where they are shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._first: list[tuple[str, str, str, str]] = []

    def take(self, part: Part) -> None:
        """Keeps the first findings."""
        rows = part.findings.slice(0, max(0, _FIRST - len(self._first))).to_pylist()
        for row in rows:
            where = f"{row['path']}:{row['line']}" if row["line"] is not None else f"{row['path']} row {row['row']}"
            where += f" {row['within']}" if row["within"] else ""
            place = f"{row['start']}-{row['end']}"
            self._first.append((where, row["rule"], row["severity"], place))

    def finish(self, totals: Totals) -> None:
        """Shows what there is."""
        if totals.findings:
            self._console.print(self._places(totals.findings))
            self._console.print(_rules(totals))

    def _places(self, total: int) -> Table:
        shown = len(self._first)
        caption = f"the first {shown} of {total}" if shown < total else None
        table = Table(title="Where", title_justify="left", title_style="bold", caption=caption, width=self._width)
        table.add_column("place", ratio=5, overflow="fold")
        table.add_column("rule", no_wrap=True)
        table.add_column("severity", no_wrap=True)
        table.add_column("characters", no_wrap=True, justify="right")
        for where, rule, severity, place in self._first:
            table.add_row(Text(_printable(where)), rule, Text(severity, style=_COLOURS[severity]), place)
        return table

    @property
    def _width(self) -> int:
        return min(self._console.width, 100)


def _rules(totals: Totals) -> Table:
    table = Table(title="What", title_justify="left", title_style="bold")
    for header in ("rule", "category", "severity", "policy"):
        table.add_column(header, overflow="fold")
    table.add_column("findings", justify="right")
    for (rule, category, severity, action), count in sorted(totals.rules.items(), key=lambda item: -item[1]):
        table.add_row(rule, category, Text(severity, style=_COLOURS[severity]), action, f"{count:,}")
    return table


def _printable(path: str) -> str:
    """A path as a terminal may show it."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in path)
