"""The `demo` command."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.progress import Progress

from guard_integrations.cli.demo.inputs import read_prompts
from guard_integrations.cli.demo.scenario import CHAIN_PROMPTS, HANDBOOK, QUERIES, Prompt, Target
from guard_integrations.testing import MistralServer

__all__ = ["demo"]

LIVE_URL = "https://api.mistral.ai"
_TOKENS_PER_CALL = 400
"""A generous guess for one call of the demo, question and answer."""


def demo(
    *,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", exists=True, dir_okay=False, help="Prompts of your own: one a line, or JSON Lines."),
    ] = None,
    live: Annotated[
        bool, typer.Option(help="Use the real API, with MISTRAL_API_KEY; says first what it will spend.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what attacks do to a chain and a query engine without the guard, and with it.

    Runs offline on a local server whose model obeys whatever reaches it. Exit code 1 when an attack got through the
    guard.
    """
    try:
        # Both frameworks take seconds to load, and the other commands need neither.
        from guard_integrations.cli.demo.report import show  # noqa: PLC0415
        from guard_integrations.cli.demo.run import run  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        typer.echo(
            f"The demo needs {missing.name}: pip install 'guard-integrations[cli,langchain,llama-index,testing]'",
            err=True,
        )
        raise typer.Exit(2) from None
    err = Console(stderr=True)
    prompts = _prompts(input_file)
    if live:
        _confirm(prompts, err, yes=yes)
    total = len(CHAIN_PROMPTS) + len(QUERIES) + 2 * len(prompts)
    with _target(live=live) as target, Progress(console=err, transient=True, disable=as_json) as bar:
        task = bar.add_task("Asking", total=total)
        report = run(target, prompts, progress=lambda: bar.advance(task))
    if as_json:
        typer.echo(json.dumps(asdict(report), ensure_ascii=False, indent=2))
    else:
        show(report, Console())
    if any(outcome.guarded_harmed for outcome in (*report.chain, *report.query_engine)):
        raise typer.Exit(1)


def _prompts(file: Path | None) -> tuple[Prompt, ...]:
    if file is None:
        return ()
    try:
        return read_prompts(file)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--input") from None


def _confirm(prompts: tuple[Prompt, ...], err: Console, *, yes: bool) -> None:
    """Says what a run against the real API costs, and asks."""
    chats = 2 * (len(CHAIN_PROMPTS) + len(QUERIES) + 2 * len(prompts) + 2)
    err.print(
        f"This asks the real API: about {chats} chat requests (some {chats * _TOKENS_PER_CALL:,} tokens of "
        f"mistral-small-latest), up to {chats} moderation requests, and embeddings of {len(HANDBOOK)} short pages. "
        "The attacks are harmless texts. The key rotation is shown on the local server."
    )
    if not yes:
        typer.confirm("Go on?", abort=True, err=True)


@contextmanager
def _target(*, live: bool) -> Iterator[Target]:
    """The real API, or a local server for as long as the demo runs."""
    if not live:
        with MistralServer(keep_alive=False) as server:
            yield Target(url=server.url, key=SecretStr(server.key))
        return
    key = os.environ.get("MISTRAL_API_KEY", "")
    if not key:
        raise typer.BadParameter("set MISTRAL_API_KEY first", param_hint="--live")
    yield Target(url=LIVE_URL, key=SecretStr(key))
