"""Plots of an evaluation: a picture for a report and a page to explore."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["SweepLine", "missing_extra", "write_plots"]

Bar = tuple[str, str, float, float, float]
"""Set, kind, share, and the ends of its interval."""

_COLOURS: Final = {"recall": "#2a7f62", "false alarms": "#b23a48"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepLine:
    """What a threshold would give.

    Args:
        threshold: the score from which on a text is flagged.
        recall: mean over the sets of attacks; None without any.
        false_alarms: mean over the benign sets; None without any.
    """

    threshold: float
    recall: float | None
    false_alarms: float | None


def missing_extra() -> str:
    """What to install before plotting; empty when everything is there."""
    missing = [name for name in ("matplotlib", "plotly") if find_spec(name) is None]
    return f"plots need {' and '.join(missing)}: pip install 'guard-integrations[eval]'" if missing else ""


def write_plots(folder: Path, bars: list[Bar], sweep: list[SweepLine]) -> None:
    """Writes `eval.png` and `eval.html` into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    _picture(folder / "eval.png", bars, sweep)
    _page(folder / "eval.html", bars, sweep)


def _picture(path: Path, bars: list[Bar], sweep: list[SweepLine]) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure(figsize=(12, max(4, 0.3 * len(bars) + 1)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    names = [f"{name}, {kind}" for name, kind, *_ in bars]
    shares = [share for _, _, share, _, _ in bars]
    errors = [
        [max(0.0, share - low) for _, _, share, low, _ in bars],
        [max(0.0, high - share) for _, _, share, _, high in bars],
    ]
    left.barh(names, shares, xerr=errors, color=[_COLOURS[kind] for _, kind, *_ in bars], ecolor="#555555")
    left.invert_yaxis()
    left.set_xlim(0, 1)
    left.set_xlabel("flagged, with 95 % interval")
    for label, values in _lines(sweep).items():
        right.plot([line.threshold for line in sweep], values, label=label, color=_COLOURS[label], marker=".")
    right.set_xlabel("threshold")
    right.set_ylabel("mean over sets")
    right.set_ylim(0, 1)
    right.legend()
    figure.savefig(path, dpi=120)


def _page(path: Path, bars: list[Bar], sweep: list[SweepLine]) -> None:
    from plotly import graph_objects as go  # noqa: PLC0415 - an extra
    from plotly.subplots import make_subplots  # noqa: PLC0415 - an extra

    figure = make_subplots(rows=1, cols=2, column_widths=[0.6, 0.4])
    for kind, colour in _COLOURS.items():
        mine = [bar for bar in bars if bar[1] == kind]
        spread = {
            "type": "data",
            "symmetric": False,
            "array": [high - share for _, _, share, _, high in mine],
            "arrayminus": [share - low for _, _, share, low, _ in mine],
        }
        names = [name for name, *_ in mine]
        shares = [share for _, _, share, _, _ in mine]
        figure.add_trace(
            go.Bar(x=shares, y=names, orientation="h", name=kind, error_x=spread, marker_color=colour), row=1, col=1
        )
        at = [line.threshold for line in sweep]
        values = _lines(sweep).get(kind)
        if values:
            figure.add_trace(go.Scatter(x=at, y=values, name=f"{kind}, by threshold", line_color=colour), row=1, col=2)
    figure.update_xaxes(title_text="flagged", range=[0, 1], row=1, col=1)
    figure.update_xaxes(title_text="threshold", row=1, col=2)
    figure.update_yaxes(title_text="mean over sets", range=[0, 1], row=1, col=2)
    figure.write_html(path, include_plotlyjs=True)


def _lines(sweep: list[SweepLine]) -> dict[str, list[float]]:
    found = {
        "recall": [line.recall for line in sweep if line.recall is not None],
        "false alarms": [line.false_alarms for line in sweep if line.false_alarms is not None],
    }
    return {name: values for name, values in found.items() if values}
