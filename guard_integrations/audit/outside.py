"""What comes into a Python module from outside: what users say, and the functions that are called with it.

Recognised by what web frameworks, bots and terminals call things: routes, views, requests, prompts.
"""

import ast
import re
from functools import cached_property
from typing import Final

from guard_integrations.audit.names import SERVERS, USER_NAMES
from guard_integrations.audit.python import PythonModule

__all__ = ["Outside"]

_ROUTES: Final = frozenset(
    {"get", "post", "put", "patch", "delete", "route", "websocket", "api_view", "on_message", "event", "message", "view"}
    | {"require_POST", "require_GET", "require_http_methods", "csrf_exempt", "command", "app_command", "action"}
)  # fmt: skip
_REQUEST: Final = re.compile(r"(?:^|\.)(?:flask|quart|bottle)\.request(?:\.|$)")
_ASKS: Final = re.compile(
    r"(?:^|\.)(?:input|(?:streamlit|st)\.(?:chat_input|text_input|text_area))$|^sys\.stdin|^sys\.argv|\.receive_text$"
)
_NOT_TEXT: Final = frozenset(
    {"int", "float", "bool", "UUID", "date", "datetime", "Literal", "BackgroundTasks", "Session"}
)


class Outside:
    """Where a module meets the people who use it.

    Args:
        module: a Python module.
    """

    def __init__(self, module: PythonModule) -> None:
        self.module = module

    @cached_property
    def server(self) -> bool:
        """Whether the module answers people over a network or in a browser."""
        return any(name.partition(".")[0] in SERVERS for name in self.module.imports.values())

    def said(self, origin: ast.AST) -> bool:
        """Whether an origin is what a user says."""
        if isinstance(origin, ast.arg):
            return self._parameter(origin)
        name = self.module.name(origin.func if isinstance(origin, ast.Call) else origin)
        return bool(_ASKS.search(name) or _REQUEST.search(name))

    def handler(self, function: ast.AST) -> bool:
        """Whether a function is called with what comes from outside: a route, a view, a bot's event."""
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        for decorator in function.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if last in _ROUTES:
                return True
        first = function.args.args[0].arg if function.args.args else ""
        if first == "request" and self.server:
            return True
        if first == "event" and function.name.endswith("handler"):
            return True
        return function.name in self._registered

    @cached_property
    def _registered(self) -> frozenset[str]:
        """The functions that are handed to a framework which calls them with what users say."""
        if not self.server:
            return frozenset()
        return frozenset(
            argument.id
            for call in self.module.calls
            if self.module.name(call.func).startswith(("gradio.", "telegram.ext."))
            for argument in (*call.args, *(keyword.value for keyword in call.keywords))
            if isinstance(argument, ast.Name)
        )

    def _parameter(self, parameter: ast.arg) -> bool:
        function = self.module.function(parameter)
        if function is None or parameter.arg in {"self", "cls"}:
            return False
        bare = parameter.annotation
        while isinstance(bare, ast.Subscript):
            bare = bare.value
        last = bare.attr if isinstance(bare, ast.Attribute) else getattr(bare, "id", "")
        if last in _NOT_TEXT:
            return False
        if parameter.arg in USER_NAMES:
            return True
        return self.handler(function) and not isinstance(_default(function, parameter), ast.Call | ast.Attribute)


def _default(function: ast.FunctionDef | ast.AsyncFunctionDef, parameter: ast.arg) -> ast.expr | None:
    arguments = function.args
    positional = (*arguments.posonlyargs, *arguments.args)
    defaults = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
    defaults |= {arg: value for arg, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value}
    return defaults.get(parameter)
