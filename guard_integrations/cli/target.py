"""What several commands ask of their caller: a policy, and a server with keys."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import typer
from rich.console import Console

from guard_integrations.core.policy import GuardPolicy, Profile
from guard_integrations.core.sanitizer.names import name_detectors
from guard_integrations.errors import GuardError, PolicyError

if TYPE_CHECKING:
    from guard_integrations.core.rotation.ring import KeyRing

__all__ = ["POLICY_HELP", "named_policy", "policy_of", "server_of"]

API = "https://api.mistral.ai/v1"
POLICY_HELP = "A profile (basic, balanced, strict), or a policy's TOML file."


def named_policy(given: str) -> GuardPolicy:
    """The policy of a profile's name, or of a TOML file.

    Raises:
        PolicyError: when it is neither, or the file is not valid.
    """
    if given in get_args(Profile):
        return GuardPolicy.model_validate({"profile": given})
    if not Path(given).exists():
        raise PolicyError(f"{given}: there is no such file, and no such profile ({', '.join(get_args(Profile))})")
    return GuardPolicy.from_toml(Path(given))


def policy_of(given: str) -> GuardPolicy:
    """The policy that `--policy` means.

    Raises:
        typer.BadParameter: when it is neither a profile nor a policy's file.
    """
    problem = ""
    try:
        policy = named_policy(given)
        name_detectors(policy)  # here an extra or a model that is missing can still be told
    except (GuardError, ImportError) as error:
        problem = str(error)
    else:
        return policy
    raise typer.BadParameter(problem, param_hint="--policy")


@contextmanager
def server_of(console: Console, *, local: bool) -> Iterator[tuple["KeyRing", str]]:
    """Keys and address, with its `/v1`: the environment's, or those of a local server for as long as it is needed."""
    from guard_integrations.core.rotation.ring import KeyRing  # noqa: PLC0415 - loads the HTTP library

    if not local and (os.environ.get("MISTRAL_API_KEYS") or os.environ.get("MISTRAL_API_KEY")):
        problem = ""
        try:
            ring = KeyRing.from_env()
        except GuardError as error:
            problem = str(error)
        if problem:
            typer.echo(problem, err=True)
            raise typer.Exit(2)
        yield ring, os.environ.get("MISTRAL_BASE_URL") or API
        return
    from guard_integrations.testing import MistralServer  # noqa: PLC0415 - an extra of its own

    console.print("A local server answers; its model obeys every order that reaches it.", style="dim")
    with MistralServer(keep_alive=False) as server:
        yield KeyRing([server.key]), server.base_url
