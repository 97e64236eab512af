"""Chains and what stands where in them."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.guards import guards_named
from guard_integrations.audit.model import Check, Guard, Hit, Language
from guard_integrations.audit.model_use import ModelUse, use_of
from guard_integrations.audit.script_use import called
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["FALLBACK_ROUND_GUARD", "GUARD_BEHIND", "UNGUARDED_RETRIEVAL"]

_RETRIEVERS: Final = frozenset({"as_retriever", "as_query_engine", "as_chat_engine"})
_STAGE: Final = "RunnableInputGuard"


def _pipes(file: SourceFile) -> Iterator[ast.BinOp]:
    """Whole pipes, not their left parts."""
    for node in file.python.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            above = file.python.parents.get(node)
            if not (isinstance(above, ast.BinOp) and isinstance(above.op, ast.BitOr)):
                yield node


def _is_model(use: ModelUse, stage: ast.expr) -> bool:
    resolved = use.module.resolve(stage)
    name = use.module.name(stage)
    return resolved in use.made or bool(re.search(r"(?:^|\.)(?:llm|model|chat_model)$|Guarded\w+\(\)$", name))


def _behind(file: SourceFile) -> Iterator[Hit]:
    use = use_of(file)
    for pipe in _pipes(file):
        stages = use.module.stages(pipe)
        models = [number for number, stage in enumerate(stages) if _is_model(use, stage)]
        guards = [number for number, stage in enumerate(stages) if _STAGE in use.module.name(stage)]
        if models and guards and min(guards) > min(models):
            yield file.hit(pipe, "The guard looks at what the model has said, not at what it is asked.")


GUARD_BEHIND: Final = Check(
    id="GI013",
    name="guard-behind-model",
    severity=Severity.HIGH,
    title="An input guard stands behind the model",
    rationale="A stage sees what the stage before it gives: behind the model, the guard scans the answer as if it were a question.",
    remediation="Put the guard in front: RunnableInputGuard() | prompt | llm | RunnableOutputSanitizer().",
    keywords=("runnableinputguard",),
    bad=(
        python(
            "from guard_integrations.langchain import RunnableInputGuard\nfrom langchain_mistralai import ChatMistralAI\n"
            "chain = ChatMistralAI() | RunnableInputGuard()\n"
        ),
    ),
    good=(
        python(
            "from guard_integrations.langchain import RunnableInputGuard\nfrom langchain_mistralai import ChatMistralAI\n"
            "chain = RunnableInputGuard() | ChatMistralAI()\n"
        ),
        python("from guard_integrations.langchain import RunnableInputGuard\nx: RunnableInputGuard | None = None\n"),
    ),
    inspect=_behind,
)


def _fallback(file: SourceFile) -> Iterator[Hit]:
    module = file.python
    for call in module.calls:
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "with_fallbacks":
            continue
        if any(keyword.arg == "exceptions_to_handle" for keyword in call.keywords):
            continue
        guards = frozenset(
            guard for stage in module.stages(call.func.value) for guard in guards_named(module.name(stage))
        )
        if guards & {Guard.INPUT, Guard.MODERATION}:
            yield file.hit(call, "The fallback is tried when the guard blocks, and gets what it blocked.")


FALLBACK_ROUND_GUARD: Final = Check(
    id="GI014",
    name="fallback-round-guard",
    severity=Severity.HIGH,
    title="A fallback that goes round the guard",
    rationale="with_fallbacks() catches every exception, a block among them, and hands the raw input to the next runnable.",
    remediation=(
        "Put the fallback inside: guard | llm.with_fallbacks([other]); or leave GuardBlocked out with exceptions_to_handle=."
    ),
    keywords=("with_fallbacks",),
    bad=(
        python(
            "from guard_integrations.langchain import RunnableInputGuard\n"
            "chain = (RunnableInputGuard() | llm).with_fallbacks([other])\n"
        ),
        python(
            "from guard_integrations.langchain import RunnableInputGuard\n"
            "guarded = RunnableInputGuard() | llm\nchain = guarded.with_fallbacks([other])\n"
        ),
    ),
    good=(
        python(
            "from guard_integrations.langchain import RunnableInputGuard\n"
            "chain = RunnableInputGuard() | llm.with_fallbacks([other])\n"
        ),
        python(
            "from guard_integrations.langchain import RunnableInputGuard\nimport httpx\n"
            "chain = (RunnableInputGuard() | llm).with_fallbacks([b], exceptions_to_handle=(httpx.HTTPError,))\n"
        ),
    ),
    inspect=_fallback,
)


def _retrieval(file: SourceFile) -> Iterator[Hit]:
    unless = frozenset({Guard.NODES})
    message = "What is retrieved reaches the model, and nothing has looked at it."
    if file.language is Language.SCRIPT:
        for node in file.script.calls:
            if called(file.script.function(node)) in {"asRetriever", "asQueryEngine", "asChatEngine"}:
                yield file.hit(node, message, unless=unless)
        return
    module = file.python
    for call in module.calls:
        if not isinstance(call.func, ast.Attribute):
            continue
        made = call.func.attr in _RETRIEVERS or module.name(call.func).endswith("RetrieverQueryEngine.from_args")
        if made:
            yield file.hit(call, message, unless=unless)


UNGUARDED_RETRIEVAL: Final = Check(
    id="GI015",
    name="unguarded-retrieval",
    severity=Severity.MEDIUM,
    title="Retrieved text reaches a model without a guard",
    rationale=(
        "Whoever can write a document that is indexed can write into the prompt: indirect prompt injection. Guards on the "
        "user's message do not see it. OWASP LLM01, LLM08."
    ),
    remediation=(
        "LangChain: retriever | DocumentGuard(). LlamaIndex: node_postprocessors=[InjectionGuardNodePostprocessor()], or "
        "GuardedQueryEngine(engine)."
    ),
    languages=frozenset({Language.PYTHON, Language.SCRIPT}),
    keywords=("retriever", "query_engine", "chat_engine", "queryengine", "chatengine"),
    bad=(
        python(
            "from llama_index.core import VectorStoreIndex\nengine = VectorStoreIndex.from_documents(d).as_query_engine()\n"
        ),
        python("from langchain_chroma import Chroma\nretriever = Chroma().as_retriever()\n"),
        script(
            'import { Chroma } from "@langchain/community/vectorstores/chroma";\n'
            "const retriever = new Chroma(embeddings, {}).asRetriever();\n"
        ),
    ),
    good=(
        python(
            "from guard_integrations.llama_index import InjectionGuardNodePostprocessor\n"
            "from llama_index.core import VectorStoreIndex\n"
            "engine = VectorStoreIndex.from_documents(d).as_query_engine("
            "node_postprocessors=[InjectionGuardNodePostprocessor()])\n"
        ),
        python(
            "from guard_integrations.langchain import DocumentGuard\nfrom langchain_chroma import Chroma\n"
            "retriever = Chroma().as_retriever() | DocumentGuard()\n"
        ),
    ),
    inspect=_retrieval,
)
