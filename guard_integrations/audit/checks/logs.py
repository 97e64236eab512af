"""Logs: none at all, or an error with all that was sent in them."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.logging_calls import is_log
from guard_integrations.audit.model import Check, Guard, Hit, Language
from guard_integrations.audit.model_use import use_of
from guard_integrations.audit.script_use import called, script_use_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["ERROR_LOGGED_WHOLE", "NO_AUDIT_LOG"]

_BOTH: Final = frozenset({Language.PYTHON, Language.SCRIPT})


def _unrecorded(file: SourceFile) -> Iterator[Hit]:
    sites = use_of(file).sites if file.language is Language.PYTHON else script_use_of(file).sites
    for node in sites[:1]:
        yield file.hit(
            node,
            "A server calls this model, and nothing records that it did.",
            unless=frozenset({Guard.LOGGING}),
            given=frozenset({"web"}),
        )


NO_AUDIT_LOG: Final = Check(
    id="GI006",
    name="no-audit-log",
    severity=Severity.LOW,
    title="A server calls a model and keeps no record of it",
    rationale="Abuse, leaks and cost are found in records of who called which model when, with what outcome. There are none.",
    remediation="MetadataCallbackHandler or MetadataEventHandler: metadata only; or a log line of your own per call.",
    languages=_BOTH,
    bad=(
        python(
            "from fastapi import FastAPI\nfrom langchain_mistralai import ChatMistralAI\napp = FastAPI()\nllm = ChatMistralAI()\n"
        ),
        script(
            'import express from "express";\nimport { Mistral } from "@mistralai/mistralai";\nnew Mistral().chat.complete({});\n'
        ),
    ),
    good=(
        python(
            "import logging\nfrom fastapi import FastAPI\nfrom langchain_mistralai import ChatMistralAI\napp = FastAPI()\n"
            "llm = ChatMistralAI()\nlogging.getLogger(__name__).info('started')\n"
        ),
        python("from langchain_mistralai import ChatMistralAI\nllm = ChatMistralAI()\n"),
    ),
    inspect=_unrecorded,
    checklist=True,
    once=True,
)

_ERRORS: Final = re.compile(
    r"^(?:httpx2?|requests)\.(?:exceptions\.)?(?:HTTPStatusError|HTTPError|RequestException)$"
    r"|(?:^|\.)(?:SDKError|MistralError|HTTPValidationError)$"
)
_SDK_ERRORS: Final = re.compile(r"(?:^|\.)(?:SDKError|MistralError|HTTPValidationError)$")
_BODY: Final = frozenset({"text", "content", "body", "headers", "request", "raw_response"})


def _whole_errors(file: SourceFile) -> Iterator[Hit]:
    if file.language is Language.SCRIPT:
        yield from _whole_errors_in_script(file)
        return
    module = file.python
    for node in module.nodes:
        if not isinstance(node, ast.ExceptHandler) or not node.name or node.type is None:
            continue
        types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if not any(_ERRORS.search(module.name(each)) for each in types):
            continue
        # In its text alone, an error of httpx shows the body only where a framework has put it there.
        plain = not use_of(file).frameworks and not any(_SDK_ERRORS.search(module.name(each)) for each in types)
        for call in (each for part in node.body for each in ast.walk(part)):
            logged = call.args if isinstance(call, ast.Call) and is_log(module, call) else ()
            if any(_is_whole(each, node.name, bare=not plain) for each in logged):
                yield file.hit(call, "The error is logged with what was sent or answered.")


def _is_whole(argument: ast.expr, error: str, *, bare: bool) -> bool:
    """Whether an argument is the body or the headers of an error, or the error itself where its text holds them."""
    match argument:
        case ast.Name(id=name) | ast.Call(func=ast.Name(id="str" | "repr"), args=[ast.Name(id=name)]):
            return bare and name == error
        case ast.JoinedStr(values=values):
            parts = (value.value for value in values if isinstance(value, ast.FormattedValue))
            return any(_is_whole(part, error, bare=bare) for part in parts)
        case ast.Call(func=ast.Attribute(attr="json", value=value)):
            return _root(value) == error
        case ast.Attribute(attr=attr) if attr in _BODY:
            return _root(argument) == error
        case _:
            return False


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _whole_errors_in_script(file: SourceFile) -> Iterator[Hit]:
    module, use = file.script, script_use_of(file)
    asked = [each.node.range().start.index for each in use.calls]
    for statement in module.all("try_statement") if asked else ():
        body, handler = statement.field("body"), statement.field("handler")
        name = handler.field("parameter") if handler is not None else None
        if body is None or handler is None or name is None:
            continue
        if not any(body.range().start.index <= at < body.range().end.index for at in asked):
            continue
        for call in handler.find_all(kind="call_expression"):
            function = module.function(call)
            logs = called(function) in {"error", "warn", "log", "info", "debug"} and function is not None
            whole = {name.text(), f"{name.text()}.response", f"{name.text()}.response.data", f"{name.text()}.body"}
            if logs and any(argument.text() in whole for argument in module.arguments(call)):
                yield file.hit(call, "The error is logged with what was sent or answered.")


ERROR_LOGGED_WHOLE: Final = Check(
    id="GI009",
    name="error-logged-whole",
    severity=Severity.MEDIUM,
    title="An HTTP client's error is logged whole",
    rationale=(
        "The error of an HTTP client carries the request and the response: the key in the headers, and a body that repeats "
        "the prompt, as Mistral's 422 does."
    ),
    remediation="Log the type and the status code.",
    languages=_BOTH,
    keywords=("mistral", "langchain", "llama_index", "openai", "chat"),
    bad=(
        python(
            "import httpx, logging\ntry:\n    ask_mistral()\nexcept httpx.HTTPStatusError as error:\n"
            "    logging.error('failed: %s', error.response.text)\n"
        ),
        python("from mistralai.models import SDKError\ntry:\n    ask()\nexcept SDKError as error:\n    print(error)\n"),
        script(
            'import { Mistral } from "@mistralai/mistralai";\nconst client = new Mistral();\n'
            "try {\n  await client.chat.complete({});\n} catch (error) {\n  console.error(error);\n}\n"
        ),
    ),
    good=(
        python(
            "import httpx, logging\ntry:\n    ask_mistral()\nexcept httpx.HTTPStatusError as error:\n"
            "    logging.error('failed: %s', error.response.status_code)\n"
        ),
        python("try:\n    chat()\nexcept ValueError as error:\n    print(error)\n"),
        script(
            'import { Mistral } from "@mistralai/mistralai";\nconst client = new Mistral();\n'
            "try {\n  await client.chat.complete({});\n} catch (error) {\n  console.error(error.statusCode);\n}\n"
        ),
    ),
    inspect=_whole_errors,
)
