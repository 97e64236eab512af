"""A chat engine around a chat engine: turns, answers, sources and memory are guarded."""

import copy
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import replace
from typing import Literal

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine.types import (
    AGENT_CHAT_RESPONSE_TYPE,
    AgentChatResponse,
    BaseChatEngine,
    StreamingAgentChatResponse,
)

from guard_integrations.core.choices import require_choice
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.markup import Render
from guard_integrations.llama_index._memory import CleanMemory, MemoryGuard
from guard_integrations.llama_index._questions import QuestionGuard
from guard_integrations.llama_index._responses import ResponseGuard
from guard_integrations.llama_index._spans import outside_spans
from guard_integrations.llama_index._values import rewrite_tool_output

__all__ = ["GuardedChatEngine"]


class GuardedChatEngine(BaseChatEngine):
    """Guards what a user says, what the engine answers, its sources, and what its memory keeps.

    The engine is copied, not changed; the copy writes to the same memory, through the guard. Where an answer is
    refused, memory keeps the refusal in its place. What the engine's own model shows in events is for a
    `GuardedMistralAI` to guard.

    Args:
        chat_engine: any chat engine of LlamaIndex that keeps its memory in `_memory`, as all its own do.
        policy: what is looked for and what is done about it.
        system_prompt: the model's instructions, which no answer may repeat.
        render: where the answer will be shown.
        vault: the conversation's pseudonyms: personal data becomes tokens on the way in, and values on the way out;
            memory keeps the tokens.
        on_block: `raise` a `GuardBlocked`, or answer the policy's `refusal`.

    Raises:
        TypeError: when the engine has no memory that could be guarded.
        GuardBlocked: from its methods, when a rule blocks and `on_block` is `raise`.

    Example:
        ```python
        from guard_integrations.llama_index import GuardedChatEngine
        from llama_index.core.chat_engine import SimpleChatEngine

        engine = GuardedChatEngine(SimpleChatEngine.from_defaults(llm=llm))
        engine.chat("What is the capital of France?")
        ```
    """

    def __init__(  # noqa: PLR0913 - one argument for each thing a reader decides
        self,
        chat_engine: BaseChatEngine,
        *,
        policy: GuardPolicy | None = None,
        system_prompt: str | None = None,
        render: Render = "markdown",
        vault: PseudonymVault | None = None,
        on_block: Literal["raise", "refuse"] = "raise",
    ) -> None:
        memory = getattr(chat_engine, "_memory", None)
        if memory is None:
            raise TypeError(f"{type(chat_engine).__name__} keeps no `_memory`: what it remembers cannot be guarded.")
        require_choice("on_block", on_block, ("raise", "refuse"))
        policy = policy or GuardPolicy()
        self._refusal = policy.refusal if on_block == "refuse" else None
        self._turns = QuestionGuard(policy, vault=vault, refuses=on_block == "refuse")
        self._remembered = MemoryGuard(policy, system_prompt=system_prompt, render=render, vault=vault)
        self._answers = ResponseGuard(
            OutputSanitizer(policy, system_prompt=system_prompt, render=render, vault=vault),
            refusal=self._refusal,
        )
        self._engine = copy.copy(chat_engine)
        self._engine._memory = CleanMemory(memory, self._remembered)  # type: ignore[attr-defined] # noqa: SLF001 - where LlamaIndex's chat engines keep it

    @outside_spans
    def chat(self, message: str, chat_history: list[ChatMessage] | None = None) -> AGENT_CHAT_RESPONSE_TYPE:
        """Answers one turn.

        Raises:
            GuardBlocked: when a rule blocks the turn or the answer and `on_block` is `raise`.
        """
        turn = self._guard(message)
        if turn is None:
            return AgentChatResponse(response=str(self._refusal))
        return self._answer(self._engine.chat(turn, chat_history=self._history(chat_history)))

    @outside_spans
    async def achat(self, message: str, chat_history: list[ChatMessage] | None = None) -> AGENT_CHAT_RESPONSE_TYPE:
        """The twin of `chat`."""
        turn = self._guard(message)
        if turn is None:
            return AgentChatResponse(response=str(self._refusal))
        return self._answer(await self._engine.achat(turn, chat_history=self._history(chat_history)))

    @outside_spans
    def stream_chat(self, message: str, chat_history: list[ChatMessage] | None = None) -> StreamingAgentChatResponse:
        """Answers one turn in pieces.

        Raises:
            GuardBlocked: when a rule blocks the turn and `on_block` is `raise`; when the answer is blocked, from the
                generator that is read.
        """
        turn = self._guard(message)
        if turn is None:
            return _Refused(str(self._refusal))
        return self._stream(self._engine.stream_chat(turn, chat_history=self._history(chat_history)))

    @outside_spans
    async def astream_chat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> StreamingAgentChatResponse:
        """The twin of `stream_chat`."""
        turn = self._guard(message)
        if turn is None:
            return _Refused(str(self._refusal))
        return self._stream(await self._engine.astream_chat(turn, chat_history=self._history(chat_history)))

    def reset(self) -> None:
        """Forgets the conversation."""
        self._engine.reset()

    @property
    def chat_history(self) -> list[ChatMessage]:
        """The conversation as it is remembered, which is safe."""
        return self._engine.chat_history

    def _guard(self, message: str) -> str | None:
        """The turn made safe; None where it is blocked and a refusal is to be answered."""
        clean = self._turns.clean([message])
        return None if clean is None else clean[0]

    def _history(self, history: list[ChatMessage] | None) -> list[ChatMessage] | None:
        return history and [self._remembered(message) for message in history]

    def _answer(self, response: AGENT_CHAT_RESPONSE_TYPE) -> AGENT_CHAT_RESPONSE_TYPE:
        if isinstance(response, StreamingAgentChatResponse):
            return self._stream(response)
        return self._answers.or_refusal(
            lambda: replace(
                response,
                response=self._answers.text(response.response),
                sources=[rewrite_tool_output(source, self._answers.text) for source in response.sources],
                source_nodes=self._answers.nodes(response.source_nodes),
                metadata=self._answers.value(response.metadata),
            ),
            lambda: AgentChatResponse(response=str(self._refusal)),
        )

    def _stream(self, response: StreamingAgentChatResponse) -> StreamingAgentChatResponse:
        return _Guarded(response, self._answers)


