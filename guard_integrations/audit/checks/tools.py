"""Tools, which a model calls with arguments of its own."""

import ast
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from ast_grep_py import SgNode

from guard_integrations.audit.acting import ACTS_IN_SCRIPT, acted_on
from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Guard, Hit, Language
from guard_integrations.audit.names import CLEANS
from guard_integrations.audit.python import PythonModule
from guard_integrations.audit.script_use import called, key_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["UNCHECKED_TOOL"]

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_WRAPS: Final = frozenset({"Tool", "from_function", "from_defaults", "FunctionTool", "StructuredTool", "function_tool"})
_NARROW: Final = ("int", "float", "bool", "Literal", "Annotated", "Enum", "UUID", "date", "datetime")
_MESSAGE: Final = "The tool acts on what the model passes, and nothing has checked it."
_UNLESS: Final = frozenset({Guard.TOOLS})


def _tools(module: PythonModule) -> Iterator[_Function]:
    """Functions that are decorated as tools, made into tools, or listed as such."""
    functions = {node.name: node for node in module.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    named: set[str] = set()
    for call in module.calls:
        last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        arguments = [
            *call.args,
            *(keyword.value for keyword in call.keywords if keyword.arg in {"func", "fn", "coroutine"}),
        ]
        if last in _WRAPS:
            named |= set(_names(module, arguments))
        listed = module.argument(call, "tools")
        if isinstance(listed, ast.List):
            named |= set(_names(module, listed.elts))
    for name, function in functions.items():
        if name in named or any(_is_tool(decorator) for decorator in function.decorator_list):
            yield function


def _names(module: PythonModule, nodes: Iterable[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
            # Of a loop's variable, what is looped over.
            for value in module.values(node):
                if isinstance(value, ast.Tuple | ast.List):
                    yield from (element.id for element in value.elts if isinstance(element, ast.Name))


def _is_tool(decorator: ast.expr) -> bool:
    called_ = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(decorator, ast.Call) and any(keyword.arg == "args_schema" for keyword in decorator.keywords):
        return False
    last = called_.attr if isinstance(called_, ast.Attribute) else getattr(called_, "id", "")
    return last in {"tool", "function_tool"}


def _unchecked(file: SourceFile) -> Iterator[Hit]:
    module = file.python
    for function in _tools(module):
        checked = _checked(module, function)
        for node in ast.walk(function):
            acts = acted_on(module, node) if isinstance(node, ast.Call) else None
            if acts is not None and _open_arguments(module, acts, function) - checked:
                yield file.hit(node, _MESSAGE, unless=_UNLESS)


def _open_arguments(module: PythonModule, node: ast.AST, function: _Function) -> frozenset[str]:
    """The tool's arguments that a value is made of, those aside whose type leaves little room."""
    origins = module.origins(node, stop=lambda call: bool(CLEANS.search(_last(call))))
    return frozenset(
        origin.arg
        for origin in origins
        if isinstance(origin, ast.arg) and module.function(origin) is function and not _is_narrow(origin)
    )


def _last(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_narrow(argument: ast.arg) -> bool:
    return argument.annotation is not None and ast.unparse(argument.annotation).startswith(_NARROW)


def _checked(module: PythonModule, function: _Function) -> frozenset[str]:
    """The arguments that a condition of the function, or a function that checks, looks at."""
    found: frozenset[str] = frozenset()
    for node in ast.walk(function):
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
            found |= _open_arguments(module, _with_parts(node.test), function)
        elif isinstance(node, ast.Match):
            found |= _open_arguments(module, node.subject, function)
        elif isinstance(node, ast.Call) and CLEANS.search(_last(node)):
            for argument in node.args:
                found |= _open_arguments(module, argument, function)
    return found


def _with_parts(test: ast.expr) -> ast.expr:
    """A condition as a list of what it compares: origins do not look into comparisons."""
    parts: list[ast.expr] = []
    for node in ast.walk(test):
        if isinstance(node, ast.Compare):
            parts += [node.left, *node.comparators]
    return ast.List(elts=[test, *parts], ctx=ast.Load())


def _unchecked_in_script(file: SourceFile) -> Iterator[Hit]:
    """`tool(async ({ command }) => ..., { schema })`."""
    module = file.script
    for call in module.calls:
        function = module.function(call)
        arguments = module.arguments(call)
        if called(function) not in {"tool", "DynamicStructuredTool", "DynamicTool"} or not arguments:
            continue
        body = arguments[0] if arguments[0].kind() != "object" else module.property(arguments[0], "func")
        if body is None or body.find(kind="if_statement") or body.find(kind="throw_statement"):
            continue
        if body.find(kind="ternary_expression"):
            continue
        parameters = {key_of(node) for node in (*body.find_all(kind="shorthand_property_identifier_pattern"),)}
        parameters |= {key_of(node) for node in body.find_all(kind="identifier") if module.is_parameter(node)}
        for inner in body.find_all(kind="call_expression"):
            acts = _first(module.arguments(inner)) if called(module.function(inner)) in ACTS_IN_SCRIPT else None
            if acts is None:
                continue
            origins = module.origins(acts, stop=lambda each: bool(CLEANS.search(called(module.function(each)))))
            if any(key_of(origin) in parameters and module.is_parameter(origin) for origin in origins):
                yield file.hit(inner, _MESSAGE, unless=_UNLESS)


def _first(nodes: list[SgNode]) -> SgNode | None:
    return nodes[0] if nodes else None


def _inspect(file: SourceFile) -> Iterator[Hit]:
    return _unchecked(file) if file.language is Language.PYTHON else _unchecked_in_script(file)


UNCHECKED_TOOL: Final = Check(
    id="GI016",
    name="unchecked-tool",
    severity=Severity.HIGH,
    title="A tool acts on arguments that nobody has checked",
    rationale=(
        "A model that has read a malicious text passes what the text says. A tool that runs commands, deletes files, "
        "queries or fetches whatever it is given does so for whoever wrote the text. OWASP LLM06."
    ),
    remediation=(
        "Let the tool take what cannot do harm (an id, an enum), check it against a list, or have a person approve: "
        "GuardMiddleware(restore_tools=...), GuardedTool, HumanInTheLoopMiddleware."
    ),
    languages=frozenset({Language.PYTHON, Language.SCRIPT}),
    keywords=("tool",),
    bad=(
        python(
            "import subprocess\nfrom langchain_core.tools import tool\n@tool\ndef run(command: str) -> str:\n"
            '    """Runs."""\n    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout\n'
        ),
        python(
            "import os\nfrom llama_index.core.tools import FunctionTool\ndef remove(path: str):\n    os.remove(path)\n"
            "t = FunctionTool.from_defaults(fn=remove)\n"
        ),
        script(
            'import { tool } from "@langchain/core/tools";\nimport { execSync } from "node:child_process";\n'
            "const run = tool(async ({ command }) => execSync(command), { name: 'run' });\n"
        ),
    ),
    good=(
        python(
            "import subprocess\nfrom langchain_core.tools import tool\n@tool\ndef restart(name: str) -> str:\n"
            '    """Restarts."""\n    if name not in ALLOWED:\n        return "no"\n'
            '    subprocess.run(["systemctl", "restart", name])\n    return "done"\n'
        ),
        python(
            "from langchain_core.tools import tool\n@tool\ndef orders(customer: str) -> list:\n"
            '    """Orders."""\n    return db.execute("select * from orders where customer = ?", (customer,)).fetchall()\n'
        ),
        script(
            'import { tool } from "@langchain/core/tools";\nimport { execFileSync } from "node:child_process";\n'
            "const log = tool(async ({ n }) => execFileSync('git', ['log']), { name: 'log' });\n"
        ),
    ),
    inspect=_inspect,
)
