"""How a Python module uses language models: where it makes and calls them, what users say, what models answer.

Recognised by what the frameworks call things: LangChain's runnables and agents, LlamaIndex's engines and agents, the
SDKs of Mistral and those that speak alike, and plain HTTP. A function of the module that puts its parameters into a
prompt is taken for a model itself.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

from guard_integrations.audit.acting import executed
from guard_integrations.audit.guards import guards_named
from guard_integrations.audit.model import Guard
from guard_integrations.audit.names import CLEANS, MODEL_NAME, TEXT_METHODS
from guard_integrations.audit.outside import Outside
from guard_integrations.audit.source import SourceFile

__all__ = ["ModelCall", "ModelUse", "answers_of", "use_of"]

_LANGCHAIN: Final = frozenset({"invoke", "ainvoke", "stream", "astream", "astream_events", "batch", "abatch"})
_ENGINES: Final = frozenset({"query", "aquery", "chat", "achat", "stream_chat", "astream_chat"})
_SDK: Final = frozenset({"complete", "complete_async", "stream", "stream_async", "parse", "create"})
_SDK_PARTS: Final = frozenset({"chat", "fim", "agents", "completions", "conversations"})
_PROMPTS: Final = ("messages", "input", "inputs", "prompt", "message", "user_msg", "question", "query", "json", "data")
_MODELS: Final = re.compile(
    r"(?:^|\.)(?:Chat(?:Mistral|Open|Google|Azure|Vertex|Ollama|Groq|Cohere|Anthropic|Bedrock)\w*|init_chat_model)$"
    r"|^llama_index\.llms\.[\w.]+\.[A-Z]\w+$|^llama_index\.llms\.\w+\.[A-Z]\w+$"
)
_CLIENTS: Final = re.compile(r"^(?:mistralai\.[\w.]*Mistral|openai\.(?:Async)?OpenAI|anthropic\.(?:Async)?Anthropic)$")
_FRAMEWORKS: Final = ("langchain", "langgraph", "langserve", "llama_index", "mistralai", "openai", "anthropic")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """A place where a model is asked.

    Args:
        node: the call.
        prompts: what it is asked.
        streams: whether the answer comes piece by piece.
    """

    node: ast.Call
    prompts: tuple[ast.expr, ...]
    streams: bool


@lru_cache(maxsize=1024)
def _is_there(root: Path, name: str) -> bool:
    """Whether a project has a package or a module of a name."""
    return any((root / each).exists() for each in (name, f"{name}.py", f"src/{name}", f"src/{name}.py"))


def answers_of(functions: frozenset[str]) -> frozenset[str]:
    """The traits of files in which these functions return what a model answers."""
    return frozenset(f"answers:{name}" for name in functions)


@lru_cache(maxsize=2)
def use_of(file: SourceFile) -> "ModelUse":
    """How a file uses models, worked out once for all checks."""
    return ModelUse(file)


class ModelUse:
    """What one module does with models.

    Args:
        file: a Python file.
    """

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.module = file.python
        self.outside = Outside(file.python)
        self._root = Path(file.project.root)

    @cached_property
    def frameworks(self) -> bool:
        """Whether the module imports a framework or an SDK of language models."""
        return any(name.startswith(_FRAMEWORKS) for name in self.module.imports.values())

    @cached_property
    def made(self) -> tuple[ast.Call, ...]:
        """Where chat models are made."""
        if not self.frameworks:
            return ()
        return tuple(call for call in self.module.calls if _MODELS.search(self.module.name(call.func)))

    @cached_property
    def clients(self) -> tuple[ast.Call, ...]:
        """Where models, or the clients that ask them, are made."""
        if not self.frameworks:
            return ()
        made = set(self.made)
        return tuple(call for call in self.module.calls if call in made or _CLIENTS.search(self.module.name(call.func)))

    @cached_property
    def calls(self) -> tuple[ModelCall, ...]:
        """Where models are asked, in the order of the text."""
        found = [each for call in self.module.calls if (each := self._model_call(call)) is not None]
        known = {each.node for each in found}
        prompting = self._prompting(found)
        for call in self.module.calls:
            function = call.func.attr if isinstance(call.func, ast.Attribute) and _is_self(call.func) else None
            function = call.func.id if isinstance(call.func, ast.Name) else function
            if call not in known and function in prompting:
                arguments = (*call.args, *(keyword.value for keyword in call.keywords))
                found.append(ModelCall(node=call, prompts=arguments, streams=False))
        return tuple(sorted(found, key=lambda each: (each.node.lineno, each.node.col_offset)))

    @cached_property
    def sites(self) -> tuple[ast.Call, ...]:
        """Where a model comes in: where one is made or an SDK is called, in the order of the text."""
        direct = (each.node for each in self.calls if self._is_sdk(each.node) or _is_http(self, each.node))
        return tuple(sorted({*self.made, *direct}, key=lambda call: (call.lineno, call.col_offset)))

    @cached_property
    def answering(self) -> frozenset[str]:
        """The functions of the module that return what a model answers."""
        names: set[str] = set()
        for _ in range(2 if self.calls else 0):
            names |= {
                function.name
                for node in self.module.nodes
                if isinstance(node, ast.Return | ast.Yield) and node.value is not None
                if (function := self.module.function(node)) is not None and function.name not in names
                if self._answers(node.value, frozenset(names))[0]
            }
        return frozenset(names)

    def answer(self, node: ast.AST) -> tuple[bool, frozenset[str]]:
        """Whether a value holds what a model answers, uncleaned; else the functions of other modules it may come from."""
        return self._answers(node, self.answering)

    def streamed(self, node: ast.AST) -> bool:
        """Whether a value is a piece of a stream."""
        streams = {each.node for each in self.calls if each.streams}
        return any(origin in streams for origin in self.module.origins(node))

    def user(self, node: ast.AST) -> bool:
        """Whether a value holds what a user says, and no guard has seen it."""
        return any(self.outside.said(origin) for origin in self.module.origins(node, stop=self._guards))

    def forgotten(self, call: ModelCall) -> bool:
        """Whether a call has no guard in a module where another has one: nothing further out guards for both.

        Only of a chain or client that is put together in the module, of known parts, is it known that it has none.
        """
        if self._has_guard(call, sure=False) or not self._is_bare(call):
            return False
        return any(self._has_guard(other, sure=True) for other in self.calls)

    def _has_guard(self, call: ModelCall, *, sure: bool) -> bool:
        """Whether a guard stands in a call's chain, or is called in its function: one known by its library, if `sure`."""
        function = call.node.func
        receiver = function.value if isinstance(function, ast.Attribute) else function
        scope = self.module.function(call.node)
        around = [node.func for node in ast.walk(scope) if isinstance(node, ast.Call)] if scope is not None else []
        for part in (*self.module.stages(receiver), *around):
            last = part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
            if guards_named(self.module.name(part)) & _SHIELDS or (not sure and CLEANS.search(last)):
                return True
        return False

    def _is_bare(self, call: ModelCall) -> bool:
        function = call.node.func
        if not isinstance(function, ast.Attribute) or any(
            keyword.arg == "guardrails" for keyword in call.node.keywords
        ):
            return False
        names = [self.module.name(stage) for stage in self.module.stages(function.value)]
        return all(name.startswith(_FRAMEWORKS) for name in names)

    def puts_in(self, node: ast.AST) -> bool:
        """Whether a text has what a user says put into it; what a function chooses by it is another matter."""
        return any(self.outside.said(origin) for origin in self.module.origins(node, stop=self._makes_something_else))

    def _makes_something_else(self, call: ast.Call) -> bool:
        last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        return last not in TEXT_METHODS

    def _guards(self, call: ast.Call) -> bool:
        name = self.module.name(call.func)
        last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        return bool(guards_named(name) & {Guard.INPUT, Guard.MODERATION} or CLEANS.search(last) or name in _MEASURES)

    def cleans(self, call: ast.Call) -> bool:
        """Whether what comes out of a call is clean of what a model may have put in."""
        name = self.module.name(call.func)
        last = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        return bool(Guard.OUTPUT in guards_named(name) or CLEANS.search(last) or name in _MEASURES)

    def _ends(self, call: ast.Call) -> bool:
        """Whether what comes out of a call is no answer: it is clean, or what came of running the answer."""
        return self.cleans(call) or executed(self.module, call) is not None

    def _answers(self, node: ast.AST, answering: frozenset[str]) -> tuple[bool, frozenset[str]]:
        asked = {each.node for each in self.calls}
        elsewhere: set[str] = set()
        for origin in self.module.origins(node, stop=self._ends):
            if not isinstance(origin, ast.Call):
                continue
            function = origin.func
            last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            local = isinstance(function, ast.Name) or _is_self(function)
            if origin in asked or (local and last in answering):
                return True, frozenset()
            if self._of_project(function):
                elsewhere.add(last)
        return False, frozenset(elsewhere)

    def _of_project(self, node: ast.AST) -> bool:
        """Whether something is imported from another file of the project."""
        name = self.module.name(node)
        return name.startswith(".") or (
            "." in name and _is_there(self._root, name.partition(".")[0].removesuffix("()"))
        )

    def _prompting(self, found: list[ModelCall]) -> frozenset[str]:
        """The functions that put parameters, which nobody knows to be a user's, into a prompt."""
        names: set[str] = set()
        for each in found:
            function = self.module.function(each.node)
            if function is None or any(self.user(prompt) for prompt in each.prompts):
                continue
            origins = (origin for prompt in each.prompts for origin in self.module.origins(prompt, stop=self._guards))
            if any(isinstance(origin, ast.arg) and origin.arg not in {"self", "cls"} for origin in origins):
                names.add(function.name)
        return frozenset(names)

    def _model_call(self, call: ast.Call) -> ModelCall | None:  # noqa: PLR0911 - one case per framework
        function = call.func
        if not isinstance(function, ast.Attribute):
            return None
        flag = self.module.argument(call, "stream")
        streams = "stream" in function.attr or (flag is not None and self.module.constant(flag) is True)
        if self._is_sdk(call):
            return ModelCall(node=call, prompts=tuple(self._prompts(call)), streams=streams)
        if function.attr in _LANGCHAIN and self._is_runnable(function):
            return ModelCall(node=call, prompts=tuple(self._prompts(call))[:1], streams=streams)
        if function.attr in _ENGINES and self._is_engine(function.value):
            return ModelCall(node=call, prompts=tuple(self._prompts(call))[:1], streams=streams)
        if function.attr == "run" and self.module.argument(call, "user_msg") is not None:
            return ModelCall(node=call, prompts=tuple(self._prompts(call))[:1], streams=False)
        if _is_http(self, call):
            return ModelCall(node=call, prompts=tuple(self._prompts(call)), streams=False)
        return None

    def _prompts(self, call: ast.Call) -> Iterator[ast.expr]:
        yield from call.args
        yield from (keyword.value for keyword in call.keywords if keyword.arg in _PROMPTS)

    def _is_sdk(self, call: ast.Call) -> bool:
        match call.func:
            case ast.Attribute(attr=attr, value=ast.Attribute(attr=part)) if attr in _SDK and part in _SDK_PARTS:
                return attr != "create" or part in {"completions", "conversations"}
            case _:
                return False

    def _is_runnable(self, function: ast.Attribute) -> bool:
        if function.attr in {"ainvoke", "astream", "astream_events", "abatch"}:
            return True
        names = [self.module.name(stage) for stage in self.module.stages(function.value)]
        if any(name.startswith(_FRAMEWORKS) or "guard_integrations" in name for name in names):
            return True
        last = function.value.attr if isinstance(function.value, ast.Attribute) else getattr(function.value, "id", "")
        return bool(MODEL_NAME.search(last)) and (self.frameworks or self._of_project(function.value))

    def _is_engine(self, receiver: ast.expr) -> bool:
        name = self.module.name(receiver)
        if re.search(r"\bas_(?:query|chat)_engine\(\)|^llama_index\.", name):
            return True
        last = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
        engine = re.search(r"(?:^|_)(?:engine|llm)$", last)
        return bool(engine) and (self._of_project(receiver) or "llama_index" in self.file.text)


_SHIELDS: Final = frozenset({Guard.INPUT, Guard.MODERATION})
_MEASURES: Final = frozenset({"len", "type", "id", "hash", "bool", "int", "float"})


def _is_http(use: ModelUse, call: ast.Call) -> bool:
    """Whether a call posts a conversation: to a URL that says so, or with `model` and `messages` in its body."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in {"post", "request", "stream"}:
        return False
    if any("/chat/completions" in str(use.module.constant(argument)) for argument in call.args):
        return True
    passed = use.module.argument(call, "json")
    body = use.module.resolve(passed) if passed is not None else None
    keys = {use.module.constant(key) for key in body.keys} if isinstance(body, ast.Dict) else set()
    return {"model", "messages"} <= keys


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
