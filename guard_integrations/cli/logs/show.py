"""A tally as tables for a terminal of 80 columns."""

from collections import Counter
from collections.abc import Iterable

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from guard_integrations.cli.logs.tally import Tally, percentile
from guard_integrations.core.findings import Action

__all__ = ["live", "summary"]

_MOST = 10


def summary(tally: Tally) -> RenderableType:
    """The whole log."""
    parts: list[RenderableType] = [_headline(tally)]
    small = [
        table
        for table in (
            _counts("operation", tally.operations),
            _counts("model", tally.models),
            _counts("moderation", tally.moderation),
            _counts("event", tally.events),
        )
        if table is not None
    ]
    parts += [table for table in (_rules(tally), _keys(tally), _errors(tally)) if table is not None]
    if small:
        parts.append(Columns(small, padding=(0, 2)))
    return _apart(parts)


def live(tally: Tally) -> RenderableType:
    """The last calls, and the sums under them."""
    table = _table("Last model calls", ("time", "left"), ("model", "left"), ("in", "right"), ("out", "right"),
                   ("s", "right"), ("key", "left"), ("ended", "left"))  # fmt: skip
    for record in tally.recent:
        table.add_row(
            f"{record.at:%H:%M:%S}",
            record.model or "",
            _number(record.input_tokens),
            _number(record.output_tokens),
            _seconds(record.duration),
            record.key or "",
            record.error or (record.finish_reason.value if record.finish_reason else ""),
        )
    return _apart([table, _headline(tally), *filter(None, (_rules(tally),))])


def _apart(parts: Iterable[RenderableType]) -> RenderableType:
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _headline(tally: Tally) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    if tally.first and tally.last:
        table.add_row("time", f"{tally.first:%Y-%m-%d %H:%M:%S} to {tally.last:%Y-%m-%d %H:%M:%S} UTC")
    table.add_row("requests", f"{tally.requests:,}, {tally.blocked:,} blocked, {tally.failed:,} failed")
    table.add_row("tokens", f"{tally.tokens['input']:,} in, {tally.tokens['output']:,} out")
    for name, values in (("latency", tally.durations), ("first token", tally.first_tokens)):
        if values:
            said = ", ".join(
                f"p{round(share * 100)} {_seconds(percentile(values, share))} s" for share in (0.5, 0.95, 0.99)
            )
            table.add_row(name, said)
    table.add_row("lines", f"{tally.lines:,}, {tally.broken:,} broken, {tally.dropped:,} lost by sinks")
    return table


def _rules(tally: Tally) -> Table | None:
    rules = sorted({rule for rule, _ in tally.rules}, key=lambda rule: (-_hits(tally, rule), rule))
    if not rules:
        return None
    table = _table("Findings", ("rule", "left"), *((action.value, "right") for action in Action))
    for rule in rules[:_MOST]:
        table.add_row(rule, *(_number(tally.rules[rule, action] or None) for action in Action))
    return _with_rest(table, len(rules))


def _hits(tally: Tally, rule: str) -> int:
    return sum(tally.rules[rule, action] for action in Action)


def _keys(tally: Tally) -> Table | None:
    if not tally.keys:
        return None
    table = _table("Keys", ("key", "left"), ("requests", "right"), ("retries", "right"))
    for key, count in tally.keys.most_common(_MOST):
        table.add_row(key, _number(count), _number(tally.retries[key]))
    return _with_rest(table, len(tally.keys))


def _errors(tally: Tally) -> Table | None:
    if not tally.failures:
        return None
    table = _table("Errors", ("error", "left"), ("status", "right"), ("runs", "right"))
    for (error, status), count in tally.failures.most_common(_MOST):
        table.add_row(error, _plain(status), _number(count))
    return _with_rest(table, len(tally.failures))


def _counts(name: str, counts: Counter[str]) -> Table | None:
    if not counts:
        return None
    table = _table(None, (name, "left"), ("", "right"))
    for word, count in counts.most_common(_MOST):
        table.add_row(word, _number(count))
    return _with_rest(table, len(counts))


def _table(title: str | None, *columns: tuple[str, str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for name, side in columns:
        table.add_column(name, justify="right" if side == "right" else "left", overflow="fold", header_style="dim")
    return table


def _with_rest(table: Table, total: int) -> Table:
    if total > _MOST:
        table.caption = f"and {total - _MOST} more"
    return table


def _plain(number: int | None) -> str:
    return "" if number is None else str(number)


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"
