"""Ways of asking a model that LlamaIndex traces with the arguments they are called with: they are given safe ones.

LlamaIndex puts the arguments of these methods into spans and events before the model's `chat` sees them.
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.prompts.base import BasePromptTemplate, SelectorPromptTemplate

from guard_integrations.llama_index._admitted import found_before
from guard_integrations.llama_index._messages import GuardedTurn, TurnGuard, user_message
from guard_integrations.llama_index._spans import outside_spans

__all__ = [
    "Asked",
    "GuardedStructuredLLM",
    "by_conversation",
    "by_messages",
    "by_prompt",
    "by_template",
    "cleaned",
    "for_object",
    "untraced",
]

_Method = TypeVar("_Method", bound=Callable[..., Any])

_CONVERSED: Final = (
    "tools", "user_msg", "chat_history", "verbose", "allow_parallel_tool_calls", "error_on_no_tool_call",
    "error_on_tool_error",
)  # fmt: skip
"""Arguments of `predict_and_call`, in their order."""
_NO_VARIABLES: Final = frozenset({"prompt", "output_cls", "llm_kwargs"})
"""Arguments of a prediction that are not the template's own."""


class Asked(Protocol):
    """What may be asked: it guards turns, and raises or answers a refusal."""

    on_block: str

    @property
    def _turns(self) -> TurnGuard: ...


Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
"""Of a call: by position, and by name."""

Admit: TypeAlias = Callable[[Asked, Arguments], tuple[Arguments, found_before]]
"""Makes the arguments of a call safe, and says what was found in them."""


def cleaned(method: _Method, admit: Admit) -> _Method:
    """A method of the parent's, called with what `admit` makes of its arguments.

    What was found is told in the call, or nobody knows which call it was; a stream may begin that only when it is read.
    """

    @wraps(method)
    def clean(self: Asked, *args: object, **named: object) -> object:
        (safe, safely), found = admit(self, (args, named))
        with found:
            result = method(self, *safe, **safely)
        return _carried(result, found) if isinstance(result, GeneratorType) else result

    @wraps(method)
    async def aclean(self: Asked, *args: object, **named: object) -> object:
        (safe, safely), found = admit(self, (args, named))
        with found:
            result = await method(self, *safe, **safely)
        return _acarried(result, found) if isinstance(result, AsyncGeneratorType) else result

    chosen = aclean if inspect.iscoroutinefunction(method) else clean
    del chosen.__wrapped__  # or pydantic, and LlamaIndex, would look through it
    return cast("_Method", outside_spans(chosen))


def untraced(method: _Method) -> _Method:
    """A method of the parent's that prepares a conversation, without its span: what it prepares is admitted later.

    It is given a history of its own, for the parent's appends to it.
    """
    inner = getattr(method, "__wrapped__", method)
    signature = inspect.signature(inner)

    def prepare(*args: object, **named: object) -> object:
        given = signature.bind(*args, **named)
        given.arguments["chat_history"] = list(given.arguments.get("chat_history") or ())
        return inner(*given.args, **given.kwargs)

    prepare.__signature__ = signature  # type: ignore[attr-defined] # LlamaIndex asks what the method can take
    return cast("_Method", outside_spans(prepare))


def by_template(self: Asked, given: Arguments) -> tuple[Arguments, found_before]:
    """For what is asked by a template: its arguments have names."""
    return _by_template(self, given, refuses=self.on_block == "refuse")


def for_object(self: Asked, given: Arguments) -> tuple[Arguments, found_before]:
    """The same, where an object is asked for: no refusal fits into one, so that what is blocked is raised."""
    return _by_template(self, given, refuses=False)


def _by_template(self: Asked, given: Arguments, *, refuses: bool) -> tuple[Arguments, found_before]:
    args, named = given
    safe, findings = self._turns.arguments(
        {name: value for name, value in named.items() if name not in _NO_VARIABLES}, refuses=refuses
    )
    found = [*findings]

    def template(value: object) -> object:
        """A template may hold some of its arguments already."""
        known = _filled_in(value) if isinstance(value, BasePromptTemplate) else {}
        clean, findings = self._turns.arguments(known, refuses=refuses)
        found.extend(findings)
        return value if clean == known else cast("BasePromptTemplate", value).partial_format(**clean)

    held = {name: template(value) for name, value in named.items() if name in _NO_VARIABLES}
    return (tuple(map(template, args)), {**held, **safe}), found_before(found)


