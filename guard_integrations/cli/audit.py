"""`guard-integrations audit`: reads a project's code and says what is wrong with it and how to mend it."""

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from guard_integrations.core.findings import Severity
from guard_integrations.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard_integrations.audit.config import AuditConfig
    from guard_integrations.audit.engine import Progress as Tell
    from guard_integrations.audit.model import AuditReport

__all__ = ["audit"]

_PARTS: Final = {"ast_grep_py", "dotenv", "pathspec", "yaml"}
_TICK: Final = 0.05
"""Seconds between two drawings of the progress bar."""
_FORMATS: Final = ("text", "json", "sarif", "markdown", "html")


def audit(  # noqa: PLR0913 - options
    paths: Annotated[list[Path] | None, typer.Argument(help="A project's folder, or files. [default: .]")] = None,
    *,
    output_format: Annotated[
        str, typer.Option("--format", "-f", help=f"How to report: {', '.join(_FORMATS)}.")
    ] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the report. [default: stdout]")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Run this check alone (id or name); repeat for more.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Leave this check out; repeat for more.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave out what this .gitignore pattern matches.")] = None,
    fail_on: Annotated[
        Severity | None, typer.Option(help="From which severity on to exit with 1. [default: low]")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Look for keys in all that git keeps, too.")] = False,
    baseline: Annotated[Path | None, typer.Option(help="File of findings that are known and left out.")] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Show as a diff what can be mended by a machine, and ask whether to.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: mend without asking.")] = False,
    write_baseline: Annotated[
        bool, typer.Option("--write-baseline", help="Write what is found to the baseline file instead.")
    ] = False,
) -> None:
    """Audit the code of a project that uses Mistral, LangChain or LlamaIndex.

    Settings come from [tool.guard-integrations.audit] in the folder's pyproject.toml; options override them.
    Exit code 0: nothing found; 1: findings at or above --fail-on; 2: the audit could not run.
    """
    if output_format not in _FORMATS:
        raise _stopped(f"--format {output_format}: choose {', '.join(_FORMATS)}")
    if write_baseline and baseline is None:
        raise _stopped("--write-baseline needs --baseline FILE, the file to write")
    problem = ""
    try:
        root, chosen = _scope(paths or [Path()])
        config = _config(
            root,
            select=select,
            ignore=ignore,
            exclude=exclude,
            fail_on=fail_on,
            history=history,
            baseline=None if baseline is None or write_baseline else baseline.resolve(),
        )
        if write_baseline and baseline is not None:
            _write_baseline(_report(root, chosen, config.model_copy(update={"baseline": None})), baseline)
            return
        report = _report(root, chosen, config)
        if fix and _mend(report, yes=yes):
            report = _report(root, chosen, config)
        _show(report, output_format, output)
    except ModuleNotFoundError as error:
        if error.name not in _PARTS:
            raise
        problem = "The audit needs an extra: pip install 'guard-integrations[audit]'"
    except PolicyError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or 'the report'}: {error.strerror or error}"
    if problem:
        raise _stopped(problem)
    raise typer.Exit(0 if report.passed else 1)


def _stopped(problem: str) -> typer.Exit:
    typer.echo(problem, err=True)
    return typer.Exit(2)


def _scope(paths: list[Path]) -> tuple[Path, list[Path]]:
    """The project's folder, and what of it to keep to: of several paths, the folder is the one they share."""
    for path in paths:
        path.stat()
    if len(paths) == 1 and paths[0].is_dir():
        return paths[0], []
    here = Path.cwd()
    full = [path.resolve() for path in paths]
    if all(path.is_relative_to(here) for path in full):
        return here, full
    shared = Path(os.path.commonpath(full))
    return shared if shared.is_dir() else shared.parent, full


def _config(  # noqa: PLR0913 - options
    root: Path,
    *,
    select: list[str] | None,
    ignore: list[str] | None,
    exclude: list[str] | None,
    fail_on: Severity | None,
    history: bool,
    baseline: Path | None,
) -> "AuditConfig":
    from guard_integrations.audit.config import AuditConfig  # noqa: PLC0415 - an extra

    config = AuditConfig.of_project(root.resolve())
    given = {
        "select": tuple(select or ()),
        "ignore": (*config.ignore, *(ignore or ())),
        "exclude": (*config.exclude, *(exclude or ())),
        "fail_on": fail_on,
        "history": history,
        "baseline": baseline,
    }
    return config.model_copy(update={name: value for name, value in given.items() if value})


def _report(root: Path, chosen: list[Path], config: "AuditConfig") -> "AuditReport":
    from guard_integrations.audit.engine import audit as run  # noqa: PLC0415 - an extra

    with _progress() as tell:
        report = run(root, chosen, config=config, progress=tell)
    if not report.files and not report.skipped:
        raise _stopped(f"{root}: there is no file to audit")
    return report


@contextmanager
def _progress() -> "Iterator[Tell]":
    """A bar on a terminal; nothing elsewhere. Drawn by hand: a thread that draws would keep the audit from forking."""
    console = Console(stderr=True)
    columns = (TextColumn("Auditing"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)
        drawn = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal drawn
            if (now := time.monotonic()) - drawn > _TICK:
                bar.update(task, completed=done, total=total, refresh=True)
                drawn = now

        yield tell


def _write_baseline(report: "AuditReport", file: Path) -> None:
    from guard_integrations.audit.baseline import write_baseline  # noqa: PLC0415 - an extra

    write_baseline(file, report.findings)
    typer.echo(f"{len(report.findings)} findings written to {file}", err=True)


def _mend(report: "AuditReport", *, yes: bool) -> bool:
    """Shows what can be mended, and mends it if that is wanted; whether it did."""
    from guard_integrations.audit.fix import apply, fixes  # noqa: PLC0415 - an extra

    changes = fixes(report)
    for change in changes:
        typer.echo(change.diff.encode("utf-8", errors="replace"), err=True)
    if not changes:
        typer.echo("Nothing of it can be mended by a machine.", err=True)
        return False
    if not yes and not sys.stdin.isatty():
        typer.echo("Nothing was changed: add --yes.", err=True)
        return False
    if not yes and not typer.confirm(f"Change {len(changes)} {'file' if len(changes) == 1 else 'files'}?", err=True):
        return False
    apply(Path(report.root), changes)
    return True


def _show(report: "AuditReport", output_format: str, output: Path | None) -> None:
    from guard_integrations.audit.formats import FORMATS  # noqa: PLC0415 - an extra
    from guard_integrations.audit.formats.text import to_text  # noqa: PLC0415 - an extra

    if output_format != "text":
        text = FORMATS[output_format](report)
    else:
        console = Console()
        on_terminal = output is None and console.is_terminal
        text = to_text(report, width=console.width if on_terminal else 80, colour=on_terminal and not console.no_color)
    if output is not None:
        output.write_text(text, encoding="utf-8")
        return
    typer.echo(text.rstrip("\n").encode("utf-8", errors="replace"))
