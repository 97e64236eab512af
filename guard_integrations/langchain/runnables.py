"""Stages for a chain: `RunnableInputGuard() | llm | RunnableOutputSanitizer()`."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.base import RunnableSerializable
from pydantic import ConfigDict, Field, PrivateAttr

from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.markup import Render
from guard_integrations.core.textguard import Checking
from guard_integrations.langchain._input import InputGuard
from guard_integrations.langchain._stream import OutputStream, sanitize_output
from guard_integrations.langchain._structure import same
from guard_integrations.langchain._values import guard_value

__all__ = ["RunnableInputGuard", "RunnableOutputSanitizer"]


class RunnableInputGuard(RunnableSerializable[Any, Any]):
    """Makes what comes in safe, and hands on the same type: a text, a prompt, messages, a dictionary, documents.

    Messages are scanned by their role: a user's as input, a tool's as a tool result, documents as documents; system
    and assistant messages go on as they are. The whole input is needed for a verdict, so a stream is gathered first.

    Args:
        policy: what to look for and what to do about it.
        vault: the conversation's pseudonyms: personal data becomes tokens. Give the same one to the sanitizer.
        wrap: puts each user text into `<user_query>…</user_query>`, so that the system prompt can speak of it.
        keys: of a dictionary, the only keys that hold untrusted text; all of them where none is named.

    Raises:
        GuardBlocked: when the policy refuses the input.

    Example:
        ```python
        from guard_integrations.langchain import RunnableInputGuard, RunnableOutputSanitizer
        from langchain_mistralai import ChatMistralAI

        chain = RunnableInputGuard() | ChatMistralAI() | RunnableOutputSanitizer()
        ```
    """

    policy: GuardPolicy = Field(default_factory=GuardPolicy, repr=False)
    vault: PseudonymVault | None = Field(default=None, repr=False, exclude=True)
    wrap: bool = False
    keys: tuple[str, ...] | None = None

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    _made: tuple[tuple[Any, ...], InputGuard] | None = PrivateAttr(default=None)

    @property
    def _guard(self) -> InputGuard:
        # A copy with another policy carries this attribute over: what was made is for these settings only.
        settings = (self.policy, self.vault, self.wrap)
        if self._made is None or not same(self._made[0], settings):
            self._made = (settings, InputGuard(self.policy, vault=self.vault, wrap=self.wrap))
        return self._made[1]

    def __getstate__(self) -> dict[Any, Any]:
        """Without what was compiled: it is made anew where it is needed."""
        return {**super().__getstate__(), "__pydantic_private__": {"_made": None}}

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The same value made safe."""
        return self._call_with_config(self._sanitize, input, config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The same value made safe."""

        async def sanitize(value: Any) -> Any:
            return self._sanitize(value)

        return await self._acall_with_config(sanitize, input, config)

    def _sanitize(self, value: Any) -> Any:
        return guard_value(self._guard, value, keys=self.keys)


class RunnableOutputSanitizer(RunnableSerializable[Any, Any]):
    """Makes what comes out safe, and hands on the same type: a text, a message, a parser's value. A real stream.

    Streaming gives what the whole would give, for every chunking; a character is held only while more text could
    make it part of something to take out. The model's own callbacks have seen the raw answer by then: where they
    must not, use `GuardedChatMistralAI`.

    Args:
        policy: what to look for and what to do about it.
        system_prompt: the instructions that no answer may repeat; without it none are looked for.
        render: where the text will be shown; only in "markdown" do the rules for markup leave code alone.
        vault: the conversation's pseudonyms: their values are put back, after all checks.

    Raises:
        GuardBlocked: when the policy refuses the answer.

    Example:
        ```python
        from guard_integrations.langchain import RunnableOutputSanitizer
        from langchain_core.output_parsers import StrOutputParser

        chain = prompt | llm | StrOutputParser() | RunnableOutputSanitizer()
        for text in chain.stream({"question": "…"}):
            print(text, end="")
        ```
    """

    policy: GuardPolicy = Field(default_factory=GuardPolicy, repr=False)
    system_prompt: str | None = Field(default=None, repr=False, exclude=True)
    render: Render = "markdown"
    vault: PseudonymVault | None = Field(default=None, repr=False, exclude=True)

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    _made: tuple[tuple[Any, ...], Checking] | None = PrivateAttr(default=None)

    @property
    def _texts(self) -> Checking:
        # A copy with another policy carries this attribute over: what was made is for these settings only.
        settings = (self.policy, self.system_prompt, self.render, self.vault)
        if self._made is None or not same(self._made[0], settings):
            sanitizer = OutputSanitizer(
                self.policy, system_prompt=self.system_prompt, render=self.render, vault=self.vault
            )
            self._made = (settings, Checking(sanitizer))
        return self._made[1]

    def __getstate__(self) -> dict[Any, Any]:
        """Without what was compiled: it is made anew where it is needed."""
        return {**super().__getstate__(), "__pydantic_private__": {"_made": None}}

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The same value made safe."""
        return self._call_with_config(self._sanitize, input, config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The same value made safe."""

        async def sanitize(value: Any) -> Any:
            return self._sanitize(value)

        return await self._acall_with_config(sanitize, input, config)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """The same value made safe, as a stream."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        """The same value made safe, as a stream."""

        async def once() -> AsyncIterator[Any]:
            yield input

        async for piece in self.atransform(once(), config, **kwargs):
            yield piece

    def transform(self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """What may go on of each piece, as soon as it may."""
        yield from self._transform_stream_with_config(input, self._pieces, config)

    async def atransform(  # noqa: D102 - as `transform`
        self,
        input: AsyncIterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        async for piece in self._atransform_stream_with_config(input, self._apieces, config):
            yield piece

    def _sanitize(self, value: Any) -> Any:
        return sanitize_output(self._texts, value)

    def _pieces(self, pieces: Iterator[Any]) -> Iterator[Any]:
        stream = OutputStream(self._texts)
        for piece in pieces:
            yield from stream.feed(piece)
        yield from stream.finish()

    async def _apieces(self, pieces: AsyncIterator[Any]) -> AsyncIterator[Any]:
        stream = OutputStream(self._texts)
        async for piece in pieces:
            for clean in stream.feed(piece):
                yield clean
        for clean in stream.finish():
            yield clean