def by_prompt(self: Asked, given: Arguments) -> tuple[Arguments, found_before]:
    """For what is asked by a prompt, its first argument."""
    (prompt, *args), named = _first("prompt", given)
    turn = self._turns.messages([user_message(prompt)])
    return ((turn.messages[0].content or "", *args), named), _found(turn)


def by_messages(self: Asked, given: Arguments) -> tuple[Arguments, found_before]:
    """For what is asked by messages, its first argument."""
    (messages, *args), named = _first("messages", given)
    turn = self._turns.messages(messages)
    return ((turn.messages, *args), named), _found(turn)


def by_conversation(self: Asked, given: Arguments) -> tuple[Arguments, found_before]:
    """For what is asked with tools, by a user's message, a history, or both."""
    args, named = given
    named = dict(zip(_CONVERSED, args, strict=False)) | named
    said, history = named.pop("user_msg", None), named.pop("chat_history", None) or ()
    said = user_message(said) if isinstance(said, str) else said
    turn = self._turns.messages([*history, *([said] if said else ())])
    return ((), {**named, "chat_history": turn.messages}), _found(turn)


def _filled_in(prompt: BasePromptTemplate) -> dict[str, Any]:
    """The arguments that a template holds already."""
    if isinstance(prompt, SelectorPromptTemplate):
        parts = [prompt.default_template, *(one for _, one in prompt.conditionals or ())]
        return {name: value for part in parts for name, value in _filled_in(part).items()}
    return dict(prompt.kwargs)


def _first(name: str, given: Arguments) -> Arguments:
    """The arguments of a call, the first one by position."""
    args, named = given
    if args:
        return args, named
    return (named[name],), {key: value for key, value in named.items() if key != name}


def _found(turn: GuardedTurn) -> found_before:
    return found_before(turn.findings, turn.blocked)


def _carried(stream: Generator[Any, None, None], found: found_before) -> Generator[Any, None, None]:
    """The same stream, which may admit a conversation at any of its steps."""
    try:
        while True:
            with found:
                piece = next(stream, _OVER)
            if piece is _OVER:
                return
            yield piece
    finally:
        stream.close()


async def _acarried(stream: AsyncGenerator[Any, None], found: found_before) -> AsyncGenerator[Any, None]:
    """The twin of `_carried`."""
    try:
        while True:
            with found:
                piece = await anext(stream, _OVER)
            if piece is _OVER:
                return
            yield piece
    finally:
        await stream.aclose()


_OVER: Final = object()


class GuardedStructuredLLM(StructuredLLM):
    """A guarded model that answers with objects of one class; `as_structured_llm` makes it."""

    @property
    def _turns(self) -> TurnGuard:
        return self.llm._turns  # type: ignore[attr-defined, no-any-return] # noqa: SLF001 - a guarded model's

    @property
    def on_block(self) -> str:
        """What becomes of a conversation that is blocked."""
        return self.llm.on_block  # type: ignore[attr-defined, no-any-return] # a guarded model's

    chat = cleaned(StructuredLLM.chat, by_messages)
    achat = cleaned(StructuredLLM.achat, by_messages)
    stream_chat = cleaned(StructuredLLM.stream_chat, by_messages)
    astream_chat = cleaned(StructuredLLM.astream_chat, by_messages)
    complete = cleaned(StructuredLLM.complete, by_prompt)
    acomplete = cleaned(StructuredLLM.acomplete, by_prompt)
    stream_complete = cleaned(StructuredLLM.stream_complete, by_prompt)
    astream_complete = cleaned(StructuredLLM.astream_complete, by_prompt)
    predict = cleaned(StructuredLLM.predict, by_template)
    apredict = cleaned(StructuredLLM.apredict, by_template)
    stream = cleaned(StructuredLLM.stream, by_template)
    astream = cleaned(StructuredLLM.astream, by_template)
