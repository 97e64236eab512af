"""What models answer, on its way out: whole or piece by piece."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from ast_grep_py import SgNode

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Guard, Hit, Language
from guard_integrations.audit.model_use import answers_of, use_of
from guard_integrations.audit.script_use import called, script_use_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["UNGUARDED_STREAM", "UNSANITISED_OUTPUT"]

_BOTH: Final = frozenset({Language.PYTHON, Language.SCRIPT})
_OUTPUT: Final = frozenset({Guard.OUTPUT})
_SENDS: Final = frozenset(
    {"say", "reply", "reply_text", "send", "send_text", "send_message", "respond", "write", "markdown"}
)
_RESPONDS: Final = re.compile(r"(?:^|\.)(?:jsonify|\w*Response|json_response)$")
_SCRIPT_SENDS: Final = frozenset({"json", "send", "end", "reply"})
_PASSES: Final = frozenset(
    {"stream", "astream", "transform", "atransform", "astream_events", "stream_chat", "astream_chat", "stream_complete"}
)
"""What a model or a stage is called by that hands on the stream of another: a guard may stand outside."""
_VERBS: Final = frozenset({"post", "get", "put", "patch", "all"})


def _handed_on(file: SourceFile) -> Iterator[Hit]:
    message = "The model's answer is handed on as it is."
    if file.language is Language.SCRIPT:
        yield from _handed_on_in_script(file, message)
        return
    use = use_of(file)
    told: set[int] = set()
    for value, place in _python_sinks(file):
        if place.lineno in told:
            continue
        direct, elsewhere = use.answer(value)
        if use.streamed(value):
            continue  # GI024
        if direct or elsewhere:
            told.add(place.lineno)
            yield file.hit(place, message, unless=_OUTPUT, given=frozenset() if direct else answers_of(elsewhere))


def _python_sinks(file: SourceFile) -> Iterator[tuple[ast.expr, ast.stmt | ast.expr]]:
    use, module = use_of(file), file.python
    if not use.outside.server and not any("handler" in getattr(node, "name", "") for node in module.tree.body):
        return
    for node in module.nodes:
        match node:
            case ast.Return(value=ast.expr() as value):
                function = module.function(node)
                if (
                    function is not None
                    and use.outside.handler(function)
                    and not _renders(value)
                    and not _is_stream(file, value)
                ):
                    yield value, node
            case ast.Call(func=ast.Attribute(attr=attr) as function) if attr in _SENDS and node.args:
                if not _unsafe_html(node) and not module.name(function).startswith(("logging", "sys.", "os.")):
                    yield node.args[0], node
            case ast.Call(func=ast.Name(id="say"), args=[value, *_]):
                yield value, node
            case ast.Call(keywords=[ast.keyword(arg="content", value=value), *_]) if (
                module.name(node.func) == "chainlit.Message"
            ):
                yield value, node


def _renders(value: ast.expr) -> bool:
    """Templates escape what they are given; where they do not is GI021's question."""
    called_ = value.func if isinstance(value, ast.Call) else None
    name = called_.attr if isinstance(called_, ast.Attribute) else getattr(called_, "id", "")
    return name in {"render", "render_template", "TemplateResponse", "HTMLResponse", "render_template_string"}


