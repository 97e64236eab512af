"""A report that shows the findings where they stand: one HTML file that loads and runs nothing."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from guard_integrations.core.findings import Severity
from guard_integrations.scan.run import Part, Totals

__all__ = ["Html"]

_MOST: Final = 1_000
"""Excerpts that a report shows; beyond that nobody reads it."""
_BARS: Final = 20
_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Scan report</title><style>
:root { color-scheme: light dark; --low: #8a8f98; --medium: #b7791f; --high: #c53030; --critical: #97266d; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem } h3 { font: 600 .95rem ui-monospace, monospace; }
h3, pre { overflow-wrap: anywhere } .note { border-left: 4px solid var(--high); padding: .5rem 1rem; }
pre { white-space: pre-wrap; padding: .75rem; border: 1px solid #8886; border-radius: 4px; margin: .25rem 0 }
mark { color: inherit; background: color-mix(in srgb, var(--of) 25%, transparent); border-bottom: 2px solid var(--of); }
.low { --of: var(--low) } .medium { --of: var(--medium) } .high { --of: var(--high) } .critical { --of: var(--critical) }
.c { opacity: .6; font-size: .85em } ul.f { margin: .25rem 0 1.5rem; padding-left: 1.2rem; font-size: .9rem }
svg { max-width: 100%; height: auto; font: 13px system-ui, sans-serif; fill: currentColor }
</style></head><body><main>
<h1>Scan report</h1>
<p class="note"><strong>This report shows text of the files that were scanned</strong>, around each finding. Treat it
with the same care as them.</p>
"""


class Html:
    """Charts of what was found, and the texts around the first findings.

    Args:
        write: takes text.
        rationales: why each rule is there, by its id.
    """

    def __init__(self, write: Callable[[str], object], rationales: Mapping[str, str]) -> None:
        self._write = write
        self._rationales = rationales
        self._excerpts: list[dict[str, Any]] = []

    def take(self, part: Part) -> None:
        """Keeps the first excerpts."""
        self._excerpts += part.excerpts.slice(0, max(0, _MOST - len(self._excerpts))).to_pylist()

    def finish(self, totals: Totals) -> None:
        """Writes the page."""
        self._write(_HEAD)
        self._write(f"<p>{totals.said}.</p>\n")
        for problem in totals.problems:
            self._write(f'<p class="note">{_shown(problem)}</p>\n')
        if totals.findings:
            for title, bars in _charts(totals):
                self._write(f"<h2>{title}</h2>\n{_chart(title, bars)}\n")
            self._write("<h2>Where</h2>\n")
            shown = sum(len(excerpt["marks"]) for excerpt in self._excerpts)
            if shown < totals.findings:
                self._write(f"<p>The first {shown:,} of {totals.findings:,} findings.</p>\n")
        for excerpt in self._excerpts:
            self._write(self._section(excerpt))
        self._write("</main></body></html>\n")

    def _section(self, excerpt: Mapping[str, Any]) -> str:
        where = f", line {excerpt['line']}" if excerpt["line"] is not None else f", row {excerpt['row']}"
        where += f", {_shown(excerpt['within'])}" if excerpt["within"] else ""
        places: dict[tuple[str, str, str], list[str]] = {}
        for mark in excerpt["marks"]:
            span = f"{excerpt['start'] + mark['start']} to {excerpt['start'] + mark['end']}"
            places.setdefault((mark["rule"], mark["severity"], mark["action"]), []).append(span)
        items = "".join(
            f"<li><strong>{_shown(rule)}</strong> ({severity}, {action}), characters {', '.join(spans)}: "
            f"{_shown(self._rationales.get(rule, 'a rule of your own'))}</li>"
            for (rule, severity, action), spans in places.items()
        )
        text = "".join(_marked(excerpt["text"], excerpt["marks"]))
        return f'<h3>{_shown(excerpt["path"])}{where}</h3>\n<pre>{text}</pre>\n<ul class="f">{items}</ul>\n'


def _marked(text: str, marks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The text, escaped, with the findings set off; where they overlap the gravest gives the colour."""
    order = [severity.value for severity in Severity]
    edges = sorted({0, len(text), *(edge for mark in marks for edge in (mark["start"], mark["end"]))})
    for start, end in itertools.pairwise(edges):
        over = [mark for mark in marks if mark["start"] <= start and end <= mark["end"]]
        piece = _shown(text[start:end])
        if over:
            worst = max((mark["severity"] for mark in over), key=order.index)
            rules = escape(", ".join(sorted({mark["rule"] for mark in over})))
            piece = f'<mark class="{worst}" title="{rules}">{piece}</mark>'
        yield piece


def _shown(text: str) -> str:
    """Text as a page may show it: escaped, and what nobody would see, or would read the other way round, written out."""
    return "".join(
        escape(char)
        if char.isprintable() or char in "\n\t"
        else f'<span class="c">{escape(char.encode("unicode_escape").decode())}</span>'
        for char in text
    )


def _charts(totals: Totals) -> Iterator[tuple[str, list[tuple[str, int, str]]]]:
    """Title and bars of each chart: name, count, severity."""
    severities: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    rules: Counter[tuple[str, str]] = Counter()
    for (rule, category, severity, _), count in totals.rules.items():
        severities[severity] += count
        categories[category] += count
        rules[rule, severity] += count
    yield "By severity", [(one.value, severities[one], one.value) for one in reversed(Severity) if severities[one]]
    yield "By category", [(name, count, "") for name, count in categories.most_common()]
    yield "By rule", [(rule, count, severity) for (rule, severity), count in rules.most_common(_BARS)]


def _chart(title: str, bars: Sequence[tuple[str, int, str]]) -> str:
    most = max(count for _, count, _ in bars)
    height = 26 * len(bars)
    said = "; ".join(f"{name}: {count}" for name, count, _ in bars)
    rows = "".join(
        f'<text x="210" y="{26 * at + 17}" text-anchor="end">{_shown(name)}</text>'
        f'<rect x="220" y="{26 * at + 3}" width="{max(2, 400 * count / most):.0f}" height="20" rx="2" '
        f'style="fill: var(--{severity or "low"})"/>'
        f'<text x="{230 + 400 * count / most:.0f}" y="{26 * at + 17}">{count:,}</text>'
        for at, (name, count, severity) in enumerate(bars)
    )
    label = escape(f"{title}: {said}")
    return f'<svg viewBox="0 0 720 {height}" width="720" height="{height}" role="img" aria-label="{label}">{rows}</svg>'
