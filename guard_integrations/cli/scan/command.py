"""The `scan` command."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from guard_integrations.cli.target import POLICY_HELP, named_policy
from guard_integrations.core.findings import Severity, Stage
from guard_integrations.core.policy import HASH_KEY_VARIABLE, GuardPolicy, Strategy
from guard_integrations.core.scanner.injection import MODEL_RULE
from guard_integrations.core.scanner.rationales import rationales
from guard_integrations.errors import GuardError, PolicyError

if TYPE_CHECKING:
    from guard_integrations.scan.files import File
    from guard_integrations.scan.run import Engine, Part, Sink, Totals
    from guard_integrations.scan.work import Work

__all__ = ["scan"]

_STOPPED = 130
"""The exit code of what Ctrl-C has ended, in shells."""


class _Stage(StrEnum):
    DOCUMENT = "document"
    INPUT = "input"
    TOOL = "tool"
    OUTPUT = "output"


class _Format(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"
    PARQUET = "parquet"
    SARIF = "sarif"
    HTML = "html"


class _Engine(StrEnum):
    LOCAL = "local"
    RAY = "ray"


class _ReadAs(StrEnum):
    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class _FailOn(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the options say."""

    policy: GuardPolicy
    stage: Stage
    format: _Format
    output: str | None
    redact: str | None
    resume: Path | None
    column: str | None
    engine: _Engine
    workers: int | None


