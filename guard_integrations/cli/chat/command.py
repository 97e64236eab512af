"""The `chat` command itself: reads, asks, shows."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.text import Text

from guard_integrations.core.policy import GuardPolicy, Profile
from guard_integrations.errors import GuardError

if TYPE_CHECKING:
    from guard_integrations.cli.chat.conversation import Conversation
    from guard_integrations.core.rotation.ring import KeyRing

__all__ = ["chat"]

API = "https://api.mistral.ai/v1"
HELP = """/why      which rules fired in the last turn, and why they exist
/policy   what is looked for and what is done about it
/raw      what the model said in the last turn, before the guards (asks first)
/clear    forget what was said
/quit     end; so does the end of input"""


def chat(
    *,
    model: Annotated[str, typer.Option(help="The model's name.")] = "mistral-small-latest",
    policy: Annotated[
        str, typer.Option(help="A profile (basic, balanced, strict), or a policy's TOML file.")
    ] = "balanced",
    system: Annotated[str, typer.Option(help="The system prompt, which no answer may repeat.")] = "",
    moderation: Annotated[bool, typer.Option(help="Moderate questions and answers.")] = True,
    local: Annotated[
        bool, typer.Option("--local", help="Talk to a local server whose model obeys every order that reaches it.")
    ] = False,
) -> None:
    """Talk to a guarded model, streamed, and see what the guards do.

    Takes the keys of MISTRAL_API_KEYS or MISTRAL_API_KEY; without one, or with --local, a local server answers.
    """
    chosen = _policy(policy)
    try:
        # LangChain takes a second to load, and the other commands do not need it.
        from guard_integrations.cli.chat.conversation import Conversation  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        typer.echo(f"The chat needs {missing.name}: pip install 'guard-integrations[cli,langchain,testing]'", err=True)
        raise typer.Exit(2) from None
    console = Console()
    with _server(console, local=local) as (ring, base_url):
        talk = Conversation(ring, base_url, model=model, policy=chosen, system=system, moderation=moderation)
        _run(talk, console)


def _policy(given: str) -> GuardPolicy:
    problem = ""
    try:
        return GuardPolicy(profile=given) if given in get_args(Profile) else GuardPolicy.from_toml(Path(given))  # type: ignore[arg-type] # it is one of them
    except GuardError as error:
        problem = str(error)
    except OSError:
        problem = "there is no such file, and no profile of that name"
    raise typer.BadParameter(problem, param_hint="--policy")


@contextmanager
def _server(console: Console, *, local: bool) -> Iterator[tuple["KeyRing", str]]:
    """The keys and the address: the environment's, or those of a local server for as long as the chat lasts."""
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


def _run(talk: "Conversation", console: Console) -> None:
    console.print("Say something; /help lists the commands.", style="dim")
    while (said := _read(console)) is not None and said != "/quit":
        if said.startswith("/"):
            _obey(said, talk, console)
        elif said:
            _answer(said, talk, console)


def _answer(question: str, talk: "Conversation", console: Console) -> None:
    from guard_integrations.cli.chat.view import status_line  # noqa: PLC0415 - as above

    for text in talk.ask(question):
        console.out(text, end="", highlight=False)
    console.print()
    if talk.turn.problem:
        console.print(Text(talk.turn.problem, style="red"))
    console.print(status_line(talk.turn))


def _obey(command: str, talk: "Conversation", console: Console) -> None:
    from guard_integrations.cli.chat.view import policy_view, why_view  # noqa: PLC0415 - as above

    match command:
        case "/help":
            console.print(HELP, markup=False, highlight=False)
        case "/policy":
            console.print(policy_view(talk.policy))
        case "/why":
            console.print(why_view(talk.turn))
        case "/raw":
            _show_raw(talk, console)
        case "/clear":
            talk.clear()
        case _:
            console.print("There is no such command; /help lists them.", style="yellow")


def _read(console: Console) -> str | None:
    try:
        return console.input("[bold]> [/]").strip()
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None


def _show_raw(talk: "Conversation", console: Console) -> None:
    from guard_integrations.cli.chat.view import visible  # noqa: PLC0415 - as above

    if not talk.raw:
        console.print("There is nothing: the model was not asked, or gave no answer.")
    elif typer.confirm("This shows what the guards took out. Go on?", default=False):
        console.print(Text(visible(talk.raw), style="yellow"))
