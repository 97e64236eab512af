"""`guard-integrations eval`: how much of labelled data the guard catches, and how much it flags for nothing."""

import gzip
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from guard_integrations import GuardPolicy, InputSanitizer, PolicyError
from guard_integrations.cli.plot import SweepLine, missing_extra, write_plots
from guard_integrations.cli.target import POLICY_HELP, named_policy
from guard_integrations.core.findings import Stage

__all__ = ["evaluate"]

_Z: Final = 1.96
"""Standard deviations of a 95 % interval."""
_SWEEP: Final = tuple(step / 20 for step in range(1, 20))


class _Row(BaseModel):
    """One line of the data; other fields are ignored."""

    model_config = ConfigDict(hide_input_in_errors=True, strict=True)

    text: str
    label: int = Field(ge=0, le=1)
    set: str | None = None
    stage: Stage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What became of one text."""

    group: str
    label: int
    flagged: bool
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    """A share of the texts of a set that were flagged, with its 95 % interval after Wilson.

    Args:
        set: the set's name, with its stage where that is not `input`.
        kind: "recall" for attacks, "false alarms" for benign texts.
        flagged: how many were flagged.
        total: of how many.
        rate: the share.
        low: lower end of the interval.
        high: upper end.
    """

    set: str
    kind: str
    flagged: int
    total: int
    rate: float
    low: float
    high: float


def evaluate(
    data: Annotated[list[Path], typer.Argument(help="JSON lines (.jsonl, .jsonl.gz) with text and label, or folders.")],
    *,
    stage: Annotated[
        str, typer.Option(help="Where texts stand whose line does not say: input, document or tool.")
    ] = "input",
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "balanced",
    plot: Annotated[Path | None, typer.Option(help="Folder for eval.png and eval.html; needs the extra eval.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Measure detection on labelled texts: per set, with confidence intervals, and over thresholds.

    A line is {"text": ..., "label": 1 or 0, "set": ..., "stage": ...}; the set defaults to the file's name. Texts are
    read and scored, never shown. Exit code 0: measured; 2: the data or the policy could not be read.
    """
    chosen, problem = _policy(policy)
    rows: list[tuple[_Row, str]] = []
    if not problem:
        rows, problem = _rows(data)
    if not problem and stage not in {"input", "document", "tool"}:
        problem = f"--stage {stage}: choose input, document or tool"
    if not problem and plot is not None:
        problem = missing_extra()
    if problem or not rows:
        typer.echo(problem or "there is no text in the data", err=True)
        raise typer.Exit(2)
    guard = InputSanitizer(chosen)
    results, seconds = _scan(guard, rows, stage, quiet=as_json)
    rates = list(_rates(results))
    sweep = [_at(results, threshold) for threshold in _SWEEP]
    characters = sum(len(row.text) for row, _ in rows)
    if as_json:
        typer.echo(json.dumps({
            "sets": [asdict(rate) for rate in rates], "thresholds": [asdict(line) for line in sweep],
            "seconds": seconds, "texts": len(rows), "characters": characters,
        }))  # fmt: skip
    else:
        _print(rates, sweep, f"{len(rows)} texts, {characters} characters, {seconds:.2f} s of CPU")
    if plot is not None:
        write_plots(plot, [(rate.set, rate.kind, rate.rate, rate.low, rate.high) for rate in rates], sweep)


def _policy(given: str) -> tuple[GuardPolicy, str]:
    try:
        return named_policy(given), ""
    except PolicyError as error:
        return GuardPolicy(), str(error)


def _rows(data: Sequence[Path]) -> tuple[list[tuple[_Row, str]], str]:
    """The labelled texts with the name of their set; or what is wrong, without any of their content."""
    rows: list[tuple[_Row, str]] = []
    for path in _files(data):
        number = 0
        try:
            with (
                gzip.open(path, "rt", encoding="utf-8")
                if path.suffix == ".gz"
                else path.open(encoding="utf-8") as lines
            ):
                for number, line in enumerate(lines, start=1):  # noqa: B007 - for the message
                    if line.strip():
                        row = _Row.model_validate_json(line)
                        rows.append((row, row.set or path.name.partition(".")[0]))
        except (OSError, UnicodeDecodeError) as error:
            return [], f"{path}: cannot be read ({type(error).__name__})"
        except ValidationError as error:
            return [], f"{path}, line {number}: {error.errors()[0]['msg']}; needed: text, and label 1 or 0"
    return rows, ""


def _files(data: Iterable[Path]) -> Iterator[Path]:
    for path in data:
        yield from sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]


def _scan(
    guard: InputSanitizer, rows: list[tuple[_Row, str]], stage: str, *, quiet: bool
) -> tuple[list[_Result], float]:
    results: list[_Result] = []
    began = time.process_time()
    for row, name in track(rows, description="Scanning", disable=quiet, console=Console(stderr=True)):
        where = row.stage or _STAGES[stage]
        found = guard.scan(row.text, where)
        group = name if where == "input" else f"{name} ({where})"
        results.append(_Result(group=group, label=row.label, flagged=found.is_injection, score=found.injection_score))
    return results, time.process_time() - began


_STAGES: Final[dict[str, Stage]] = {"input": "input", "document": "document", "tool": "tool"}


def _rates(results: list[_Result]) -> Iterator[_Rate]:
    groups: dict[tuple[int, str], list[_Result]] = {}
    for result in results:
        groups.setdefault((-result.label, result.group), []).append(result)
    for (label, name), group in sorted(groups.items()):
        flagged, total = sum(result.flagged for result in group), len(group)
        low, high = wilson(flagged, total)
        yield _Rate(
            set=name,
            kind="recall" if label else "false alarms",
            flagged=flagged,
            total=total,
            rate=flagged / total,
            low=low,
            high=high,
        )


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share. Source: Wilson (1927)."""
    share = hits / total
    spread = _Z * ((share * (1 - share) + _Z**2 / (4 * total)) / total) ** 0.5
    middle = share + _Z**2 / (2 * total)
    scale = 1 + _Z**2 / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _macro(results: list[_Result], label: int, threshold: float) -> float | None:
    """The mean over sets of the share that is flagged."""
    groups: dict[str, list[bool]] = {}
    for result in results:
        if result.label == label:
            groups.setdefault(result.group, []).append(result.score >= threshold)
    return sum(sum(group) / len(group) for group in groups.values()) / len(groups) if groups else None


def _at(results: list[_Result], threshold: float) -> SweepLine:
    return SweepLine(
        threshold=threshold, recall=_macro(results, 1, threshold), false_alarms=_macro(results, 0, threshold)
    )


def _print(rates: list[_Rate], sweep: list[SweepLine], footer: str) -> None:
    console = Console()
    table = Table("set", "", "flagged", "of", "rate", "95 % interval")
    for rate in rates:
        interval = f"{rate.low:.1%} to {rate.high:.1%}"
        table.add_row(rate.set, rate.kind, str(rate.flagged), str(rate.total), f"{rate.rate:.1%}", interval)
    for kind in ("recall", "false alarms"):
        if mine := [rate.rate for rate in rates if rate.kind == kind]:
            table.add_row("macro", kind, "", f"{len(mine)} sets", f"{sum(mine) / len(mine):.1%}", "", style="bold")
    console.print(table)
    thresholds = Table("threshold", "macro recall", "macro false alarms")
    for line in sweep:
        thresholds.add_row(f"{line.threshold:.2f}", _percent(line.recall), _percent(line.false_alarms))
    console.print(thresholds)
    console.print(footer)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