def scan(  # noqa: PLR0913 - an option each
    paths: Annotated[list[str], typer.Argument(help="Files, folders, URIs such as s3://…, or - for standard input.")],
    *,
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "balanced",
    stage: Annotated[_Stage, typer.Option(help="Where the texts stand.")] = _Stage.DOCUMENT,
    rules_only: Annotated[
        bool, typer.Option("--rules-only", help="Without the injection model: several times as fast.")
    ] = False,
    column: Annotated[str | None, typer.Option(help="The column of texts. (default: found)")] = None,
    read_as: Annotated[_ReadAs | None, typer.Option(help="How all files are read. (default: by suffix)")] = None,
    as_format: Annotated[
        _Format | None, typer.Option("--format", help="How findings are written. (default: by --output, else table)")
    ] = None,
    output: Annotated[str | None, typer.Option(help="Where findings are written. (default: standard output)")] = None,
    redact: Annotated[
        str | None, typer.Option(help="Where a cleaned copy is written: a file for one, else a folder.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="A folder for what is done; the same command again goes on from there.")
    ] = None,
    fail_on: Annotated[_FailOn, typer.Option(help="The least severity for exit code 1.")] = _FailOn.LOW,
    engine: Annotated[
        _Engine, typer.Option(help="Who does the work: this machine, or Ray (extra ray).")
    ] = _Engine.LOCAL,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. (default: one a core)")] = None,
) -> None:
    """Find injections, personal data, secrets and markup in files of any size.

    Reads text, Markdown, HTML, JSON lines, CSV and Parquet. Findings say where and why, never what: offsets are
    characters of the row's text, and a text file is one row.

    Exit code 0: nothing found; 1: findings as severe as --fail-on; 2: it could not run, or a file could not be read.
    Rows that are broken are counted and said.
    """
    problem = _missing()
    totals: Totals | None = None
    if not problem:
        try:
            asked = _Asked(
                policy=_policy(policy, rules_only=rules_only),
                stage=stage.value,
                format=_format(as_format, output),
                output=output,
                redact=redact,
                resume=resume,
                column=column,
                engine=engine,
                workers=workers,
            )
            totals = _run(paths, asked, read_as)
        except (GuardError, ImportError) as error:  # an extra that the policy needs
            problem = str(error)
        except KeyboardInterrupt:
            typer.echo("stopped; the same command again goes on from here" if resume else "stopped", err=True)
            raise typer.Exit(_STOPPED) from None
    if totals is None:
        typer.echo(problem, err=True)
        raise typer.Exit(2)
    raise typer.Exit(_code(totals, fail_on))


def _missing() -> str:
    try:
        import pyarrow  # noqa: F401, ICN001, PLC0415 - an extra
    except ModuleNotFoundError:
        return "scan needs an extra: pip install 'guard-integrations[scan]'"
    return ""


def _policy(given: str, *, rules_only: bool) -> GuardPolicy:
    policy = named_policy(given)
    if not rules_only:
        return policy
    return policy.model_copy(update={"disabled_rules": policy.disabled_rules | {MODEL_RULE}})


def _format(asked: _Format | None, output: str | None) -> _Format:
    suffixes = {".jsonl": _Format.JSONL, ".parquet": _Format.PARQUET, ".sarif": _Format.SARIF, ".html": _Format.HTML}
    chosen = asked or (suffixes.get(Path(output).suffix.lower()) if output else _Format.TABLE)
    if chosen is None:
        raise PolicyError(f"--output: a name that ends in {', '.join(suffixes)}, or a --format beside it")
    if chosen in {_Format.PARQUET, _Format.HTML} and output is None:
        raise PolicyError(f"--format {chosen.value} needs --output")
    if chosen is _Format.TABLE and output is not None:
        raise PolicyError("--format table is for a terminal: leave --output out, or choose another format")
    return chosen


def _run(paths: list[str], asked: _Asked, read_as: _ReadAs | None) -> "Totals":
    from guard_integrations.scan.copies import Copies  # noqa: PLC0415 - an extra
    from guard_integrations.scan.files import Unreadable, discover  # noqa: PLC0415 - an extra
    from guard_integrations.scan.resume import Store, resuming  # noqa: PLC0415 - an extra
    from guard_integrations.scan.run import scan as run  # noqa: PLC0415 - an extra
    from guard_integrations.scan.table import Scanner  # noqa: PLC0415 - an extra
    from guard_integrations.scan.work import Work  # noqa: PLC0415 - an extra

    problem = ""
    files: list[File] = []
    passed_over: list[str] = []
    try:
        files = list(discover(paths, read_as.value if read_as else None, passed_over=passed_over))
    except Unreadable as error:
        problem = str(error)
    if problem or not files:
        raise PolicyError(problem or "there is no file to scan: text, Markdown, HTML, JSON lines, CSV or Parquet")
    policy = asked.policy if asked.redact is None else _with_key(asked.policy)
    work = Work(
        scanner=Scanner(policy, asked.stage), cleans=asked.redact is not None, quotes=asked.format is _Format.HTML
    )
    engine = _engine(asked, work)
    store = None if asked.resume is None else Store(asked.resume, work, files, asked.column)
    copies = [] if asked.redact is None else [Copies(asked.redact, files)]
    with _sink(asked) as sink, _progress(asked, sum(file.size for file in files)) as bar:
        done = engine if store is None else resuming(engine, store)
        totals = run(files, done, [bar, sink, *copies], column=asked.column, progress=bar.show)
    if store is not None and not totals.problems:
        store.clear()
    _say(totals, len(passed_over))
    return totals


def _engine(asked: _Asked, work: "Work") -> "Engine":
    from guard_integrations.scan.local import cores, run_local  # noqa: PLC0415 - an extra

    if asked.engine is _Engine.LOCAL:
        return partial(run_local, work=work, workers=asked.workers or cores())
    if asked.workers is not None:
        raise PolicyError("--workers is for this machine: Ray knows its own cores")
    try:
        from guard_integrations.scan.ray import run_ray  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        problem = "--engine ray needs an extra: pip install 'guard-integrations[ray]'"
    else:
        return partial(run_ray, work=work)
    raise PolicyError(problem)


def _with_key(policy: GuardPolicy) -> GuardPolicy:
    """The policy with the key that all workers hash by."""
    if Strategy.HASH not in policy.strategies.values() or policy.hash_key is not None:
        return policy
    key = os.environ.get(HASH_KEY_VARIABLE, "")
    if not key:
        raise PolicyError(f"--redact: the strategy hash needs a key that all workers share: set {HASH_KEY_VARIABLE}")
    return policy.model_copy(update={"hash_key": SecretStr(key)})


@contextmanager
def _sink(asked: _Asked) -> Iterator["Sink"]:
    from guard_integrations.cli.scan.table import Summary  # noqa: PLC0415 - an extra
    from guard_integrations.scan.html import Html  # noqa: PLC0415 - an extra
    from guard_integrations.scan.sarif import Sarif  # noqa: PLC0415 - an extra
    from guard_integrations.scan.sinks import JsonLines, Parquet  # noqa: PLC0415 - an extra
    from guard_integrations.scan.writing import writing  # noqa: PLC0415 - an extra

    if asked.format is _Format.TABLE:
        yield Summary(Console())
        return
    with ExitStack() as stack:
        if asked.output is None:
            write: Callable[[str], object] = sys.stdout.write
        else:
            file = stack.enter_context(writing(asked.output))
            if asked.format is _Format.PARQUET:
                yield Parquet(file)
                return
            write = lambda text: file.write(text.encode())  # noqa: E731 - bound to the file
        if asked.format is _Format.HTML:
            yield Html(write, rationales())
        else:
            yield Sarif(write, rationales()) if asked.format is _Format.SARIF else JsonLines(write)


class _Bar:
    """How far a scan is. As the first of the sinks it goes before another one shows anything in its place."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total or None, findings=0)

    def show(self, totals: "Totals") -> None:
        """Shows how far it is now."""
        self._progress.update(self._task, completed=totals.size, findings=totals.findings)

    def take(self, part: "Part") -> None:
        """Nothing to do: `show` says more."""

    def finish(self, totals: "Totals") -> None:
        """Goes."""
        del totals
        self._progress.stop()


@contextmanager
def _progress(asked: _Asked, total: int) -> Iterator[_Bar]:
    err = Console(stderr=True)
    # What is written while the bar is there would stand in its line.
    alone = asked.output is not None or asked.format is _Format.TABLE or not sys.stdout.isatty()
    columns = (BarColumn(), TextColumn("{task.percentage:.0f} %"), TransferSpeedColumn(), TimeRemainingColumn())
    counts = TextColumn("{task.fields[findings]:,} found")
    hidden = not (err.is_terminal and alone)
    with Progress("Scanning", *columns, counts, console=err, transient=True, disable=hidden) as bar:
        yield _Bar(bar, total)


def _say(totals: "Totals", passed_over: int) -> None:
    for problem in totals.problems:
        typer.echo(problem, err=True)
    said = totals.said
    if passed_over:
        files, them = ("file", "it") if passed_over == 1 else ("files", "them")
        said += f"; {passed_over:,} {files} not scanned for the suffix (--read-as reads {them}, too)"
    typer.echo(said, err=True)


def _code(totals: "Totals", fail_on: _FailOn) -> int:
    if totals.problems:
        return 2
    if fail_on is _FailOn.NEVER:
        return 0
    return int(totals.at_least(Severity(fail_on.value)) > 0)
