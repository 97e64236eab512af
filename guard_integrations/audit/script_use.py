"""How a TypeScript or JavaScript module uses language models: the twin of `model_use`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from ast_grep_py import SgNode

from guard_integrations.audit.acting import ACTS_IN_SCRIPT
from guard_integrations.audit.names import CLEANS, MODEL_NAME, TEXT_METHODS, USER_NAMES
from guard_integrations.audit.source import SourceFile

__all__ = ["ScriptCall", "ScriptUse", "script_use_of"]

_FRAMEWORKS: Final = re.compile(
    r"^(?:@mistralai/|@langchain/|langchain|llamaindex|@llamaindex/|ai\.|@ai-sdk/|openai|@anthropic-ai/)"
)
_SERVERS: Final = re.compile(
    r"^(?:express|fastify|koa|hono|next/server|@nestjs/common|@hapi/hapi|restify|polka|(?:node:)?https?|@sveltejs/kit|h3)(?:\.|$)"
)
_ROUTES: Final = re.compile(r"(?:^|/)(?:app/.*/route|pages/api/.*|.*\+server)\.[mc]?[jt]sx?$")
_LANGCHAIN: Final = frozenset({"invoke", "stream", "streamEvents", "streamLog", "batch"})
_SDK: Final = frozenset({"complete", "stream", "parse", "create"})
_SDK_PARTS: Final = frozenset({"chat", "fim", "agents", "completions", "conversations"})
_AI_SDK: Final = frozenset({"generateText", "streamText", "generateObject", "streamObject"})
_MODELS: Final = re.compile(
    r"(?:^|\.)(?:Chat(?:Mistral|Open|Anthropic|Google|Groq|Ollama)\w*|MistralAI|initChatModel)$"
)
_REQUESTS: Final = frozenset({"req", "request", "ctx", "context", "interaction"})
_ASKS: Final = re.compile(r"(?:^|\.)(?:question|prompt)$|^process\.argv")
_FUNCTIONS: Final = frozenset({"function_declaration", "function_expression", "arrow_function", "method_definition"})
_MESSAGES: Final = re.compile(r"(?:^|\.)SystemMessage$")
_SYSTEM_KEYS: Final = frozenset({"system", "systemPrompt", "instructions"})
_ROLES: Final = frozenset({"system", "developer"})
_Key = tuple[int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptCall:
    """A place where a model is asked.

    Args:
        node: the call.
        prompts: what it is asked.
        streams: whether the answer comes piece by piece.
    """

    node: SgNode
    prompts: tuple[SgNode, ...]
    streams: bool


@lru_cache(maxsize=2)
def script_use_of(file: SourceFile) -> "ScriptUse":
    """How a file uses models, worked out once for all checks."""
    return ScriptUse(file)


class ScriptUse:
    """What one module does with models.

    Args:
        file: a TypeScript or JavaScript file.
    """

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.module = file.script

    @cached_property
    def frameworks(self) -> bool:
        """Whether the module imports a framework or an SDK of language models."""
        return any(_FRAMEWORKS.match(name) for name in self.module.imports.values())

    @cached_property
    def server(self) -> bool:
        """Whether the module answers people over a network."""
        named = any(_SERVERS.match(name) for name in self.module.imports.values())
        return named or bool(_ROUTES.search(self.file.path))

    @cached_property
    def made(self) -> tuple[SgNode, ...]:
        """Where chat models are made."""
        module = self.module
        return tuple(call for call in module.calls if _MODELS.search(module.name(module.function(call))))

    @cached_property
    def calls(self) -> tuple[ScriptCall, ...]:
        """Where models are asked, in the order of the text."""
        found = [each for call in self.module.calls if (each := self._model_call(call)) is not None]
        known = {key_of(each.node) for each in found}
        prompting = self._prompting(found)
        found += [
            ScriptCall(node=call, prompts=tuple(self.module.arguments(call)), streams=False)
            for call in (self.module.calls if prompting else ())
            if key_of(call) not in known and called(self.module.function(call)) in prompting
        ]
        return tuple(sorted(found, key=lambda each: each.node.range().start.index))

    @cached_property
    def sites(self) -> tuple[SgNode, ...]:
        """Where a model comes in: where one is made, or an SDK or the API itself is called, in the order of the text."""
        direct = [each.node for each in self.calls if self._is_sdk(each.node) or self._is_http(each.node)]
        return tuple(sorted([*self.made, *direct], key=lambda call: call.range().start.index))

    @cached_property
    def answering(self) -> frozenset[str]:
        """The functions of the module that return what a model answers."""
        names: set[str] = set()
        for _ in range(2):
            for node in self.module.all("return_statement") if self.calls else ():
                value = next((child for child in node.children() if child.is_named()), None)
                name = function_name(node)
                if value is not None and name and name not in names and self._answers(value, frozenset(names))[0]:
                    names.add(name)
        return frozenset(names)

    def answer(self, node: SgNode) -> tuple[bool, frozenset[str]]:
        """Whether a value holds what a model answers, uncleaned; else the functions of other modules it may come from."""
        return self._answers(node, self.answering)

    def fetched(self, node: SgNode) -> bool:
        """Whether a value comes from a server."""
        origins = self.module.origins(node, stop=self.cleans)
        return any(called(self.module.function(each)) in {"fetch", "axios"} for each in origins if is_call(each))

    def user(self, node: SgNode) -> bool:
        """Whether a value holds what a user says, and no guard has seen it."""
        return any(self._said(origin) for origin in self.module.origins(node, stop=self._takes_request))

    def puts_in(self, node: SgNode) -> bool:
        """Whether a text has what a user says put into it; what a function chooses by it is another matter."""
        origins = self.module.origins(node, stop=self._makes_something_else)
        return any(self._said(origin) for origin in origins)

    def _makes_something_else(self, call: SgNode) -> bool:
        return self._takes_request(call) or called(self.module.function(call)) not in TEXT_METHODS

    def _takes_request(self, call: SgNode) -> bool:
        """Whether a call cleans, or is handed the whole request: what it makes of that (a session, a place) is no text."""
        return self.cleans(call) or any(argument.text() in _REQUESTS for argument in self.module.arguments(call))

    def cleans(self, call: SgNode) -> bool:
        """Whether what comes out of a call is checked or cleaned."""
        return bool(CLEANS.search(called(self.module.function(call))))

    @cached_property
    def system_texts(self) -> tuple[tuple[SgNode, SgNode], ...]:
        """What stands where a system message's text belongs: the place to name, and the text."""
        found: dict[_Key, tuple[SgNode, SgNode]] = {}
        for text in self._system_texts():
            built = self.module.resolve(text)
            place = built if text.kind() in {"identifier", "shorthand_property_identifier"} else text
            found.setdefault(key_of(place), (place, built))
        return tuple(found.values())

    def _system_texts(self) -> Iterator[SgNode]:
        module = self.module
        for node in module.all("object"):
            role = module.property(node, "role")
            if role is not None and module.constant(role) in _ROLES and (text := module.property(node, "content")):
                yield text
        for node in module.all("array"):
            parts = [child for child in node.children() if child.is_named()]
            if len(parts) == 2 and module.constant(parts[0]) in _ROLES:  # noqa: PLR2004 - LangChain's pair of role and text
                yield parts[1]
        for call in module.calls:
            name = module.name(module.function(call))
            arguments = module.arguments(call)
            if _MESSAGES.search(name) and arguments:
                yield module.property(arguments[0], "content") or arguments[0]
            elif called(module.function(call)) in _AI_SDK | {"createAgent", "createReactAgent"}:
                yield from (text for key in _SYSTEM_KEYS if (text := module.option(call, key)) is not None)

    def _said(self, origin: SgNode) -> bool:
        if is_call(origin):
            function = self.module.function(origin)
            return bool(_ASKS.search(called(function))) and "readline" in self.file.text
        text = origin.text()
        if text in USER_NAMES or text.startswith("process.argv"):
            return self._parameter_of_function(origin)
        return text in _REQUESTS and (self.server or "req" in text)

    def _parameter_of_function(self, origin: SgNode) -> bool:
        return origin.kind() in {"identifier", "shorthand_property_identifier_pattern", "member_expression"}

    def _ends(self, call: SgNode) -> bool:
        """Whether what comes out of a call is no answer: it is clean, or what came of running the answer."""
        return self.cleans(call) or called(self.module.function(call)) in ACTS_IN_SCRIPT

    def _answers(self, node: SgNode, answering: frozenset[str]) -> tuple[bool, frozenset[str]]:
        asked = {key_of(each.node) for each in self.calls}
        elsewhere: set[str] = set()
        for origin in self.module.origins(node, stop=self._ends):
            if not is_call(origin):
                continue
            function = self.module.function(origin)
            name = called(function)
            if key_of(origin) in asked or name in answering:
                return True, frozenset()
            if self._of_project(function):
                elsewhere.add(name)
        return False, frozenset(elsewhere)

    def _of_project(self, function: SgNode | None) -> bool:
        """Whether a function is imported from another file of the project, or belongs to what is handed in."""
        return self.module.name(function).startswith((".", "@/", "~/", "this.")) or (
            function is not None and function.text().startswith("this.")
        )

    def _prompting(self, found: list[ScriptCall]) -> frozenset[str]:
        """The functions that put parameters, which nobody knows to be a user's, into a prompt."""
        names: set[str] = set()
        for each in found:
            if any(self.user(prompt) for prompt in each.prompts):
                continue
            name = function_name(each.node)
            origins = (origin for prompt in each.prompts for origin in self.module.origins(prompt, stop=self.cleans))
            if name and any(self.module.is_parameter(origin) for origin in origins):
                names.add(name)
        return frozenset(names)

    def _model_call(self, call: SgNode) -> ScriptCall | None:
        function = self.module.function(call)
        name = called(function)
        arguments = self.module.arguments(call)
        if self._is_sdk(call) or self._is_http(call):
            streams = name.startswith("stream") or self.module.constant(self.module.option(call, "stream")) == "true"
            return ScriptCall(node=call, prompts=tuple(arguments), streams=streams)
        if name in _AI_SDK and self.module.name(function).startswith("ai."):
            return ScriptCall(node=call, prompts=tuple(arguments), streams=name.startswith("stream"))
        if name in _LANGCHAIN and self._is_runnable(function):
            return ScriptCall(node=call, prompts=tuple(arguments[:1]), streams=name.startswith("stream"))
        return None

    def _is_sdk(self, call: SgNode) -> bool:
        function = self.module.function(call)
        receiver = function.field("object") if function is not None else None
        name = called(function)
        if name in _AI_SDK:
            return self.module.name(function).startswith("ai.")
        return name in _SDK and receiver is not None and called(receiver) in _SDK_PARTS

    def _is_http(self, call: SgNode) -> bool:
        if called(self.module.function(call)) not in {"post", "fetch", "request", "axios"}:
            return False
        arguments = self.module.arguments(call)
        return bool(arguments) and "/chat/completions" in (
            self.module.constant(arguments[0]) or arguments[0].text()[:200]
        )

    def _is_runnable(self, function: SgNode | None) -> bool:
        receiver = function.field("object") if function is not None else None
        if receiver is None:
            return False
        if _FRAMEWORKS.match(self.module.name(receiver)):
            return True
        return bool(MODEL_NAME.search(called(receiver))) and (
            self.frameworks or self.module.name(receiver).startswith(".")
        )


def called(function: SgNode | None) -> str:
    """The last part of the name of what is called."""
    if function is None:
        return ""
    part = function.field("property")
    return (part or function).text() if part is not None or function.kind() == "identifier" else ""


def is_call(node: SgNode) -> bool:
    """Whether a node is a call."""
    return node.kind() in {"call_expression", "new_expression"}


def function_name(node: SgNode) -> str:
    """The name of the function that a node stands in, if it has one."""
    for above in node.ancestors():
        if above.kind() not in _FUNCTIONS:
            continue
        if (name := above.field("name")) is not None:
            return name.text()
        parent = above.parent()
        name = parent.field("name") if parent is not None and parent.kind() == "variable_declarator" else None
        return name.text() if name is not None else ""
    return ""


def key_of(node: SgNode) -> _Key:
    """What tells nodes apart."""
    place = node.range()
    return place.start.index, place.end.index, node.kind()
