"""What users say, on its way into a prompt."""

from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Guard, Hit, Language
from guard_integrations.audit.model_use import use_of
from guard_integrations.audit.script_use import script_use_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["UNGUARDED_INPUT"]

_SHIELDED: Final = frozenset({Guard.INPUT, Guard.MODERATION})


def _unguarded(file: SourceFile) -> Iterator[Hit]:
    message = "What a user says reaches the model, and nothing has looked at it."
    if file.language is Language.SCRIPT:
        script = script_use_of(file)
        for each in script.calls:
            if any(script.user(prompt) for prompt in each.prompts):
                yield file.hit(each.node, message, unless=_SHIELDED)
        return
    use = use_of(file)
    for call in use.calls:
        if any(use.user(prompt) for prompt in call.prompts):
            yield file.hit(call.node, message, unless=frozenset() if use.forgotten(call) else _SHIELDED)


UNGUARDED_INPUT: Final = Check(
    id="GI012",
    name="unguarded-user-input",
    severity=Severity.MEDIUM,
    title="What a user says reaches a model without a guard",
    rationale=(
        "Prompt injection begins with text that nobody looks at: it overrides instructions, draws out the system prompt, "
        "and steers tools. OWASP LLM01."
    ),
    remediation="Put a guard in front: RunnableInputGuard() | prompt | llm, GuardedChatMistralAI, or InputSanitizer().sanitize(text).",
    languages=frozenset({Language.PYTHON, Language.SCRIPT}),
    bad=(
        python(
            "from langchain_mistralai import ChatMistralAI\nllm = ChatMistralAI()\n"
            "def answer(question: str):\n    return llm.invoke(question)\n"
        ),
        python(
            "from fastapi import FastAPI\nfrom mistralai import Mistral\napp = FastAPI()\nclient = Mistral()\n"
            '@app.post("/")\ndef chat(body: Body):\n'
            '    return client.chat.complete(model="m", messages=[{"role": "user", "content": body.text}])\n'
        ),
        python(
            "from guard_integrations.langchain import RunnableInputGuard\nfrom langchain_mistralai import ChatMistralAI\n"
            "llm = ChatMistralAI()\nchain = RunnableInputGuard() | llm\n"
            "def a(question):\n    return chain.invoke(question)\ndef b(question):\n    return llm.invoke(question)\n"
        ),
        script(
            'import { Mistral } from "@mistralai/mistralai";\nconst client = new Mistral();\n'
            "app.post('/a', async (req, res) => {\n"
            "  await client.chat.complete({ messages: [{ role: 'user', content: req.body.text }] });\n});\n"
        ),
    ),
    good=(
        python(
            "from guard_integrations.langchain import RunnableInputGuard\nfrom langchain_mistralai import ChatMistralAI\n"
            "chain = RunnableInputGuard() | ChatMistralAI()\ndef answer(question):\n    return chain.invoke(question)\n"
        ),
        python(
            "from fastapi import FastAPI\nfrom guard_integrations import InputSanitizer\n"
            "from langchain_mistralai import ChatMistralAI\nguard = InputSanitizer()\nllm = ChatMistralAI()\n"
            "def a(question):\n    return llm.invoke(guard.sanitize(question).text)\n"
            "def b(question):\n    clean = guard.sanitize(question).text\n    return llm.invoke(clean)\n"
        ),
        python(
            "from llm_guard import scan_prompt\nfrom mistralai import Mistral\nclient = Mistral()\n"
            "def answer(question):\n    clean, valid, _ = scan_prompt(scanners, question)\n"
            '    return client.chat.complete(model="m", messages=[{"role": "user", "content": clean}])\n'
        ),
        python(
            "from langchain_mistralai import ChatMistralAI\nllm = ChatMistralAI()\n"
            "def check(question):\n    validated = validate_question(question)\n    return llm.invoke(validated)\n"
        ),
        python('from langchain_mistralai import ChatMistralAI\nprint(ChatMistralAI().invoke("Say hello."))\n'),
    ),
    inspect=_unguarded,
)
