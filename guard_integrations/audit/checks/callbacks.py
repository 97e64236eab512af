"""Callbacks: what they log, and what they cannot do."""

import ast
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python
from guard_integrations.audit.logging_calls import is_log
from guard_integrations.audit.model import Check, Hit
from guard_integrations.audit.python import PythonModule
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["CALLBACK_BLOCKS", "CALLBACK_LOGS_CONTENT"]

_HANDLERS: Final = ("BaseCallbackHandler", "AsyncCallbackHandler", "BaseEventHandler", "BaseTracer", "BaseSpanHandler")
_CONTENT: Final = frozenset(
    {"messages", "prompts", "prompt", "response", "responses", "inputs", "outputs", "output", "input_str", "token", "documents"}
    | {"event", "query", "finish", "text"}
)  # fmt: skip
_WHOLE: Final = frozenset(
    {"content", "text", "generations", "page_content", "message", "messages", "prompts", "prompt", "response"}
)
_MEASURES: Final = frozenset({"len", "type", "id", "bool", "hash", "isinstance"})


def _methods(module: PythonModule) -> Iterator[tuple[ast.ClassDef, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """What callback handlers are called with."""
    for node in module.nodes:
        if isinstance(node, ast.ClassDef) and any(module.name(base).endswith(_HANDLERS) for base in node.bases):
            for each in node.body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith(("on_", "handle")):
                    yield node, each


def _logs_content(file: SourceFile) -> Iterator[Hit]:
    module = file.python
    for _, method in _methods(module):
        for node in ast.walk(method):
            if isinstance(node, ast.Call) and is_log(module, node) and any(_shows(module, each) for each in node.args):
                yield file.hit(node, "This log line holds what people and models say.")


def _shows(module: PythonModule, node: ast.AST, depth: int = 0) -> bool:  # noqa: C901, PLR0911 - one case per kind of expression
    """Whether what is logged is content, or text made of it; what counts or names it is not."""
    if depth > 6:  # noqa: PLR2004 - variables of variables
        return False
    match node:
        case ast.Name():
            values = module.values(node)
            if any(isinstance(value, ast.arg) and value.arg in _CONTENT for value in values):
                return True
            return any(_shows(module, value, depth + 1) for value in values if not isinstance(value, ast.arg))
        case ast.Attribute(value=value, attr=attr):
            return attr in _WHOLE and _from_content(module, value)
        case ast.Subscript(value=value):
            return _shows(module, value, depth + 1)
        case ast.Call(func=ast.Name(id=name)) if name in _MEASURES:
            return False
        case ast.Call(func=ast.Attribute(attr="get", value=value)):
            return _shows(module, value, depth + 1) and not isinstance(value, ast.Name)
        case ast.Call(func=function, args=arguments):
            receiver = function.value if isinstance(function, ast.Attribute) else None
            return any(_shows(module, each, depth + 1) for each in (*arguments, *([receiver] if receiver else [])))
        case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element):
            return _shows(module, element, depth + 1)
        case ast.Constant() | ast.Compare():
            return False
        case _:
            return any(_shows(module, child, depth + 1) for child in ast.iter_child_nodes(node))


def _from_content(module: PythonModule, node: ast.AST) -> bool:
    return any(isinstance(each, ast.arg) and each.arg in _CONTENT for each in module.origins(node))


CALLBACK_LOGS_CONTENT: Final = Check(
    id="GI026",
    name="callback-logs-content",
    severity=Severity.MEDIUM,
    title="A callback logs what people and models say",
    rationale="Logs outlive the conversation, and are read by people whom nobody meant to show it: personal data included.",
    remediation="Log metadata: MetadataCallbackHandler, MetadataEventHandler; lengths, tokens, durations, ids.",
    keywords=("handler", "tracer"),
    bad=(
        python(
            "import logging\nfrom langchain_core.callbacks import BaseCallbackHandler\n"
            "class H(BaseCallbackHandler):\n    def on_llm_start(self, serialized, prompts, **kwargs):\n"
            "        logging.info('prompts: %s', prompts)\n"
        ),
        python(
            "from langchain_core.callbacks import BaseCallbackHandler\n"
            "class H(BaseCallbackHandler):\n    def on_llm_end(self, response, **kwargs):\n"
            "        text = response.generations[0][0].text\n        print(f'said {text}')\n"
        ),
    ),
    good=(
        python(
            "import logging\nfrom langchain_core.callbacks import BaseCallbackHandler\n"
            "class H(BaseCallbackHandler):\n    def on_llm_end(self, response, *, run_id, **kwargs):\n"
            "        usage = response.llm_output['token_usage']\n"
            "        logging.info('%s: %s tokens, %d answers', run_id, usage, len(response.generations))\n"
        ),
    ),
    inspect=_logs_content,
)


def _blocks(file: SourceFile) -> Iterator[Hit]:
    module = file.python
    for owner, method in _methods(module):
        if method.name.endswith("_error") or _raises(module, owner):
            continue
        for node in ast.walk(method):
            if isinstance(node, ast.Raise) and _judges(module, node):
                yield file.hit(node, "Nothing stops here: the exception is logged and swallowed.")


def _judges(module: PythonModule, node: ast.Raise) -> bool:
    """Whether something is raised because of what was said; a complaint about a run that is not known is another matter."""
    for above in module.above(node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        names = ast.walk(above.test) if isinstance(above, ast.If) else ()
        if any(isinstance(name, ast.Name) and _from_content(module, name) for name in names):
            return True
    return False


def _raises(module: PythonModule, owner: ast.ClassDef) -> bool:
    """Whether the handler says that its errors are to be raised."""
    for node in ast.walk(owner):
        match node:
            case ast.Assign(targets=[ast.Name(id="raise_error") | ast.Attribute(attr="raise_error")], value=value):
                return module.constant(value) is True
            case ast.AnnAssign(target=ast.Name(id="raise_error"), value=ast.expr() as value):
                return module.constant(value) is True
    return False


CALLBACK_BLOCKS: Final = Check(
    id="GI027",
    name="callback-meant-to-block",
    severity=Severity.HIGH,
    title="A callback is meant to block",
    rationale=(
        "LangChain logs what a handler raises and goes on, unless raise_error is set, and in async handlers driven from "
        "sync code even then; LlamaIndex swallows it always. The check it makes is none."
    ),
    remediation="Block in the chain: RunnableInputGuard, GuardMiddleware, GuardedChatMistralAI. A callback may watch.",
    keywords=("handler", "tracer"),
    bad=(
        python(
            "from langchain_core.callbacks import BaseCallbackHandler\n"
            "class H(BaseCallbackHandler):\n    def on_llm_start(self, serialized, prompts, **kwargs):\n"
            "        if 'secret' in prompts[0]:\n            raise ValueError('refused')\n"
        ),
    ),
    good=(
        python(
            "from langchain_core.callbacks import BaseCallbackHandler\n"
            "class H(BaseCallbackHandler):\n    raise_error = True\n"
            "    def on_llm_start(self, serialized, prompts, **kwargs):\n        raise ValueError('refused')\n"
        ),
    ),
    inspect=_blocks,
)