class _Refused(StreamingAgentChatResponse):
    """A stream of nothing but the refusal."""

    def __init__(self, refusal: str) -> None:
        super().__init__(response=refusal)
        self.is_done = True

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """The refusal."""
        yield self.response

    async def async_response_gen(self) -> AsyncGenerator[str, None]:
        """The refusal."""
        yield self.response


class _Guarded(StreamingAgentChatResponse):
    """A streamed answer whose text is guarded as it is read; the engine's own, raw one is kept in closures alone."""

    def __init__(self, raw: StreamingAgentChatResponse, guard: ResponseGuard) -> None:
        super().__init__(
            sources=[rewrite_tool_output(source, guard.text) for source in raw.sources],
            source_nodes=guard.nodes(raw.source_nodes),
        )
        self._tokens: Callable[[], Generator[str, None, None]] = lambda: guard.stream(raw.response_gen)
        self._atokens: Callable[[], AsyncGenerator[str, None]] = lambda: guard.astream(raw.async_response_gen())

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """The answer in safe pieces; it can be read once."""
        for token in self._tokens():
            self._note(token)
            yield token
        self._finish()

    async def async_response_gen(self) -> AsyncGenerator[str, None]:
        """The answer in safe pieces; it can be read once."""
        async for token in self._atokens():
            self._note(token)
            yield token
        self._finish()

    def __str__(self) -> str:
        if not self.is_done:
            for _ in self.response_gen:
                pass
        return self.response

    def _note(self, token: str) -> None:
        self.unformatted_response += token

    def _finish(self) -> None:
        self.response = self.unformatted_response.strip()
        self.is_done = True
