"""What users say, in the system message."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Hit, Language
from guard_integrations.audit.model_use import use_of
from guard_integrations.audit.names import USER_NAMES
from guard_integrations.audit.script_use import script_use_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["USER_IN_SYSTEM"]

_SYSTEM: Final = re.compile(r"(?i)^_?(?:system(?:_?(?:prompt|message|text|instruction)s?)?|persona|instructions)$")
_MESSAGES: Final = re.compile(r"(?:^|\.)(?:SystemMessage|SystemMessagePromptTemplate\.from_template)$")
_VARIABLE: Final = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_ROLES: Final = frozenset({"system", "developer"})


def _in_system(file: SourceFile) -> Iterator[Hit]:
    use = use_of(file)
    told: set[ast.AST] = set()
    for text in (*_named_system(file), *_system_texts(file)):
        built = file.python.resolve(text)
        place = text if isinstance(text, ast.stmt) else file.python.parents.get(built, text)
        place = place if isinstance(place, ast.Assign) else text
        value = place.value if isinstance(place, ast.Assign) else text
        if value in told or built in told:
            continue
        if isinstance(text, ast.expr) and isinstance(built, ast.Constant):
            names = _VARIABLE.findall(built.value) if isinstance(built.value, str) else []
            if file.python.parents.get(text) and _is_template(file, text) and USER_NAMES & set(names):
                told.add(built)
                yield file.hit(text, "The system message has a variable that takes what a user says.")
            continue
        if use.puts_in(value) and not _is_handed_through(file, built):
            told |= {value, built}
            yield file.hit(place, "What a user says becomes part of the system message.")


def _is_handed_through(file: SourceFile, text: ast.AST) -> bool:
    """Whether a text is a parameter as it came, as where messages of one kind are turned into another."""
    while isinstance(text, ast.Attribute | ast.Subscript):
        text = text.value
    if isinstance(text, ast.Name):
        text = file.python.resolve(text)
    function = file.python.function(text) if isinstance(text, ast.arg) else None
    return function is not None and not use_of(file).outside.handler(function)


def _named_system(file: SourceFile) -> Iterator[ast.Assign]:
    """Texts that are put together under a name that says what they are."""
    for node in file.python.nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.JoinedStr() | ast.BinOp() | ast.Call()):
                if _SYSTEM.search(name):
                    yield node


def _system_texts(file: SourceFile) -> Iterator[ast.expr]:
    """What stands where a system message's text belongs."""
    module = file.python
    for node in module.nodes:
        match node:
            case ast.Dict(keys=keys, values=values):
                pairs = {module.constant(key): value for key, value in zip(keys, values, strict=True)}
                role = pairs.get("role")
                if role is not None and module.constant(role) in _ROLES and "content" in pairs:
                    yield pairs["content"]
            case ast.Tuple(elts=[ast.Constant(value="system" | "developer"), text]):
                yield text
            case ast.Call(func=function):
                yield from _system_arguments(file, node, module.name(function))


def _system_arguments(file: SourceFile, call: ast.Call, name: str) -> Iterator[ast.expr]:
    module = file.python
    found: ast.expr | None = None
    if _MESSAGES.search(name):
        found = module.argument(call, "content", 0) or module.argument(call, "template", 0)
    elif name.endswith("ChatMessage"):
        role = module.argument(call, "role")
        if role is not None and "SYSTEM" in ast.unparse(role):
            found = module.argument(call, "content")
    else:
        found = module.argument(call, "system_prompt") or module.argument(call, "system_message")
    if found is not None:
        yield found


def _is_template(file: SourceFile, text: ast.AST) -> bool:
    """Whether a text goes through LangChain's templates, which fill its variables."""
    for above in file.python.above(text):
        if isinstance(above, ast.Call):
            name = file.python.name(above.func)
            return name.endswith(("from_messages", "from_template", "ChatPromptTemplate"))
        if isinstance(above, ast.stmt):
            return False
    return False


def _in_system_script(file: SourceFile) -> Iterator[Hit]:
    use = script_use_of(file)
    for place, text in use.system_texts:
        if use.puts_in(text):
            yield file.hit(place, "What a user says becomes part of the system message.")


def _system(file: SourceFile) -> Iterator[Hit]:
    return _in_system(file) if file.language is Language.PYTHON else _in_system_script(file)


USER_IN_SYSTEM: Final = Check(
    id="GI011",
    name="user-input-in-system-message",
    severity=Severity.HIGH,
    title="What a user says is put into the system message",
    rationale=(
        "A model cannot tell instructions from data within one message. Whoever writes into the system message writes "
        "instructions, and no guard that looks at user messages sees it. OWASP LLM01."
    ),
    remediation=(
        'Put it into a user message: build_safe_messages(system, user_input), or ("human", "{question}") in a '
        "ChatPromptTemplate."
    ),
    languages=frozenset({Language.PYTHON, Language.SCRIPT}),
    keywords=("system", "persona", "instructions"),
    bad=(
        python('def answer(question: str):\n    return [{"role": "system", "content": f"Answer this: {question}"}]\n'),
        python(
            "from langchain_core.prompts import ChatPromptTemplate\ndef answer(user_input):\n"
            '    return ChatPromptTemplate.from_messages([("system", "Talk to " + user_input), ("human", "Go")])\n'
        ),
        python('def answer(question):\n    system = "You answer {}".format(question)\n    return ask(system)\n'),
        python('system_prompt = "Hello %s" % input("Name? ")\n'),
        python(
            "from langchain_core.prompts import ChatPromptTemplate\n"
            'prompt = ChatPromptTemplate.from_messages([("system", "The question is {question}"), ("human", "Go")])\n'
        ),
        script(
            "app.post('/a', (req, res) => {\n"
            "  const messages = [{ role: 'system', content: `You help ${req.body.name}` }];\n  res.json(messages);\n});\n"
        ),
    ),
    good=(
        python(
            'def answer(question):\n    return [{"role": "system", "content": S}, {"role": "user", "content": question}]\n'
        ),
        python(
            'def answer(language, question):\n    system = f"Answer in {language}."\n    return ask(system, question)\n'
        ),
        python(
            "from guard_integrations import InputSanitizer\nguard = InputSanitizer()\ndef answer(question):\n"
            '    return [{"role": "system", "content": f"On {guard.sanitize(question).text}"}]\n'
        ),
        script(
            "app.post('/a', (req, res) => {\n"
            "  res.json([{ role: 'system', content: 'You help.' }, { role: 'user', content: req.body.text }]);\n});\n"
        ),
    ),
    inspect=_system,
)
