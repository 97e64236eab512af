"""The `playground` command itself: serves the page on loopback."""

import socket
import webbrowser
from typing import Annotated

import typer
from rich.console import Console

from guard_integrations.cli.target import server_of

__all__ = ["run_playground"]

HOST = "127.0.0.1"


def run_playground(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 0,
    model: Annotated[str, typer.Option(help="The model's name.")] = "mistral-small-latest",
    local: Annotated[
        bool, typer.Option("--local", help="Ask a local server whose model obeys every order that reaches it.")
    ] = False,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Serve a local page that shows what the guards do with a text, and with an answer while it streams.

    Listens on loopback alone. Takes the keys of MISTRAL_API_KEYS or MISTRAL_API_KEY; without one, or with --local, a
    local server answers.
    """
    console = Console()
    try:
        import uvicorn  # noqa: PLC0415 - an extra

        from guard_integrations.cli.playground.app import playground  # noqa: PLC0415 - an extra
        from guard_integrations.cli.playground.model import Model  # noqa: PLC0415 - loads the HTTP library
    except ModuleNotFoundError as missing:
        typer.echo(f"The playground needs {missing.name}: pip install 'guard-integrations[cli,testing]'", err=True)
        raise typer.Exit(2) from None
    with server_of(console, local=local) as (ring, base_url), socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            typer.echo(f"Port {port} is taken: choose another, or 0 for a free one.", err=True)
            raise typer.Exit(2) from None
        address = f"http://{HOST}:{listener.getsockname()[1]}/"
        console.print(f"The playground is at {address} (Ctrl+C ends it).")
        if browser:
            webbrowser.open(address)
        app = playground(Model(ring, base_url, name=model))
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
