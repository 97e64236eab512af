"""The `chat` command itself: reads, asks, shows."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from guard_integrations.cli.target import POLICY_HELP, policy_of, server_of

if TYPE_CHECKING:
    from guard_integrations.cli.chat.conversation import Conversation

__all__ = ["chat"]

HELP = """/why      which rules fired in the last turn, and why they exist
/policy   what is looked for and what is done about it
/raw      what the model said in the last turn, before the guards (asks first)
/clear    forget what was said
/quit     end; so does the end of input
Ctrl-C    stop the answer; at the prompt, end"""


def chat(
    *,
    model: Annotated[str, typer.Option(help="The model's name.")] = "mistral-small-latest",
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "balanced",
    system: Annotated[str, typer.Option(help="The system prompt, which no answer may repeat.")] = "",
    moderation: Annotated[bool, typer.Option(help="Moderate questions and answers.")] = True,
    local: Annotated[
        bool, typer.Option("--local", help="Talk to a local server whose model obeys every order that reaches it.")
    ] = False,
) -> None:
    """Talk to a guarded model, streamed, and see what the guards do.

    Takes the keys of MISTRAL_API_KEYS or MISTRAL_API_KEY; without one, or with --local, a local server answers.
    """
    chosen = policy_of(policy)
    try:
        # LangChain takes a second to load, and the other commands do not need it.
        from guard_integrations.cli.chat.conversation import Conversation  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        typer.echo(f"The chat needs {missing.name}: pip install 'guard-integrations[cli,langchain,testing]'", err=True)
        raise typer.Exit(2) from None
    console = Console()
    with server_of(console, local=local) as (ring, base_url):
        talk = Conversation(ring, base_url, model=model, policy=chosen, system=system, moderation=moderation)
        _run(talk, console)


def _run(talk: "Conversation", console: Console) -> None:
    console.print("Say something; /help lists the commands.", style="dim", highlight=False)
    while (said := _read(console)) is not None and said != "/quit":
        if said.startswith("/"):
            _obey(said, talk, console)
        elif said:
            _answer(said, talk, console)


def _answer(question: str, talk: "Conversation", console: Console) -> None:
    from guard_integrations.cli.chat.view import status_line  # noqa: PLC0415 - as above

    with closing(talk.ask(question)) as answer:
        try:
            for text in answer:
                console.out(text, end="", highlight=False)
        except KeyboardInterrupt:
            talk.turn.problem = "You stopped the answer; it is no part of the conversation."
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
            console.print("There is no such command; /help lists them.", style="yellow", highlight=False)


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
