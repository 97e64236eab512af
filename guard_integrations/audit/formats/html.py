"""One HTML page that needs nothing else: no script, no font, no image, no address that it loads from."""

import re
from html import escape
from typing import Final

from guard_integrations.audit.formats.common import (
    Group,
    by_check,
    counts,
    line_of,
    place_of,
    printable,
    skipped_of,
    verdict,
)
from guard_integrations.audit.model import AuditFinding, AuditReport, CheckResult

__all__ = ["to_html"]

_WIDTH: Final = 100
"""Characters of a line that are shown."""
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881;
  --critical: #b3123f; --high: #c2410c; --medium: #a16207; --low: #3f6f9f; --good: #15803d; }
@media (prefers-color-scheme: dark) { :root {
  --critical: #fb7185; --high: #fb923c; --medium: #facc15; --low: #93c5fd; --good: #4ade80; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0; }
.verdict { margin: .3rem 0 1.2rem; font-size: 1.05rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin-bottom: 1.5rem; }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; min-width: 6rem; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.2; }
section { border: 1px solid var(--line); border-left: .35rem solid var(--tone); border-radius: .5rem;
  padding: .8rem 1rem; margin: 1rem 0; }
.critical { --tone: var(--critical); } .high { --tone: var(--high); } .medium { --tone: var(--medium); }
.low { --tone: var(--low); } .passed { --tone: var(--good); } .failed { --tone: var(--critical); }
.tone { color: var(--tone); font-weight: 600; }
.id { font-weight: 400; opacity: .75; margin-left: .4rem; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
ol { list-style: none; margin: .8rem 0 0; padding: 0; } li + li { margin-top: .8rem; }
.place { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
code { font: .92em ui-monospace, monospace; background: var(--soft); padding: 0 .2em; border-radius: .2em; }
pre { background: var(--soft); border-radius: .35rem; padding: .45rem .7rem; margin: .3rem 0 0; overflow-x: auto;
  font: 13px/1.5 ui-monospace, monospace; }
mark { background: none; color: inherit; border-bottom: 2px solid var(--tone); }
.number { opacity: .55; margin-right: .9rem; user-select: none; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .6rem .25rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
details { margin: 1.2rem 0; } summary { cursor: pointer; font-weight: 600; }
"""


def to_html(report: AuditReport) -> str:
    """The report as one page, the worst first."""
    tone = "passed" if report.passed else "failed"
    tiles = "".join(_tile(str(count), severity, severity) for severity, count in counts(report))
    groups = "".join(_group(group) for group in by_check(report))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n<title>Security audit</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Security audit</h1>\n"
        f'<p class="verdict {tone}"><span class="tone">{escape(verdict(report))}</span></p>\n'
        f'<div class="tiles">{tiles}{_tile(f"{report.files:,}", "files read", "")}'
        f"{_tile(str(sum(check.passed for check in report.checks)), 'checks passed', 'passed')}</div>\n"
        f"{groups}{_suppressed(report)}{_skipped(report)}{_checks(report.checks)}</body>\n</html>\n"
    )


def _tile(number: str, label: str, tone: str) -> str:
    return f'<div class="tile {tone}"><b class="tone">{escape(number)}</b>{escape(label)}</div>'


def _group(group: Group) -> str:
    check = group.check
    places = "".join(f"<li>{_finding(finding)}</li>" for finding in group.findings)
    return (
        f'<section class="{group.severity}"><h2><span class="tone">{group.severity}</span> {escape(check.title)}'
        f'<span class="id" id="{check.id.lower()}">{check.id}</span></h2>\n'
        f'<p>{_prose(check.rationale)}</p>\n<p><b>Remediation.</b> {_prose(check.remediation)} <span class="id">{escape(check.link)}</span></p>\n'
        f"<ol>{places}</ol></section>\n"
    )


def _finding(finding: AuditFinding) -> str:
    said = f'<span class="place">{escape(place_of(finding))}</span><br>{escape(finding.message)}'
    if not finding.snippet:
        return said
    shown, first, last = line_of(finding, _WIDTH)
    before, marked, after = shown[:first], shown[first:last], shown[last:]
    return (
        f'{said}<pre><span class="number">{finding.line}</span>{_line(before)}<mark>{_line(marked)}</mark>'
        f"{_line(after)}</pre>"
    )


def _line(text: str) -> str:
    return escape(printable(text))


def _prose(text: str) -> str:
    """A check's own words, what stands between back-ticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _suppressed(report: AuditReport) -> str:
    rows = "".join(
        f"<tr><td>{each.check}</td><td>{escape(place_of(each))}</td><td>{escape(printable(each.justification or ''))}</td></tr>"
        for each in report.suppressed
    )
    return _details("Suppressed", ("check", "place", "reason"), rows)


def _skipped(report: AuditReport) -> str:
    rows = "".join(
        f"<tr><td>{escape(printable(each.path))}</td><td>{escape(each.reason)}</td></tr>" for each in skipped_of(report)
    )
    return _details("Not read in full", ("file", "reason"), rows)


def _checks(checks: tuple[CheckResult, ...]) -> str:
    rows = "".join(
        f'<tr class="{"passed" if check.passed else "failed"}"><td>{check.id}</td><td>{escape(check.name)}</td>'
        f'<td class="tone">{"passed" if check.passed else check.findings}</td></tr>'
        for check in checks
    )
    return _details("Checks", ("id", "check", "findings"), rows)


def _details(title: str, columns: tuple[str, ...], rows: str) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    return f"<details open><summary>{title}</summary><table><tr>{head}</tr>{rows}</table></details>\n" if rows else ""