def _is_stream(file: SourceFile, value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and file.python.name(value.func).endswith("StreamingResponse")


def _unsafe_html(call: ast.Call) -> bool:
    return any(keyword.arg == "unsafe_allow_html" for keyword in call.keywords)


def _handed_on_in_script(file: SourceFile, message: str) -> Iterator[Hit]:
    use, module = script_use_of(file), file.script
    if not use.server:
        return
    for call in module.calls:
        function = module.function(call)
        arguments = module.arguments(call)
        receiver = function.field("object") if function is not None else None
        root = receiver.text() if receiver is not None else ""
        if called(function) in _SCRIPT_SENDS and arguments and re.match(r"(?:\w*[Rr]es\w*|reply|ctx|c)\b", root):
            direct, elsewhere = use.answer(arguments[0])
            if direct or elsewhere:
                yield file.hit(call, message, unless=_OUTPUT, given=frozenset() if direct else answers_of(elsewhere))
    for node in module.all("return_statement"):
        value = next((child for child in node.children() if child.is_named()), None)
        if value is not None and value.kind() in {"object", "await_expression"} and _is_route(use.file, node):
            direct, elsewhere = use.answer(value)
            if direct or elsewhere:
                yield file.hit(node, message, unless=_OUTPUT, given=frozenset() if direct else answers_of(elsewhere))


def _is_route(file: SourceFile, node: SgNode) -> bool:
    """Whether a `return` answers a request: in a callback of fastify, or in a decorated method of Nest."""
    for above in node.ancestors():
        if above.kind() == "method_definition":
            return bool(re.search(r"@(?:Post|Get|Put|Patch|All)\(", file.text))
        if above.kind() == "arrow_function":
            arguments = above.parent()
            call = arguments.parent() if arguments is not None else None
            return call is not None and called(file.script.function(call)) in _VERBS
    return False


UNSANITISED_OUTPUT: Final = Check(
    id="GI005",
    name="unsanitised-output",
    severity=Severity.LOW,
    title="A server hands a model's answer on without sanitising it",
    rationale=(
        "An answer may hold the system prompt, personal data, keys, and images whose address carries them away as soon as "
        "the answer is shown. OWASP LLM02, LLM05, LLM07."
    ),
    remediation="RunnableOutputSanitizer() behind the model, GuardedChatMistralAI, or OutputSanitizer().sanitize(text).",
    languages=_BOTH,
    checklist=True,
    bad=(
        python(
            "from fastapi import FastAPI\nfrom langchain_mistralai import ChatMistralAI\napp = FastAPI()\n"
            "llm = ChatMistralAI()\n@app.get('/')\ndef ask(topic: str):\n    return {'answer': llm.invoke(topic).content}\n"
        ),
        script(
            'import express from "express";\nimport { Mistral } from "@mistralai/mistralai";\n'
            "const client = new Mistral();\nexpress().post('/', async (req, res) => {\n"
            "  const reply = await client.chat.complete({});\n  res.json({ answer: reply.choices[0].message.content });\n});\n"
        ),
    ),
    good=(
        python(
            "from fastapi import FastAPI\nfrom guard_integrations import OutputSanitizer\n"
            "from langchain_mistralai import ChatMistralAI\napp = FastAPI()\nllm = ChatMistralAI()\n"
            "@app.get('/')\ndef ask(topic: str):\n    return OutputSanitizer().sanitize(llm.invoke(topic).content).text\n"
        ),
        python(
            "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/')\ndef health():\n    return {'answer': 42}\n"
        ),
    ),
    inspect=_handed_on,
)


def _streamed(file: SourceFile) -> Iterator[Hit]:
    message = "The answer is handed on piece by piece, and nothing looks at the pieces."
    if file.language is Language.SCRIPT:
        use = script_use_of(file)
        for each in use.calls:
            if each.streams and use.server:
                yield file.hit(each.node, message, unless=_OUTPUT)
        return
    python_use = use_of(file)
    for call in python_use.calls:
        function = file.python.function(call.node)
        yields = (
            function is not None
            and function.name.lstrip("_") not in _PASSES
            and any(isinstance(node, ast.Yield) for node in ast.walk(function))
        )
        if call.streams and (python_use.outside.server or yields):
            yield file.hit(call.node, message, unless=_OUTPUT)


UNGUARDED_STREAM: Final = Check(
    id="GI024",
    name="unguarded-stream",
    severity=Severity.MEDIUM,
    title="A stream is handed on as it comes",
    rationale="A check of the whole answer comes too late: what has been streamed has been read.",
    remediation="Stream through RunnableOutputSanitizer, OutputSanitizer().stream(), or a guarded model.",
    languages=_BOTH,
    keywords=("stream",),
    bad=(
        python(
            "from langchain_mistralai import ChatMistralAI\nllm = ChatMistralAI()\n"
            "def tokens(text):\n    for chunk in llm.stream(text):\n        yield chunk.content\n"
        ),
        script(
            'import { mistral } from "@ai-sdk/mistral";\nimport { streamText } from "ai";\n'
            "export async function POST() {\n  return streamText({ model: mistral('m') }).toDataStreamResponse();\n}\n",
            name="app/api/route.ts",
        ),
        script(
            'import express from "express";\nimport { Mistral } from "@mistralai/mistralai";\n'
            "const client = new Mistral();\nexpress().post('/', async (req, res) => {\n"
            "  for await (const part of await client.chat.stream({})) res.write(part.data);\n});\n"
        ),
    ),
    good=(
        python(
            "from guard_integrations import OutputSanitizer\nfrom langchain_mistralai import ChatMistralAI\n"
            "llm = ChatMistralAI()\ndef tokens(text):\n    session = OutputSanitizer().stream()\n"
            "    for chunk in llm.stream(text):\n        yield session.feed(chunk.content)\n    yield session.finish()\n"
        ),
        python(
            "from langchain_mistralai import ChatMistralAI\nfor chunk in ChatMistralAI().stream('Hello'):\n"
            "    print(chunk.content)\n"
        ),
    ),
    inspect=_streamed,
)
