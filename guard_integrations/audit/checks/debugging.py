"""What is switched on to see everything, and shows everything."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Example, Hit, Language
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["DEBUG_LEFT_ON"]

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
