"""Where answers become HTML."""

import re
from collections.abc import Iterator
from typing import Final

from ast_grep_py import SgNode

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Example, Hit, Language
from guard_integrations.audit.model_use import answers_of, use_of
from guard_integrations.audit.names import ANSWER_NAME, CLEANS
from guard_integrations.audit.script_use import called, script_use_of
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["UNSAFE_RENDERING"]

_MESSAGE: Final = "What the model answers is shown as HTML."
_MODEL: Final = frozenset({"model"})
_TRUSTS: Final = re.compile(r"(?:^|\.)(?:mark_safe|SafeString|Markup|HTML)$")
_SAFE: Final = re.compile(
    r"\{\{-?\s*([\w.\[\]'\"]+)\s*(?:\|\s*\w+(?::\"[^\"]*\")?\s*)*\|\s*safe\s*(?:\|\s*\w+\s*)*-?\}\}"
)
_UNESCAPED: Final = re.compile(r"\{%-?\s*autoescape\s+(?:false|off)\s*-?%\}(.*?)\{%-?\s*endautoescape", re.DOTALL)
_VARIABLE: Final = re.compile(r"\{\{-?\s*([\w.]+)[^}]*\}\}")
_COMPONENT: Final = re.compile(r"v-html=\"([^\"]+)\"|\{@html\s+([^}]+)\}|\[innerHTML\]=\"([^\"]+)\"")
_TALKS: Final = re.compile(
    r"(?i)\b(?:answer|completion|assistant|usechat|usecompletion|chat|llm|mistral|bot|delta|token)s?\b|getReader|EventSource"
)
_FIXED: Final = re.compile(r"[\"'`\d]|process\.env|import\.meta|[A-Z][A-Z0-9_]+$|JSON\.stringify")
_INSERTS: Final = frozenset(
    {"insertAdjacentHTML", "write", "writeln", "html", "setHTMLUnsafe", "createContextualFragment"}
)


def _in_python(file: SourceFile) -> Iterator[Hit]:
    use, module = use_of(file), file.python
    for call in module.calls:
        value = None
        if _TRUSTS.search(module.name(call.func)):
            value = module.argument(call, "s", 0)
        elif any(
            keyword.arg == "unsafe_allow_html" and module.constant(keyword.value) is True for keyword in call.keywords
        ):
            value = module.argument(call, "body", 0)
        if value is None:
            continue
        direct, elsewhere = use.answer(value)
        if direct or elsewhere:
            given = frozenset() if direct else answers_of(elsewhere)
            # A notebook shows it to the one who runs it.
            yield file.hit(call, _MESSAGE, given=given, severity=Severity.MEDIUM if file.notebook is not None else None)


def _in_script(file: SourceFile) -> Iterator[Hit]:
    module = file.script
    for assignment in module.all("assignment_expression", "augmented_assignment_expression"):
        left, right = assignment.field("left"), assignment.field("right")
        if (
            left is not None
            and right is not None
            and called(left) in {"innerHTML", "outerHTML"}
            and _is_answer(file, right)
        ):
            yield file.hit(assignment, _MESSAGE, given=_MODEL)
    for call in module.calls:
        arguments = module.arguments(call)
        if called(module.function(call)) in _INSERTS and arguments and _is_answer(file, arguments[-1]):
            function = module.function(call)
            if function is not None and not re.match(r"(?:res|response|stream|process|fs)\b", function.text()):
                yield file.hit(call, _MESSAGE, given=_MODEL)
    if "dangerouslySetInnerHTML" in file.text:
        for attribute in module.all("jsx_attribute"):
            inner = attribute.find(kind="pair")
            value = inner.field("value") if inner is not None else None
            dangerous = attribute.text().startswith("dangerouslySetInnerHTML") and not _in_head(attribute)
            if dangerous and value is not None and _is_shown(file, value):
                yield file.hit(attribute, _MESSAGE, given=_MODEL)


def _in_head(attribute: SgNode) -> bool:
    """Whether an attribute belongs to a script or a style, which is a program's own."""
    element = attribute.parent()
    name = element.field("name") if element is not None else None
    return name is not None and name.text().lower() in {"script", "style"}


def _is_answer(file: SourceFile, value: SgNode) -> bool:
    """Whether a value comes from a model, or from a server by a name that says so."""
    use = script_use_of(file)
    direct, _ = use.answer(value)
    if direct:
        return True
    if not _TALKS.search(file.text):
        named = any(ANSWER_NAME.search(origin.text()) for origin in file.script.origins(value, stop=use.cleans))
        return named and use.frameworks
    return use.fetched(value)


