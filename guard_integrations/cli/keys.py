"""`guard-integrations keys`: which API keys work, and what is known of them. Never shows more of a key than its label."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from guard_integrations.core.rotation.keys import ApiKey
from guard_integrations.core.rotation.ring import KeyRing
from guard_integrations.core.rotation.shared import RedisRingState
from guard_integrations.core.rotation.sources import DotenvSource, EnvironmentSource, FileSource, KeySource
from guard_integrations.core.rotation.state import KeyState, KeyStatus
from guard_integrations.core.rotation.verdict import Verdict, judge, retry_after
from guard_integrations.errors import GuardError

__all__ = ["app"]

API = "https://api.mistral.ai/v1"
TIMEOUT = 15.0

app = typer.Typer(
    help="API keys: which of them work, and what is known of them.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

EnvFile = Annotated[Path | None, typer.Option(help="A .env file to take the keys from, not the environment.")]
KeyFile = Annotated[Path | None, typer.Option("--file", help="A file or folder of keys, as Kubernetes mounts secrets.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]
_SAYS = {
    Verdict.ACCEPTED: "works",
    Verdict.UNAUTHORISED: "refused: revoked, expired or out of quota",
    Verdict.FORBIDDEN: "not allowed to list models",
    Verdict.THROTTLED: "throttled",
    Verdict.SERVER_ERROR: "unknown: the server has a problem",
    Verdict.UNKNOWN: "unknown: an odd answer",
}


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
    env_file: EnvFile = None,
    file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask the models endpoint with each key of MISTRAL_API_KEYS or MISTRAL_API_KEY. Costs nothing.

    Exit code 0: all keys work; 1: one does not; 2: there is none, or nobody answers.
    """
    keys = _keys(env_file, file)
    with httpx.Client(base_url=base_url or os.environ.get("MISTRAL_BASE_URL") or API, timeout=TIMEOUT) as client:
        checked = [_ask(client, key, f"key-{number}") for number, key in enumerate(keys, start=1)]
    if as_json:
        typer.echo(json.dumps({"keys": [asdict(each) for each in checked]}))
    else:
        _show(
            ("key", "verdict", "status"),
            ((each.label, _coloured(each.verdict, each.works), str(each.status or "")) for each in checked),
        )
    if all(each.status is None for each in checked):
        raise typer.Exit(2)
    raise typer.Exit(0 if all(each.works for each in checked) else 1)


@app.command()
def status(
    *,
    redis: Annotated[str, typer.Option(envvar="GUARD_INTEGRATIONS_REDIS_URL", help="The Redis that processes share.")],
    env_file: EnvFile = None,
    file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what the processes that share a Redis know of the keys of MISTRAL_API_KEYS or MISTRAL_API_KEY.

    Exit code 0: all keys may be used; 1: one may not; 2: there is none, or Redis does not answer.
    """
    known = _known(_keys(env_file, file), redis)
    if as_json:
        typer.echo(json.dumps({"keys": [asdict(each) for each in known]}))
    else:
        _show(
            ("key", "state", "ready in", "failures"),
            (
                (
                    each.label,
                    _coloured(each.state, each.state is KeyState.HEALTHY),
                    f"{each.ready_in:.0f} s" if each.ready_in else "now",
                    str(each.failures),
                )
                for each in known
            ),
        )
    raise typer.Exit(0 if all(not each.ready_in for each in known) else 1)


def _keys(env_file: Path | None, file: Path | None) -> Sequence[ApiKey]:
    source: KeySource = EnvironmentSource()
    if env_file is not None:
        source = DotenvSource(path=env_file)
    elif file is not None:
        source = FileSource(path=file)
    problem = ""
    try:
        return source.fetch()
    except (GuardError, ImportError) as error:
        problem = str(error)
    raise _stopped(problem)


def _known(keys: Sequence[ApiKey], redis: str) -> tuple[KeyStatus, ...]:
    problem = "Redis does not answer: check its URL, and that it runs."
    try:
        shared = RedisRingState(redis)
    except (ImportError, ValueError) as error:
        problem = (
            str(error)
            if isinstance(error, ImportError)
            else "The URL of Redis is not one, such as redis://HOST:6379/0."
        )
    else:
        ring = KeyRing(keys, shared=shared)
        reached = shared.sync()
        shared.close()
        if reached:
            return ring.status()
    raise _stopped(problem)


def _stopped(problem: str) -> typer.Exit:
    typer.echo(problem, err=True)
    return typer.Exit(2)


def _ask(client: httpx.Client, key: ApiKey, label: str) -> _Checked:
    try:
        answer = client.get("models", headers={"Authorization": f"Bearer {key.secret.get_secret_value()}"})
    except httpx.HTTPError as error:
        return _Checked(label=label, verdict=f"no answer ({type(error).__name__})", works=False)
    verdict = judge(answer.status_code, answer.content)
    if verdict is Verdict.ACCEPTED and not answer.is_success:
        verdict = Verdict.UNKNOWN
    return _Checked(
        label=label,
        verdict=_SAYS[verdict],
        works=verdict is Verdict.ACCEPTED,
        status=answer.status_code,
        retry_after=retry_after(answer.headers),
    )


def _show(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _coloured(text: str, good: bool) -> str:  # noqa: FBT001 - a table's cell
    return f"[{'green' if good else 'red'}]{text}[/]"
