"""Logs: none at all, or too much in them."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.logging_calls import is_log
from guard_integrations.audit.model import Check, Example, Guard, Hit, Language
from guard_integrations.audit.model_use import use_of
from guard_integrations.audit.script_use import called, script_use_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["DEBUG_LEFT_ON", "ERROR_LOGGED_WHOLE", "NO_AUDIT_LOG"]

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

_TALKATIVE: Final = re.compile(
    r"(?:^|\.)(?:Chat[A-Z]\w+|\w*LLM|MistralAI|\w*Chain|\w*Agent|AgentExecutor|create_\w*agent\w*|initialize_agent|\w+Engine"
    r"|\w+Retriever|from_tools|from_llm|from_defaults|as_query_engine|as_chat_engine)$"
)
_SWITCHES: Final = frozenset({"set_debug", "set_verbose"})
_TRACING: Final = frozenset({"LANGCHAIN_TRACING_V2", "LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING"})
_HIDES: Final = ("LANGSMITH_HIDE_INPUTS", "LANGCHAIN_HIDE_INPUTS")
_LOUD: Final = "Everything that goes through is printed."
_TRACED: Final = "Everything that goes through is sent to the tracing service."


def _debugging(file: SourceFile) -> Iterator[Hit]:
    if file.language is Language.CONFIG:
        yield from _traced_by_settings(file)
    elif file.language is Language.SCRIPT:
        for call in file.script.calls:
            option = file.script.option(call, "verbose")
            name = file.script.name(file.script.function(call))
            if option is not None and file.script.constant(option) == "true" and _TALKATIVE.search(name):
                yield file.hit(option, _LOUD)
    else:
        yield from _debugging_in_python(file)


def _traced_by_settings(file: SourceFile) -> Iterator[Hit]:
    if any(name in file.text for name in _HIDES):
        return
    for setting in file.settings:
        if setting.key in _TRACING and setting.value.lower() in {"true", "1"}:
            yield file.hit(setting, _TRACED)


def _debugging_in_python(file: SourceFile) -> Iterator[Hit]:  # noqa: C901 - one case per way to switch it on
    module = file.python
    for node in module.nodes:
        match node:
            case ast.Call(func=function, args=arguments, keywords=keywords):
                name = module.name(function)
                last = function.attr if isinstance(function, ast.Attribute) else name.rpartition(".")[2]
                if last in _SWITCHES and arguments and module.constant(arguments[0]) is True:
                    yield file.hit(node, _LOUD)
                if last == "set_global_handler" and arguments and module.constant(arguments[0]) == "simple":
                    yield file.hit(node, _LOUD)
                for keyword in keywords:
                    loud = keyword.arg == "verbose" and module.constant(keyword.value) is True
                    if loud and _TALKATIVE.search(name or last):
                        yield file.hit(keyword, _LOUD)
            case ast.Assign(targets=[ast.Subscript(value=value, slice=key)], value=ast.Constant(value=str(text))):
                traced = ast.unparse(value) == "os.environ" and module.constant(key) in _TRACING
                if traced and text.lower() in {"true", "1"} and not any(name in file.text for name in _HIDES):
                    yield file.hit(node, _TRACED)
            case ast.Assign(
                targets=[ast.Attribute(value=value, attr="debug" | "verbose")], value=ast.Constant(value=True)
            ):
                if module.name(value) in {"langchain", "langchain.globals"}:
                    yield file.hit(node, _LOUD)


DEBUG_LEFT_ON: Final = Check(
    id="GI008",
    name="debug-left-on",
    severity=Severity.LOW,
    title="verbose, debug or tracing of content left on",
    rationale="Debug output and traces hold whole prompts and answers, which then lie in terminals, log files and other people's servers.",
    remediation="Switch it off outside development; trace with LANGSMITH_HIDE_INPUTS and LANGSMITH_HIDE_OUTPUTS, or metadata alone.",
    languages=frozenset({Language.PYTHON, Language.SCRIPT, Language.CONFIG}),
    keywords=("verbose", "debug", "tracing", "set_global_handler"),
    bad=(
        python("from langchain_core.globals import set_debug\nset_debug(True)\n"),
        python("from langchain_mistralai import ChatMistralAI\nllm = ChatMistralAI(verbose=True)\n"),
        python('import os\nos.environ["LANGSMITH_TRACING"] = "true"\n'),
        Example(files={"compose.yaml": 'services:\n  app:\n    environment:\n      LANGCHAIN_TRACING_V2: "true"\n'}),
        script('import { ChatMistralAI } from "@langchain/mistralai";\nnew ChatMistralAI({ verbose: true });\n'),
    ),
    good=(
        python("from langchain_core.globals import set_debug\nset_debug(False)\n"),
        python("model.fit(x, y, verbose=True)\n"),
        Example(files={"compose.yaml": 'services:\n  app:\n    environment:\n      LANGSMITH_TRACING: "false"\n'}),
    ),
    inspect=_debugging,
)

_ERRORS: Final = re.compile(
    r"^(?:httpx2?|requests)\.(?:exceptions\.)?(?:HTTPStatusError|HTTPError|RequestException)$"
    r"|(?:^|\.)(?:SDKError|MistralError|HTTPValidationError)$"
)
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
        for call in (each for part in node.body for each in ast.walk(part)):
            if (
                isinstance(call, ast.Call)
                and is_log(module, call)
                and any(_is_whole(each, node.name) for each in call.args)
            ):
                yield file.hit(call, "The error is logged with what was sent or answered.")


def _is_whole(argument: ast.expr, error: str) -> bool:
    """Whether an argument is the error itself, or its body or headers."""
    match argument:
        case ast.Name(id=name):
            return name == error
        case ast.Call(func=ast.Name(id="str" | "repr"), args=[ast.Name(id=name)]):
            return name == error
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) and _is_whole(value.value, error) for value in values)
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
