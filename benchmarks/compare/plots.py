"""The pictures that the README shows: what is found against what is flagged for nothing, and what it costs."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .peers import OURS
from .table import Table

MINE, THEIRS = "#2a7f62", "#7a8594"
CLOSE = 0.1
"""Points nearer than this, in height, would write over each other."""


def quality(path: Path, injection: Table, personal: Table) -> None:
    """Two clouds: up and to the left is better."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    fair = {name for name in injection.column("caught") if "as shipped" not in name}
    _cloud(left, "Prompt injection", injection.column("flagged for nothing"), injection.column("caught"), fair)
    left.set_xlabel("ordinary texts flagged")
    left.set_ylabel("attacks caught, mean over sets")
    f1 = personal.column("F1, held back")
    _cloud(right, "Personal data", personal.column("touched for nothing, held back"), f1, set(f1))
    right.set_xlabel("texts without personal data touched")
    right.set_ylabel("F1 in characters")
    figure.savefig(path, dpi=110)


def _cloud(axes: Any, title: str, across: dict[str, float], up: dict[str, float], names: set[str]) -> None:  # noqa: ANN401 - matplotlib's
    width = max(across[one] for one in names)
    for name in sorted(names):
        mine = name.startswith(OURS)
        x, y = across[name], up[name]
        axes.scatter(x, y, s=70, color=MINE if mine else THEIRS, zorder=3)
        crowded = any(0 < up[one] - y < CLOSE and abs(across[one] - x) < width / 2 for one in names)
        axes.annotate(
            OURS if mine else name,
            (x, y),
            xytext=(-8 if x > width / 2 else 8, -14 if crowded else 6),
            textcoords="offset points",
            ha="right" if x > width / 2 else "left",
            weight="bold" if mine else "normal",
            fontsize=9,
        )
    axes.set_title(title)
    axes.set_ylim(0, 1.05)
    axes.set_xlim(left=-0.01)
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")


def costs(path: Path, latency: Table, streams: Table) -> None:
    """Microseconds for 4 KB, and characters held back in a stream."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    job = {str(row[0]): str(row[1]) for row in latency.rows}
    _bars(left, {f"{name}: {job[name]}": value for name, value in latency.column("4 KB, µs").items()}, "{:,.0f}")
    left.set_xscale("log")
    left.set_xlabel("µs for 4 KB of prose (logarithmic)")
    leaks = streams.column("streams in which a part came out")
    held = streams.column("characters held back")
    _bars(right, {f"{name}\n{leaks[name]:.0%} of streams leak": value for name, value in held.items()}, "{:.0f}")
    right.set_xlabel("characters held back")
    figure.savefig(path, dpi=110)


def _bars(axes: Any, values: dict[str, float], written: str) -> None:  # noqa: ANN401 - matplotlib's
    ordered = sorted(values, key=lambda name: values[name])
    colours = [MINE if name.startswith(OURS) else THEIRS for name in ordered]
    bars = axes.barh(ordered, [values[name] for name in ordered], color=colours)
    axes.bar_label(bars, labels=[written.format(values[name]) for name in ordered], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.tick_params(axis="y", labelsize=8)
