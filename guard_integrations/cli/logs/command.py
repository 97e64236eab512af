"""`guard-integrations logs`: a live table and a summary of a log."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from guard_integrations.cli.logs.plot import write_plots
from guard_integrations.cli.logs.reading import follow, lines
from guard_integrations.cli.logs.show import live, summary
from guard_integrations.cli.logs.tally import Tally
from guard_integrations.cli.plot import missing_extra

__all__ = ["logs"]


def logs(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of JSON lines, oldest first.")],
    *,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Show what comes, until Ctrl-C; with one FILE.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Folder for logs.png and logs.html; needs the extra eval.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Sum up what guards and models did, from the lines that a sink or the logger wrote.

    Shown are validated fields alone; a line that is neither a record nor an event is counted as broken, and never shown.
    Exit code 0: read; 2: a file could not be read.
    """
    problem = missing_extra() if plot is not None else ""
    if following and (len(files) > 1 or as_json):
        problem = "--follow takes one FILE, and no --json"
    tally = Tally()
    if not problem:
        problem = _follow(files[0], tally) if following else _read(files, tally)
    if problem:
        typer.echo(problem, err=True)
        raise typer.Exit(2)
    if as_json:
        typer.echo(json.dumps(tally.as_dict()))
    else:
        _console().print(summary(tally))
    if plot is not None:
        write_plots(plot, tally)


def _read(files: list[Path], tally: Tally) -> str:
    for number, path in enumerate(files, start=1):
        try:
            for line in lines(path):
                tally.add(line)
        except OSError as error:
            return f"file {number} cannot be read ({type(error).__name__})"
    return ""


def _follow(path: Path, tally: Tally) -> str:
    """Shows the log as it grows; gives what is wrong, or nothing when the reader has seen enough."""
    try:
        with Live(console=_console(), auto_refresh=False, transient=True) as screen:
            for line in follow(path):
                if line is None:
                    screen.update(live(tally), refresh=True)
                else:
                    tally.add(line)
    except OSError as error:
        return f"the file cannot be read ({type(error).__name__})"
    except KeyboardInterrupt:
        pass
    return ""


def _console() -> Console:
    # A model may be called `ft:…:…`: no word of a log means a colour or a picture.
    return Console(markup=False, emoji=False, highlight=False)
