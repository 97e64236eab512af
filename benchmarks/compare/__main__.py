"""Ours beside every peer that can be installed, in one run; writes `docs/comparison.md`, two pictures and the README's table.

    make compare

makes a throwaway environment with the peers in it and runs this. Every peer runs at its defaults. What is not
installed is named, not guessed.
"""

import argparse
import logging
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from guard_integrations.core.scanner.classifier import Classifier

from . import costs, plots, quality
from .peers import OURS, missing
from .streams import streams
from .table import Table

ROOT = Path(__file__).parents[2]
START, END = "<!-- comparison: written by make compare -->", "<!-- end of the comparison -->"
INTRODUCTION = """# Beside other libraries

Written by `make compare`, which installs every peer into a throwaway environment and runs all of them in one process, at
their defaults, on the same texts.

"""


def main() -> None:
    """Runs every scene and writes what was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="also write the page, the pictures and the README")
    write = options.parse_args().write
    # Presidio wants a list from the network, says that it cannot have it, and uses its own.
    logging.disable()
    Classifier.load()
    injection, personal = quality.injection(), quality.personal_data()
    flows, times = streams(), costs.latency()
    tables = [injection, personal, quality.secrets(), quality.markup(), flows, times, costs.footprint()]
    about = (
        f"{platform.machine()}, {_processor()}, Python {platform.python_version()}, "
        f"{OURS} {version(OURS)}, {datetime.now(UTC):%Y-%m-%d}."
    )
    absent = ", ".join(f"{name} ({why})" for name, why in sorted(missing.items()))
    about += f" Not installed: {absent}." if absent else " All peers were installed."
    page = INTRODUCTION + f"{about}\n\n" + "\n".join(table.markdown() for table in tables)
    print(page)
    if write:
        (ROOT / "docs" / "comparison.md").write_text(page.rstrip() + "\n", encoding="utf-8")
        plots.quality(ROOT / "docs" / "images" / "comparison-quality.png", injection, personal)
        plots.costs(ROOT / "docs" / "images" / "comparison-costs.png", times, flows)
        readme = ROOT / "README.md"
        before, rest = readme.read_text(encoding="utf-8").split(START)
        after = rest.split(END)[1]
        readme.write_text(
            f"{before}{START}\n{_summary(injection, personal, flows, times)}{END}{after}", encoding="utf-8"
        )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "processor unknown"
    )


def _summary(injection: Table, personal: Table, flows: Table, times: Table) -> str:
    """The README's table: what each is best known for, in one line."""
    caught, flagged = injection.column("caught"), injection.column("flagged for nothing")
    f1, touched = personal.column("F1, held back"), personal.column("touched for nothing, held back")
    leaks, held = flows.column("streams in which a part came out"), flows.column("characters held back")
    speed = times.column("4 KB, µs")
    lines = ["| job | library | finds | flags for nothing | 4 KB of prose |", "|---|---|--:|--:|--:|"]
    for name in caught:
        if "as shipped" in name:
            continue
        micros = speed[f"{OURS}, rules and model"] if name.startswith(OURS) else speed[name]
        shown = f"**{OURS}**" if name.startswith(OURS) else name
        lines.append(f"| injection | {shown} | {caught[name]:.0%} | {flagged[name]:.1%} | {micros:,.0f} µs |")
    for name in f1:
        micros = speed[f"{OURS}, all of OutputSanitizer"] if name.startswith(OURS) else speed[name]
        shown = f"**{OURS}**" if name.startswith(OURS) else name
        lines.append(f"| personal data | {shown} | {f1[name]:.0%} | {touched[name]:.1%} | {micros:,.0f} µs |")
    lines += ["", "| stream | part of an address came out | held back, characters |", "|---|--:|--:|"]
    for name in leaks:
        shown = f"**{name.replace(f' {version(OURS)}', '')}**" if name.startswith(OURS) else name
        lines.append(f"| {shown} | {leaks[name]:.0%} of streams | {held[name]:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
