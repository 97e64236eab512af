"""What becomes of a key that was read as it should be."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Hit, Language
from guard_integrations.audit.names import KEY_NAME
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["KEY_PRINTED", "KEY_STRING"]

_LOGS: Final = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "log", "print", "echo"})
_CONSOLE: Final = re.compile(r"(?:console|log|logger|this\.logger)\.(?:log|info|debug|warn|error|trace)$")
_SCRIPT_KEY: Final = re.compile(r"(?i:(?:process\.env\.)?[\w.]*(?:api_?key|access_?token|secret_?key))")
_FORMATS: Final = frozenset({"format", "join", "dumps"})
_SETTINGS: Final = re.compile(r"(?:BaseSettings|Settings|Config|Configuration)$")


def _printed(file: SourceFile) -> Iterator[Hit]:
    if file.language is Language.SCRIPT:
        yield from _printed_in_script(file)
        return
    for call in file.python.calls:
        last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if last in _LOGS and any(_shows_key(file, argument) for argument in call.args):
            yield file.hit(call, "A key is written to a log or to the terminal.")


def _printed_in_script(file: SourceFile) -> Iterator[Hit]:
    module = file.script
    for call in module.calls:
        if not _CONSOLE.match(module.name(module.function(call))):
            continue
        parts = [
            part for each in module.arguments(call) for part in (each, *each.find_all(kind="template_substitution"))
        ]
        texts = (part.text().removeprefix("${").removesuffix("}").rstrip("!") for part in parts)
        if any(_SCRIPT_KEY.fullmatch(text) for text in texts):
            yield file.hit(call, "A key is written to a log or to the terminal.")


def _shows_key(file: SourceFile, node: ast.expr) -> bool:  # noqa: PLR0911 - one case per kind of expression
    """Whether a value is a key, or text with a whole key in it; its length or its first letters are none."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            if KEY_NAME.search(name) and not name.lower().endswith("tokens"):
                return not isinstance(file.python.resolve(node), ast.Call) or _reads_environment(file, node)
            return _holds_header(file, file.python.resolve(node))
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) and _shows_key(file, value.value) for value in values)
        case ast.BinOp(left=left, right=right):
            return _shows_key(file, left) or _shows_key(file, right)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return any(_shows_key(file, element) for element in elements)
        case ast.Call(func=ast.Attribute(attr=attr), args=arguments) if attr in _FORMATS:
            return any(_shows_key(file, argument) for argument in arguments)
        case ast.Call(func=ast.Attribute(attr="get_secret_value")):
            return True
        case ast.Call() | ast.Subscript():
            return _reads_environment(file, node)
        case _:
            return False


def _reads_environment(file: SourceFile, node: ast.expr) -> bool:
    """Whether a value is an environment variable that is named as a key is."""
    resolved = file.python.resolve(node)
    match resolved:
        case ast.Call(func=function, args=[ast.Constant(value=str(key)), *_]):
            return file.python.name(function) in {"os.getenv", "os.environ.get"} and bool(KEY_NAME.search(key))
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
            return file.python.name(value) == "os.environ" and bool(KEY_NAME.search(key))
        case _:
            return False


def _holds_header(file: SourceFile, node: ast.AST) -> bool:
    keys = node.keys if isinstance(node, ast.Dict) else []
    return any(str(file.python.constant(key)).lower() in {"authorization", "x-api-key"} for key in keys)


KEY_PRINTED: Final = Check(
    id="GI017",
    name="key-printed",
    severity=Severity.HIGH,
    title="A key is printed or logged",
    rationale="Logs are kept for months and read by more people and programs than the key is meant for.",
    remediation="Log a label of the key (KeyRing shows `key-1`), never the key or the headers that carry it.",
    languages=frozenset({Language.PYTHON, Language.SCRIPT}),
    keywords=("key", "token", "authorization"),
    bad=(
        python('import os\napi_key = os.environ["MISTRAL_API_KEY"]\nprint(f"using {api_key}")\n'),
        python('import logging\nheaders = {"Authorization": "Bearer x"}\nlogging.debug("calling with %s", headers)\n'),
        python('import os\nprint(os.environ["MISTRAL_API_KEY"])\n'),
        script("console.log(`using ${process.env.MISTRAL_API_KEY}`);\n"),
    ),
    good=(
        python('import os\napi_key = os.environ["MISTRAL_API_KEY"]\nprint(len(api_key), bool(api_key), "api_key")\n'),
        python("def f(usage):\n    print(usage.total_tokens, usage.prompt_tokens)\n"),
        script("console.log(`key set: ${Boolean(process.env.MISTRAL_API_KEY)}`, apiKey.length);\n"),
    ),
    inspect=_printed,
)


def _plain(file: SourceFile) -> Iterator[Hit]:
    for node in file.python.nodes:
        if not isinstance(node, ast.ClassDef) or not _SETTINGS.search(node.name):
            continue
        bases = [file.python.name(base) for base in node.bases]
        if not any(base.endswith(("BaseSettings", "BaseModel")) for base in bases):
            continue
        for field in node.body:
            match field:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if KEY_NAME.search(name):
                    if isinstance(field.value, ast.Call) and _is_hidden(file, field.value):
                        continue
                    if ast.unparse(annotation).replace(" ", "") in {"str", "str|None", "Optional[str]", "None|str"}:
                        yield file.hit(field, f"{name} is a plain string: it shows in every repr, trace and error.")


def _is_hidden(file: SourceFile, field: ast.Call) -> bool:
    """Whether a field is left out of the object's repr."""
    shown = file.python.argument(field, "repr")
    return shown is not None and file.python.constant(shown) is False


KEY_STRING: Final = Check(
    id="GI018",
    name="key-plain-string",
    severity=Severity.LOW,
    title="Settings keep a key as a plain string",
    rationale="A settings object ends up in a debugger, a validation error or a log, and its repr shows every `str`.",
    remediation="Type the field pydantic.SecretStr, and call get_secret_value() where the client is made.",
    keywords=("settings", "config"),
    bad=(
        python("from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    mistral_api_key: str\n"),
        python(
            "from pydantic import BaseModel\nclass AppConfig(BaseModel):\n    api_key: str | None = None\n",
        ),
    ),
    good=(
        python(
            "from pydantic import SecretStr\nfrom pydantic_settings import BaseSettings\n"
            "class Settings(BaseSettings):\n    mistral_api_key: SecretStr\n    model: str\n"
        ),
        python(
            "from pydantic import Field\nfrom pydantic_settings import BaseSettings\n"
            "class Settings(BaseSettings):\n    api_key: str = Field(repr=False)\n"
        ),
    ),
    inspect=_plain,
)
