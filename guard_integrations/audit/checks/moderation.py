"""Moderation: whether there is any, by which model, and what does not replace it."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Example, Guard, Hit, Language
from guard_integrations.audit.model_use import use_of
from guard_integrations.audit.script_use import script_use_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["NO_MODERATION", "OLD_MODERATION_MODEL", "SAFE_PROMPT"]

_BOTH: Final = frozenset({Language.PYTHON, Language.SCRIPT})
_OLD: Final = re.compile(r"mistral-moderation-(?:latest|2411)")
_FLAGS: Final = frozenset({"safe_prompt", "safe_mode", "safePrompt", "safeMode"})


def _unmoderated(file: SourceFile) -> Iterator[Hit]:
    """The first model of a file."""
    unless = frozenset({Guard.MODERATION})
    message = "Nothing moderates what goes into this model or comes out of it."
    if file.language is Language.PYTHON:
        for call in use_of(file).sites[:1]:
            yield file.hit(call, message, unless=unless)
    else:
        for node in script_use_of(file).sites[:1]:
            yield file.hit(node, message, unless=unless)


NO_MODERATION: Final = Check(
    id="GI004",
    name="no-moderation",
    severity=Severity.MEDIUM,
    title="A model is called and nothing moderates",
    rationale=(
        "Mistral's models answer what they are asked unless something stops them. Moderation is a call of its own, or a "
        "guardrail that must be switched on."
    ),
    remediation="GuardedChatMistralAI, RunnableModerationGuard, Moderator().moderate(text), or guardrails=MistralGuardrail().",
    languages=_BOTH,
    bad=(
        python("from langchain_mistralai import ChatMistralAI\nllm = ChatMistralAI()\n"),
        python("from mistralai import Mistral\nclient = Mistral()\nclient.chat.complete(model='m', messages=[])\n"),
        python("from llama_index.llms.mistralai import MistralAI\nllm = MistralAI()\n"),
        script('import { Mistral } from "@mistralai/mistralai";\nnew Mistral().chat.complete({});\n'),
    ),
    good=(
        python("from guard_integrations.langchain import GuardedChatMistralAI\nllm = GuardedChatMistralAI()\n"),
        python(
            "from mistralai import Mistral\nclient = Mistral()\n"
            "client.classifiers.moderate(model='mistral-moderation-2603', inputs=['a'])\n"
            "client.chat.complete(model='m', messages=[])\n"
        ),
        python(
            "from nemoguardrails import LLMRails\nfrom langchain_mistralai import ChatMistralAI\nLLMRails(c, llm=ChatMistralAI())\n"
        ),
        python("from mistralai import Mistral\nMistral().embeddings.create(model='mistral-embed', inputs=[])\n"),
        script(
            'import { Mistral } from "@mistralai/mistralai";\nconst client = new Mistral();\n'
            "await client.classifiers.moderate({});\nawait client.chat.complete({});\n"
        ),
    ),
    inspect=_unmoderated,
    checklist=True,
)


def _safe_prompt(file: SourceFile) -> Iterator[Hit]:
    message = "safe_prompt only asks the model to behave; it stops nothing."
    if file.language is Language.SCRIPT:
        for pair in file.script.all("pair"):
            flag = pair.field("key")
            switched = flag is not None and flag.text().strip("\"'") in _FLAGS
            if switched and file.script.constant(pair.field("value")) == "true":
                yield file.hit(pair, message)
        return
    module = file.python
    for node in module.nodes:
        match node:
            case ast.keyword(arg="safe_prompt" | "safe_mode", value=value) if module.constant(value) is True:
                if node.arg == "safe_prompt" or "mistral" in file.lower:
                    yield file.hit(node, message)
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if key is not None and module.constant(key) == "safe_prompt" and module.constant(value) is True:
                        yield file.hit(key, message)


SAFE_PROMPT: Final = Check(
    id="GI020",
    name="safe-prompt",
    severity=Severity.LOW,
    title="safe_prompt is relied upon",
    rationale=(
        "safe_prompt puts a sentence in front of the system prompt, which an injection overrides like any other; it is "
        "deprecated in favour of guardrails, and LlamaIndex's safe_mode is never sent."
    ),
    remediation="Moderate (GI004) and leave safe_prompt out.",
    languages=_BOTH,
    keywords=("safe_prompt", "safe_mode", "safeprompt", "safemode"),
    bad=(
        python("client.chat.complete(model='mistral-small-latest', messages=[], safe_prompt=True)\n"),
        python("from llama_index.llms.mistralai import MistralAI\nllm = MistralAI(safe_mode=True)\n"),
        script("client.chat.complete({ model: 'mistral-small-latest', safePrompt: true });\n"),
    ),
    good=(
        python("client.chat.complete(model='mistral-small-latest', messages=[], safe_prompt=False)\n"),
        python("import markdown\nmarkdown.Markdown(safe_mode=True)\n"),
    ),
    inspect=_safe_prompt,
)


def _old_model(file: SourceFile) -> Iterator[Hit]:
    """Where the name is used as a model's: as an argument or value named so, or under a constant named so."""
    message = "This moderation model is retired, or a name that still points at the retired one."
    if file.language is Language.CONFIG:
        for setting in file.settings:
            if _OLD.fullmatch(setting.value):
                yield file.hit(setting, message)
    elif file.language is Language.SCRIPT:
        for node in file.script.all("string"):
            above = node.parent()
            name = above.field("key") or above.field("name") if above is not None else None
            if _OLD.fullmatch(node.text().strip("\"'")) and name is not None and "model" in name.text().lower():
                yield file.hit(node, message)
    else:
        yield from (file.hit(node, message) for node in _named_models(file))


def _named_models(file: SourceFile) -> Iterator[ast.Constant]:
    for node in file.python.nodes:
        match node:
            case ast.keyword(arg=str(name), value=ast.Constant(value=str(text)) as value):
                pairs = [(name, text, value)]
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text)) as value):
                pairs = [(name, text, value)]
            case ast.Dict(keys=keys, values=values):
                pairs = [
                    (str(key.value), value.value, value)
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant)
                    and isinstance(value, ast.Constant)
                    and isinstance(value.value, str)
                ]
            case _:
                continue
        yield from (value for name, text, value in pairs if "model" in name.lower() and _OLD.fullmatch(text))


OLD_MODERATION_MODEL: Final = Check(
    id="GI023",
    name="old-moderation-model",
    severity=Severity.MEDIUM,
    title="A retired moderation model, or a name that floats",
    rationale=(
        "mistral-moderation-2411 is retired: it sees 8,000 tokens and knows no jailbreaks, and `latest` still points at it. "
        "A name that floats also changes categories and scores under your thresholds."
    ),
    remediation="Name the model: mistral-moderation-2603, the default of Moderator().",
    languages=frozenset({Language.PYTHON, Language.SCRIPT, Language.CONFIG}),
    keywords=("mistral-moderation-",),
    bad=(
        python("client.classifiers.moderate(model='mistral-moderation-latest', inputs=[])\n"),
        python("MODERATION_MODEL = 'mistral-moderation-2411'\n"),
        script("client.classifiers.moderate({ model: 'mistral-moderation-latest', inputs: [] });\n"),
        Example(files={"config.yaml": "moderation:\n  model: mistral-moderation-2411\n"}),
    ),
    good=(
        python("client.classifiers.moderate(model='mistral-moderation-2603', inputs=[])\n"),
        python("assert name != 'mistral-moderation-latest'\n"),
    ),
    inspect=_old_model,
)
