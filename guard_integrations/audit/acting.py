"""Calls that act on the world, and the argument that decides what they do."""

import ast
import re
from typing import Final

from guard_integrations.audit.python import PythonModule

__all__ = ["ACTS_IN_SCRIPT", "RUNS_CODE", "acted_on", "executed"]

_RUNS: Final = re.compile(
    r"^(?:subprocess\.(?:run|Popen|call|check_call|check_output|getoutput|getstatusoutput)|os\.(?:system|popen|exec\w+|spawn\w+)"
    r"|asyncio\.create_subprocess_\w+|pty\.spawn)$"
)
_CODE: Final = frozenset({"eval", "exec", "builtins.eval", "builtins.exec"})
_FILES: Final = re.compile(
    r"^(?:os\.(?:remove|unlink|rmdir|removedirs|rename|replace|chmod)|shutil\.(?:rmtree|move|copy\w*))$"
)
_WEB: Final = re.compile(
    r"^(?:requests|httpx|urllib\.request|aiohttp)\.(?:\w+\(\)\.)?(?:get|post|put|patch|delete|request|urlopen|stream)$"
)
_PATH_METHODS: Final = frozenset({"unlink", "rmdir", "write_text", "write_bytes"})
_SQL: Final = frozenset(
    {"execute", "executescript", "exec_driver_sql", "executemany", "read_sql", "read_sql_query", "run_query"}
)
RUNS_CODE: Final = frozenset(
    {"eval", "Function", "execSync", "exec", "runInNewContext", "runInThisContext", "runInContext"}
)
"""What runs a text as a program, in JavaScript."""
ACTS_IN_SCRIPT: Final = RUNS_CODE | {
    "execFile", "execFileSync", "spawn", "spawnSync", "unlink", "unlinkSync", "rm", "rmSync", "writeFile", "writeFileSync",
    "query", "prepare", "raw", "$queryRawUnsafe", "$executeRawUnsafe",
}  # fmt: skip
"""What acts on its first argument, in JavaScript."""


def executed(module: PythonModule, call: ast.Call) -> ast.expr | None:
    """What a call executes: code, a shell's command, SQL."""
    name = module.name(call.func)
    last = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in _CODE or _RUNS.match(name):
        return module.argument(call, "args", 0) or module.argument(call, "cmd", 0)
    if last in _SQL or (name.startswith("pandas.read_sql")):
        return module.argument(call, "sql", 0) or module.argument(call, "statement", 0)
    return None


def acted_on(module: PythonModule, call: ast.Call) -> ast.expr | None:
    """What a call executes, deletes, writes to or fetches."""
    if (found := executed(module, call)) is not None:
        return found
    name = module.name(call.func)
    if _FILES.match(name) or _WEB.match(name):
        return module.argument(call, "url", 1 if name.endswith(".request") else 0)
    if isinstance(call.func, ast.Attribute) and call.func.attr in _PATH_METHODS:
        return call.func.value
    if name in {"open", "builtins.open"}:
        mode = module.constant(module.argument(call, "mode", 1))
        if isinstance(mode, str) and set(mode) & set("wax+"):
            return module.argument(call, "file", 0)
    return None
