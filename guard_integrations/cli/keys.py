"""`guard-integrations keys`: do the API keys work? Never shows more of a key than its label."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from guard_integrations.core.rotation.keys import ApiKey
from guard_integrations.core.rotation.sources import EnvironmentSource
from guard_integrations.core.rotation.verdict import Verdict, judge, retry_after
from guard_integrations.errors import MissingKeyError

__all__ = ["app"]

API = "https://api.mistral.ai/v1"
TIMEOUT = 15.0

app = typer.Typer(help="API keys: which of them work?", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `check` a command of a group while it is the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """What the models endpoint said to one key."""

    label: str
    verdict: str
    works: bool
    status: int | None = None
    retry_after: float | None = None


@app.command()
def check(
    *,
    base_url: Annotated[
        str | None, typer.Option(help="Where to ask, with its /v1. [default: $MISTRAL_BASE_URL, else Mistral's API]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Asks the models endpoint with each key of MISTRAL_API_KEYS or MISTRAL_API_KEY. Costs nothing.

    Exit code 0: all keys work; 1: one does not; 2: there is none.
    """
    keys = _keys_or_exit()
    with httpx.Client(base_url=base_url or os.environ.get("MISTRAL_BASE_URL") or API, timeout=TIMEOUT) as client:
        checked = [_ask(client, key, f"key-{number}") for number, key in enumerate(keys, start=1)]
    if as_json:
        typer.echo(json.dumps({"keys": [asdict(each) for each in checked]}))
    else:
        table = Table("key", "verdict", "status")
        for each in checked:
            colour = "green" if each.works else "red"
            table.add_row(each.label, f"[{colour}]{each.verdict}[/]", str(each.status or ""))
        Console().print(table)
    raise typer.Exit(0 if all(each.works for each in checked) else 1)


def _keys_or_exit() -> Sequence[ApiKey]:
    problem = ""
    try:
        return EnvironmentSource().fetch()
    except MissingKeyError as missing:
        problem = str(missing)
    typer.echo(problem, err=True)
    raise typer.Exit(2)


def _ask(client: httpx.Client, key: ApiKey, label: str) -> _Checked:
    failed = ""
    try:
        answer = client.get("models", headers={"Authorization": f"Bearer {key.secret.get_secret_value()}"})
    except httpx.TransportError as error:
        failed = type(error).__name__
    if failed:
        return _Checked(label=label, verdict=f"no answer ({failed})", works=False)
    verdict = judge(answer.status_code, answer.content)
    said = {
        Verdict.ACCEPTED: "works",
        Verdict.UNAUTHORISED: "refused: revoked, expired or out of quota",
        Verdict.FORBIDDEN: "not allowed to list models",
        Verdict.THROTTLED: "throttled",
        Verdict.SERVER_ERROR: "unknown: the server has a problem",
        Verdict.UNKNOWN: "unknown: odd answer",
    }[verdict if answer.is_success or verdict is not Verdict.ACCEPTED else Verdict.UNKNOWN]
    return _Checked(
        label=label,
        verdict=said,
        works=verdict is Verdict.ACCEPTED and answer.is_success,
        status=answer.status_code,
        retry_after=retry_after(answer.headers),
    )
