"""The command line. Exit codes: 0 all is well, 1 there are findings, 2 the command could not run."""

import sys

__all__ = ["main"]


def main() -> None:
    """Runs `guard-integrations`."""
    try:
        from guard_integrations.cli.app import app  # noqa: PLC0415 - an extra: its absence has a message of its own
    except ModuleNotFoundError as missing:
        if missing.name not in {"typer", "rich"}:
            raise
        sys.stderr.write("The command line needs an extra: pip install 'guard-integrations[cli]'\n")
        sys.exit(2)
    app()
