"""Mistral's moderation as a stage of a chain: `RunnableModerationGuard() | llm | RunnableModerationGuard(stage="output")`.

It stands apart from the other stages because it alone asks over the network, and because it composes with what comes
behind it.
"""

import warnings
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.messages import BaseMessageChunk
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSequence
from langchain_core.runnables.base import RunnableSerializable, coerce_to_runnable
from langchain_core.runnables.config import patch_config
from langchain_core.runnables.utils import AddableDict
from pydantic import ConfigDict, Field, model_validator

from guard_integrations.core.moderation import (
    ModerationResult,
    Moderator,
    StreamMode,
    abeside,
    ahold,
    arelease,
    beside,
    gate_for,
    hold,
    release,
)
from guard_integrations.core.moderation.pending import asettle, settle
from guard_integrations.langchain._readable import chunk_text, read

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["RunnableModerationGuard"]

_NOTHING: Final = object()
_ADDABLE: Final[tuple[type[Any], ...]] = (str, BaseMessageChunk, AddableDict)


class RunnableModerationGuard(RunnableSerializable[Any, Any]):
    """Hands on what it is given, once Mistral's classifier has found it safe.

    Texts, prompts, messages, documents, and whatever has those inside are read. Of messages the last turn is judged
    in the light of the others. On the output side a stream of text or of message chunks is released as `mode` says;
    a stream of anything else is gathered first.

    With `concurrent=True`, `guard | model` runs both at once and shows nothing of the answer before the verdict. It
    is the model directly behind the guard that runs beside it: in a longer chain, write `prompt | (guard | model)`.
    A hit cancels the generation; a blocking `invoke` cannot be cancelled, so its answer is dropped.

    Args:
        stage: "input" in front of a model, "output" behind it.
        moderator: who judges; without one, a `Moderator` with the environment's keys.
        mode: on the output side, "window" shows each part of a stream after its verdict, "buffer" all of it after
            one verdict, "after" all of it at once and the verdict at the end, which is not safe.
        concurrent: on the input side, moderates beside the generation.

    Raises:
        GuardBlocked: when the classifier finds harm; nothing that was judged harmful has been passed on.
        GuardUnavailable: when it could not judge.

    Example:
        ```python
        from guard_integrations.langchain import RunnableModerationGuard
        from langchain_mistralai import ChatMistralAI

        chain = RunnableModerationGuard(concurrent=True) | ChatMistralAI() | RunnableModerationGuard(stage="output")
        ```
    """

    stage: Literal["input", "output"] = "input"
    moderator: Moderator = Field(default_factory=Moderator, repr=False, exclude=True)
    mode: StreamMode = "window"
    concurrent: bool = False

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.concurrent and self.stage == "output":
            raise ValueError('concurrent=True is for the input: an answer is moderated as it comes, see mode="window"')
        if self.mode == "after":
            warnings.warn('mode="after" shows an answer before its verdict', UserWarning, stacklevel=3)
        return self

    def __or__(self, other: Any) -> RunnableSerializable[Any, Any]:
        """`guard | other`; with `concurrent=True` the two run side by side."""
        if not self.concurrent:
            return super().__or__(other)
        return _ModeratedBeside(guard=self, bound=coerce_to_runnable(other))

    def pipe(self, *others: Any, name: str | None = None) -> RunnableSerializable[Any, Any]:
        """`guard | others[0] | others[1] …`."""
        if not self.concurrent or not others:
            return super().pipe(*others, name=name)
        first = self | others[0]
        return RunnableSequence(first, *others[1:], name=name) if others[1:] else first

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The same value, found safe."""
        return self._call_with_config(self._check, input, config, run_type="guardrail")

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The same value, found safe."""
        return await self._acall_with_config(self._acheck, input, config, run_type="guardrail")

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """The same value, found safe, as a stream."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        """The same value, found safe, as a stream."""

        async def once() -> AsyncIterator[Any]:
            yield input

        async for piece in self.atransform(once(), config, **kwargs):
            yield piece

    def transform(self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """The pieces that were found safe, as soon as they were."""
        source = _ReadOnce(input)
        yield from self._transform_stream_with_config(
            source.traced(), lambda _: self._pieces(source), config, run_type="guardrail"
        )

    async def atransform(  # noqa: D102 - as `transform`
        self,
        input: AsyncIterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        try:
            async for piece in self._atransform_stream_with_config(input, self._apieces, config, run_type="guardrail"):
                yield piece
        finally:
            if close := getattr(input, "aclose", None):
                await close()

    def submit(self, value: object) -> "Future[ModerationResult]":
        """Starts the moderation of everything there is to read in `value`."""
        found = read(value)
        return self.moderator.submit_all(found.texts, found.conversations)

    def _check(self, value: Any) -> Any:
        self._warn_if_alone()
        settle(self.submit(value)).raise_if_unsafe(self.stage)
        return value

    async def _acheck(self, value: Any) -> Any:
        self._warn_if_alone()
        (await asettle(self.submit(value))).raise_if_unsafe(self.stage)
        return value

    def _warn_if_alone(self) -> None:
        if self.concurrent:
            warnings.warn(
                "concurrent=True has no model to run beside, and moderates first: write prompt | (guard | model)",
                UserWarning,
                stacklevel=2,
            )

    def _pieces(self, source: "_ReadOnce") -> Iterator[Any]:
        if source.first is _NOTHING:
            return
        if self.stage == "output" and isinstance(source.first, str | BaseMessageChunk):
            yield from release(source, gate=gate_for(self.mode, chunk_text), judge=self.moderator.submit)
        else:
            yield from self._check(_merged(list(source)))

    async def _apieces(self, pieces: AsyncIterator[Any]) -> AsyncIterator[Any]:
        first = await anext(pieces, _NOTHING)
        if first is _NOTHING:
            return
        rest = _achain(first, pieces)
        if self.stage == "output" and isinstance(first, str | BaseMessageChunk):
            gate = gate_for(self.mode, chunk_text)
            async for piece in arelease(rest, gate=gate, judge=self.moderator.submit):
                yield piece
        else:
            for piece in await self._acheck(_merged([piece async for piece in rest])):
                yield piece


class _ModeratedBeside(RunnableSerializable[Any, Any]):
    """A model that runs while its input is moderated, and whose answer is held until the verdict."""

    guard: RunnableModerationGuard
    bound: Runnable[Any, Any]

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The model's answer to an input that was found safe."""

        def both(value: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Any:
            child = patch_config(config, callbacks=run_manager.get_child())
            verdict = self.guard.submit(value)
            return beside(lambda: self.bound.invoke(value, child, **kwargs), verdict)

        return self._call_with_config(both, input, config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The model's answer to an input that was found safe."""

        async def both(value: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig) -> Any:
            child = patch_config(config, callbacks=run_manager.get_child())
            verdict = self.guard.submit(value)
            return await abeside(self.bound.ainvoke(value, child, **kwargs), verdict)

        return await self._acall_with_config(both, input, config)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """The model's answer, held until its input was found safe."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        """The model's answer, held until its input was found safe."""

        async def once() -> AsyncIterator[Any]:
            yield input

        async for piece in self.atransform(once(), config, **kwargs):
            yield piece

    def transform(self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """The model's answer, held until its input was found safe."""

        def held(
            pieces: Iterator[Any], run_manager: CallbackManagerForChainRun, config: RunnableConfig
        ) -> Iterator[Any]:
            child = patch_config(config, callbacks=run_manager.get_child())
            for value in _merged(list(pieces)):
                verdict = self.guard.submit(value)
                yield from hold(self.bound.stream(value, child, **kwargs), verdict)

        yield from self._transform_stream_with_config(input, held, config)

    async def atransform(
        self,
        input: AsyncIterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        async def held(
            pieces: AsyncIterator[Any], run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
        ) -> AsyncIterator[Any]:
            child = patch_config(config, callbacks=run_manager.get_child())
            for value in _merged([piece async for piece in pieces]):
                verdict = self.guard.submit(value)
                async for piece in ahold(self.bound.astream(value, child, **kwargs), verdict):
                    yield piece

        async for piece in self._atransform_stream_with_config(input, held, config):
            yield piece


class _ReadOnce(Iterator[Any]):
    """A stream that this stage reads by itself, in whichever thread, and LangChain only hears of.

    LangChain gives a stage one copy of its input and traces another, reading it to its end when the reader leaves:
    from another thread than the stage's, which a generator does not allow.
    """

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._seen: deque[Any] = deque()
        self.first: Any = _NOTHING
        self._begun = False

    def traced(self) -> Iterator[Any]:
        """What has been read so far. The first piece is fetched for it, so that the stage before this one starts."""
        self.first = next(self._items, _NOTHING)
        if self.first is not _NOTHING:
            yield self.first
        while self._seen:
            yield self._seen.popleft()

    def __next__(self) -> Any:
        if not self._begun:
            self._begun = True
            return self.first
        item = next(self._items)
        self._seen.append(item)
        return item

    def close(self) -> None:
        """Ends the stage before this one."""
        if close := getattr(self._items, "close", None):
            close()


def _merged(pieces: list[Any]) -> list[Any]:
    """Pieces with those that add up added up; of a parser's snapshots and other whole values each stays."""
    merged: list[Any] = []
    for piece in pieces:
        if merged and isinstance(piece, _ADDABLE) and type(merged[-1]) is type(piece):
            merged[-1] = merged[-1] + piece
        else:
            merged.append(piece)
    return merged


async def _achain(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield first
    async for piece in rest:
        yield piece
