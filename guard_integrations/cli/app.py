"""The program: one module per command or group of commands, put together here."""

import typer

from guard_integrations.cli import keys, policy
from guard_integrations.cli.audit import audit
from guard_integrations.cli.chat.command import chat
from guard_integrations.cli.demo.command import demo
from guard_integrations.cli.eval import evaluate
from guard_integrations.cli.logs.command import logs
from guard_integrations.cli.playground.command import run_playground
from guard_integrations.cli.scan.command import scan

__all__ = ["app"]

app = typer.Typer(
    name="guard-integrations",
    help="A security layer around Mistral AI for LangChain and LlamaIndex.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # wraps paragraphs to the terminal, and leaves [brackets] alone
    pretty_exceptions_show_locals=False,  # locals hold content and keys
)
app.command()(demo)
app.command()(scan)
app.command()(chat)
app.add_typer(keys.app, name="keys")
app.add_typer(policy.app, name="policy")
app.command()(audit)
app.command("eval")(evaluate)
app.command()(logs)
app.command("playground")(run_playground)
