"""What one file tells of the project: what it guards, whether it uses models, and what hits elsewhere depend on."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.guards import guards_named
from guard_integrations.audit.model import FileFacts, Guard, Language
from guard_integrations.audit.model_use import use_of
from guard_integrations.audit.names import CLEANS_OUTPUT, WEB
from guard_integrations.audit.script_use import called, script_use_of
from guard_integrations.audit.source import SourceFile

__all__ = ["facts_of"]

_LOGGERS: Final = (
    "logging.", "structlog.", "loguru.", "opentelemetry.", "langfuse", "logfire", "mlflow", "phoenix", "sentry_sdk",
    "pino", "winston", "bunyan", "@opentelemetry/", "@sentry/", "langfuse", "@nestjs/common.Logger", "loglevel", "consola",
)  # fmt: skip
_SECRET_MANAGERS: Final = (
    "boto3.", "hvac.", "google.cloud.secretmanager", "azure.keyvault", "@aws-sdk/client-secrets-manager",
    "@google-cloud/secret-manager", "@azure/keyvault-secrets", "node-vault",
)  # fmt: skip
_PURIFIERS: Final = (
    "dompurify",
    "isomorphic-dompurify",
    "sanitize-html",
    "xss",
    "rehype-sanitize",
    "he.",
    "bleach.",
    "nh3.",
)
_PROTECTS: Final = re.compile(r"(?i)guard|moderat|safety|injection|pii|redact|sanitiz|shield")
_HINTS: Final = re.compile(r"guard|rails|moderat|lakera|rebuff|middleware|pii|presidio")
_RAILS: Final = re.compile(r"(?m)^rails:")


def facts_of(file: SourceFile) -> FileFacts:
    """What a file adds to what is known of the project."""
    match file.language:
        case Language.PYTHON if "import" in file.text:
            use = use_of(file)
            traits = {f"answers:{name}" for name in use.answering}
            imported = set(file.python.imports.values())
            if any(name.partition(".")[0] in WEB for name in imported):
                traits.add("web")
            if any(name.startswith("dotenv.load_dotenv") for name in imported):
                traits.add("dotenv")
            return _facts(file, frozenset(_in_python(file)), model=use.frameworks or bool(use.sites), traits=traits)
        case Language.SCRIPT:
            script = script_use_of(file)
            traits = {f"answers:{name}" for name in script.answering} | ({"web"} if script.server else set())
            return _facts(
                file, frozenset(_in_script(file)), model=script.frameworks or bool(script.sites), traits=traits
            )
        case Language.CONFIG if file.path.endswith((".yml", ".yaml")) and _RAILS.search(file.text):
            return _facts(file, frozenset(), model=False, traits={"rails"})
        case _:
            return _facts(file, frozenset(), model=False, traits=set())


def _facts(file: SourceFile, guards: frozenset[Guard], *, model: bool, traits: set[str]) -> FileFacts:
    return FileFacts(
        path=file.path, guards=guards, model=model, traits=frozenset(traits | ({"model"} if model else set()))
    )


def _in_python(file: SourceFile) -> Iterator[Guard]:  # noqa: C901 - one case per way to guard
    module = file.python
    imported = set(module.imports.values())
    if any(name.startswith(_LOGGERS) or f"{name}." in _LOGGERS for name in imported):
        yield Guard.LOGGING
    if any(name.startswith(_SECRET_MANAGERS) or f"{name}." in _SECRET_MANAGERS for name in imported):
        yield Guard.ROTATION
    named = _HINTS.search(file.lower) is not None  # to name every call of every file would be most of the work
    for call in module.calls:
        found = guards_named(module.name(call.func)) if named else frozenset()
        off = module.argument(call, "moderation") if found else None
        yield from found - {Guard.MODERATION} if off is not None and module.constant(off) == "off" else found
        if any(keyword.arg == "guardrails" for keyword in call.keywords):
            yield Guard.MODERATION
        if CLEANS_OUTPUT.search(called_name(call)):
            yield Guard.OUTPUT
        if any("/v1/moderations" in str(module.constant(argument)) for argument in call.args):
            yield Guard.MODERATION
    for node in module.nodes:
        if isinstance(node, ast.ClassDef) and _PROTECTS.search(node.name):
            bases = [module.name(base) for base in node.bases]
            if any(base.endswith("AgentMiddleware") for base in bases):
                yield from (Guard.INPUT, Guard.MODERATION)
            if any(base.endswith("NodePostprocessor") for base in bases):
                yield Guard.NODES


def called_name(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _in_script(file: SourceFile) -> Iterator[Guard]:
    module = file.script
    imported = set(module.imports.values())
    if any(name.startswith(_LOGGERS) for name in imported) or re.search(r"\blogger:\s*true", file.text):
        yield Guard.LOGGING
    if any(name.startswith(_SECRET_MANAGERS) for name in imported):
        yield Guard.ROTATION
    if any(name.startswith(_PURIFIERS) for name in imported) and script_use_of(file).server:
        yield Guard.OUTPUT
    for call in module.calls:
        function = module.function(call)
        yield from guards_named(module.name(function))
        name = called(function)
        if name in {"moderate", "moderateChat"} or "moderations" in name:
            yield Guard.MODERATION
        if CLEANS_OUTPUT.search(name) and script_use_of(file).server:
            yield Guard.OUTPUT
        if module.option(call, "guardrails") is not None:
            yield Guard.MODERATION