def _is_shown(file: SourceFile, value: SgNode) -> bool:
    """Of React's state nobody knows what is in it: what a component that talks to a model shows, unless it cleans."""
    module, use = file.script, script_use_of(file)
    origins = [origin.text() for origin in module.origins(value)]
    if all(_FIXED.match(origin) for origin in origins) or any(
        CLEANS.search(called(module.function(call))) for call in module.calls
    ):
        return False
    return bool(_TALKS.search(file.text)) or use.frameworks


def _in_template(file: SourceFile) -> Iterator[Hit]:
    for match in _SAFE.finditer(file.text):
        if _named(match[1]):
            yield file.hit(match.span(), _MESSAGE, given=_MODEL)
    for block in _UNESCAPED.finditer(file.text):
        for match in _VARIABLE.finditer(file.text, *block.span(1)):
            if _named(match[1]):
                yield file.hit(match.span(), _MESSAGE, given=_MODEL)
    for match in _COMPONENT.finditer(file.text):
        value = next(group for group in match.groups() if group)
        if _named(value.strip()) and not CLEANS.search(value.strip().partition("(")[0].rpartition(".")[2]):
            yield file.hit(match.span(), _MESSAGE, given=_MODEL)


def _named(variable: str) -> bool:
    return bool(ANSWER_NAME.search(variable) or any(ANSWER_NAME.search(part) for part in variable.split(".")))


def _inspect(file: SourceFile) -> Iterator[Hit]:
    match file.language:
        case Language.PYTHON:
            return _in_python(file)
        case Language.SCRIPT:
            return _in_script(file)
        case _:
            return _in_template(file)


UNSAFE_RENDERING: Final = Check(
    id="GI021",
    name="unsafe-rendering",
    severity=Severity.HIGH,
    title="A model's answer is shown as HTML without sanitising it",
    rationale=(
        "An answer repeats what prompts and documents say: a script in one of them runs in the reader's browser, an image "
        "carries the conversation away. OWASP LLM05."
    ),
    remediation=(
        'Show it as text, or clean it first: OutputSanitizer(render="html").sanitize(text), nh3.clean, DOMPurify.sanitize; '
        "leave autoescape on and |safe out."
    ),
    languages=frozenset({Language.PYTHON, Language.SCRIPT, Language.TEMPLATE}),
    keywords=("html", "safe", "markup", "escape", "document.write"),
    bad=(
        python(
            "import streamlit as st\nfrom langchain_mistralai import ChatMistralAI\n"
            "st.markdown(ChatMistralAI().invoke('Hello').content, unsafe_allow_html=True)\n"
        ),
        Example(
            files={
                "app.py": "from mistralai import Mistral\nclient = Mistral()\nclient.chat.complete(model='m', messages=[])\n",
                "templates/a.html": "<p>{{ answer|safe }}</p>\n",
            }
        ),
        Example(
            files={
                "app.py": "from mistralai import Mistral\nclient = Mistral()\nclient.chat.complete(model='m', messages=[])\n",
                "templates/a.html": "{% autoescape false %}<p>{{ answer }}</p>{% endautoescape %}\n",
            }
        ),
        script(
            'import { Mistral } from "@mistralai/mistralai";\nconst client = new Mistral();\n'
            "const reply = await client.chat.complete({});\nbox.innerHTML = reply.choices[0].message.content;\n"
        ),
        Example(
            files={
                "api.ts": 'import { Mistral } from "@mistralai/mistralai";\nnew Mistral().chat.complete({});\n',
                "page.js": 'const data = await (await fetch("/api/chat")).json();\nbox.innerHTML = data.answer;\n',
            }
        ),
    ),
    good=(
        python(
            "import nh3\nimport streamlit as st\nfrom langchain_mistralai import ChatMistralAI\n"
            "st.markdown(nh3.clean(ChatMistralAI().invoke('Hello').content), unsafe_allow_html=True)\n"
            'st.markdown("<style>p { color: red }</style>", unsafe_allow_html=True)\n'
        ),
        Example(files={"templates/a.html": "<p>{{ answer|safe }}</p>\n"}),
        script(
            'import { Mistral } from "@mistralai/mistralai";\nconst client = new Mistral();\n'
            "const reply = await client.chat.complete({});\n"
            "box.innerHTML = DOMPurify.sanitize(reply.choices[0].message.content);\nbox.innerHTML = '';\n"
        ),
    ),
    inspect=_inspect,
)
