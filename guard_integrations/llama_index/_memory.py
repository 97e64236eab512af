"""A chat memory that is written to through a guard."""

from collections.abc import Callable
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, TextBlock
from llama_index.core.memory import BaseMemory

from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.markup import Render
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._messages import BLOCKED_TEXT, TurnGuard, is_answer, rewrite_message, stage_of

__all__ = ["CleanMemory", "MemoryGuard"]


class MemoryGuard:
    """Makes a message fit to be remembered, by its role: turns as what comes in, answers as what goes out."""

    def __init__(
        self,
        policy: GuardPolicy,
        *,
        system_prompt: str | None = None,
        render: Render = "markdown",
        vault: PseudonymVault | None = None,
    ) -> None:
        self._refusal = policy.refusal
        self._turns = TurnGuard(policy, vault=vault)
        self._answers = OutputSanitizer(policy, system_prompt=system_prompt, render=render, vault=vault)

    def __call__(self, message: ChatMessage) -> ChatMessage:
        """A copy of a message made safe; a blocked answer is the refusal alone, a blocked turn says so.

        Pseudonyms stay pseudonyms.
        """
        stage = stage_of(message)
        try:
            if is_answer(message):
                return rewrite_message(message, lambda text: self._answers.sanitize(text, restore=False).text)
            return rewrite_message(message, lambda text: self._turns.text(text, stage)) if stage else message
        except GuardBlocked:
            text = self._refusal if is_answer(message) else BLOCKED_TEXT
        return ChatMessage(role=message.role, blocks=[TextBlock(text=text)])


class CleanMemory:
    """Stands in for a memory: what is put in is made safe first, all else is the memory's own.

    What is read is made safe, too: others may have written to the memory, or it may be older than its guard.
    """

    def __init__(self, memory: BaseMemory, clean: Callable[[ChatMessage], ChatMessage]) -> None:
        self._memory = memory
        self._clean = clean

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the memory has under that name
        if name == "_memory":  # not there yet: somebody is copying or unpickling this
            raise AttributeError(name)
        return getattr(self._memory, name)

    def get(self, *args: Any, **kwargs: Any) -> list[ChatMessage]:  # noqa: ANN401 - the memory's own arguments
        """What is remembered, as far as it matters now."""
        return [self._clean(message) for message in self._memory.get(*args, **kwargs)]

    async def aget(self, *args: Any, **kwargs: Any) -> list[ChatMessage]:  # noqa: ANN401 - as above
        """The twin of `get`."""
        return [self._clean(message) for message in await self._memory.aget(*args, **kwargs)]

    def get_all(self) -> list[ChatMessage]:
        """All that is remembered."""
        return [self._clean(message) for message in self._memory.get_all()]

    async def aget_all(self) -> list[ChatMessage]:
        """The twin of `get_all`."""
        return [self._clean(message) for message in await self._memory.aget_all()]

    def put(self, message: ChatMessage) -> None:
        """Remembers a message."""
        self._memory.put(self._clean(message))

    async def aput(self, message: ChatMessage) -> None:
        """The twin of `put`."""
        await self._memory.aput(self._clean(message))

    def put_messages(self, messages: list[ChatMessage]) -> None:
        """Remembers messages."""
        self._memory.put_messages([self._clean(message) for message in messages])

    async def aput_messages(self, messages: list[ChatMessage]) -> None:
        """The twin of `put_messages`."""
        await self._memory.aput_messages([self._clean(message) for message in messages])

    def set(self, messages: list[ChatMessage]) -> None:
        """Remembers these messages and no others."""
        self._memory.set([self._clean(message) for message in messages])

    async def aset(self, messages: list[ChatMessage]) -> None:
        """The twin of `set`."""
        await self._memory.aset([self._clean(message) for message in messages])
