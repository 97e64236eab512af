"""Calls that log or print."""

import ast
from typing import Final

from guard_integrations.audit.python import PythonModule

__all__ = ["is_log"]

_LEVELS: Final = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "log", "fatal"})
_PRINTS: Final = frozenset({"print", "pprint.pprint", "rich.print", "typer.echo", "click.echo"})


def is_log(module: PythonModule, call: ast.Call) -> bool:
    """Whether a call writes to a log or to the terminal."""
    if module.name(call.func) in _PRINTS:
        return True
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _LEVELS:
        return False
    receiver = call.func.value
    last = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
    return "log" in last.lower() or module.name(receiver).startswith(("logging", "structlog", "loguru"))
