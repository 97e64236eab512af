"""What models answer, executed."""

from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.acting import RUNS_CODE, executed
from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Hit, Language
from guard_integrations.audit.model_use import answers_of, use_of
from guard_integrations.audit.script_use import called, script_use_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["ANSWER_EXECUTED"]

_BOTH: Final = frozenset({Language.PYTHON, Language.SCRIPT})
_SQL_IN_SCRIPT: Final = frozenset({"query", "prepare", "raw", "$queryRawUnsafe", "$executeRawUnsafe"})


def _executed(file: SourceFile) -> Iterator[Hit]:
    message = "What the model answers is executed."
    if file.language is Language.SCRIPT:
        script_use, module = script_use_of(file), file.script
        for node in module.calls:
            arguments = module.arguments(node)
            if arguments and called(module.function(node)) in RUNS_CODE | _SQL_IN_SCRIPT:
                direct, elsewhere = script_use.answer(arguments[0])
                if direct:
                    yield file.hit(node, message)
        return
    use = use_of(file)
    for call in file.python.calls:
        what = executed(file.python, call)
        if what is None:
            continue
        direct, elsewhere = use.answer(what)
        if direct or elsewhere:
            yield file.hit(call, message, given=frozenset() if direct else answers_of(elsewhere))


ANSWER_EXECUTED: Final = Check(
    id="GI022",
    name="answer-executed",
    severity=Severity.CRITICAL,
    title="A model's answer is executed as code, command or SQL",
    rationale="Whoever gets a text into the prompt decides what is executed, with the rights of the program. OWASP LLM05.",
    remediation=(
        "Let the model choose among prepared actions (structured output with an enum); run what must be run in a sandbox "
        "without network, with a read-only database user."
    ),
    languages=_BOTH,
    keywords=("eval", "exec", "subprocess", "system", "popen", "read_sql", "query", "function", "prepare"),
    bad=(
        python(
            "from langchain_mistralai import ChatMistralAI\ncode = ChatMistralAI().invoke('Write Python').content\nexec(code)\n"
        ),
        python(
            "from mistralai import Mistral\nclient = Mistral()\ndef ask(text):\n"
            "    return client.chat.complete(model='m', messages=text).choices[0].message.content\n"
            "def run(db, text):\n    sql = ask(text)\n    return db.execute(sql)\n"
        ),
        script(
            'import { Mistral } from "@mistralai/mistralai";\nconst client = new Mistral();\n'
            "const reply = await client.chat.complete({ messages: [] });\neval(reply.choices[0].message.content);\n"
        ),
    ),
    good=(
        python(
            "import ast\nfrom langchain_mistralai import ChatMistralAI\n"
            "value = ast.literal_eval(ChatMistralAI().invoke('A list').content)\n"
        ),
        python(
            "from langchain_mistralai import ChatMistralAI\nname = ChatMistralAI().invoke('A name').content\n"
            "db.execute('select * from t where name = ?', (name,))\n"
        ),
    ),
    inspect=_executed,
)
