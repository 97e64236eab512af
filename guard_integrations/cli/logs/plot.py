"""Plots of a log: a picture for a report and a page to explore."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from guard_integrations.cli.logs.tally import Tally
from guard_integrations.core.findings import Action

__all__ = ["write_plots"]

_COLOURS: Final = {Action.FLAG: "#c9a227", Action.FILTER: "#2a7f62", Action.BLOCK: "#b23a48"}
_GOOD, _BAD = "#2a7f62", "#b23a48"
_MOST: Final = 15


def write_plots(folder: Path, tally: Tally) -> None:
    """Writes `logs.png` and `logs.html` into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    _picture(folder / "logs.png", tally)
    _page(folder / "logs.html", tally)


def _calls(tally: Tally, *, failed: bool) -> tuple[list[datetime], list[float]]:
    """When model calls began, and the seconds they took."""
    chosen = [moment for moment in tally.moments if moment.failed is failed]
    return [datetime.fromtimestamp(moment.at, UTC) for moment in chosen], [moment.duration for moment in chosen]


def _rules(tally: Tally) -> list[str]:
    """The rules that hit most, most last."""
    total = {rule: sum(tally.rules[rule, action] for action in Action) for rule, _ in tally.rules}
    return sorted(total, key=lambda rule: (total[rule], rule))[-_MOST:]


def _picture(path: Path, tally: Tally) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    for failed, label, colour in ((False, "answered", _GOOD), (True, "blocked or failed", _BAD)):
        at, seconds = _calls(tally, failed=failed)
        left.scatter(at, seconds, s=9, alpha=0.6, label=label, color=colour)
    left.set_ylabel("seconds")
    left.set_title(f"{tally.requests:,} model calls", loc="left")
    left.set_ylim(bottom=0)
    left.tick_params(axis="x", rotation=30)
    left.legend()
    rules = _rules(tally)
    ends = [0] * len(rules)
    for action, colour in _COLOURS.items():
        counts = [tally.rules[rule, action] for rule in rules]
        right.barh(rules, counts, left=ends, label=action.value, color=colour)
        ends = [end + count for end, count in zip(ends, counts, strict=True)]
    right.set_title("Findings by rule", loc="left")
    if rules:
        right.legend()
    figure.savefig(path, dpi=120)


def _page(path: Path, tally: Tally) -> None:
    from plotly import graph_objects as go  # noqa: PLC0415 - an extra
    from plotly.subplots import make_subplots  # noqa: PLC0415 - an extra

    titles = (f"{tally.requests:,} model calls", "Findings by rule")
    figure = make_subplots(rows=1, cols=2, column_widths=[0.6, 0.4], subplot_titles=titles)
    for failed, label, colour in ((False, "answered", _GOOD), (True, "blocked or failed", _BAD)):
        at, seconds = _calls(tally, failed=failed)
        dots = go.Scatter(x=at, y=seconds, mode="markers", name=label, marker={"color": colour, "size": 5})
        figure.add_trace(dots, row=1, col=1)
    rules = _rules(tally)
    for action, colour in _COLOURS.items():
        counts = [tally.rules[rule, action] for rule in rules]
        bars = go.Bar(x=counts, y=rules, orientation="h", name=action.value, marker_color=colour)
        figure.add_trace(bars, row=1, col=2)
    figure.update_layout(barmode="stack")
    figure.update_yaxes(title_text="seconds", rangemode="tozero", row=1, col=1)
    figure.write_html(path, include_plotlyjs=True)
