"""What a guarded model has said, as LlamaIndex's responses."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from mistralai.client import models

from guard_integrations.llama_index._answers import read
from guard_integrations.llama_index._client import CONTENT_FILTER

__all__ = [
    "Said", "answered", "arefusing", "asaid_in", "completed", "completion_refused", "refused", "refusing", "said_in",
]  # fmt: skip


class Said:
    """What a model has said so far."""

    def __init__(self, show_thinking: bool) -> None:  # noqa: FBT001 - one switch, as MistralAI names it
        self._show_thinking = show_thinking
        self._text = ""
        self._thinking = ""
        self._calls: list[ToolCallBlock] = []

    def take(self, said: models.AssistantMessage | models.DeltaMessage) -> tuple[str, str]:
        """Notes a piece; gives its visible text and its thinking."""
        piece = read(said.content)
        visible = piece.thinking + piece.text if self._show_thinking else piece.text
        self._text += visible
        self._thinking += piece.thinking
        self._calls += [
            ToolCallBlock(tool_call_id=call.id, tool_name=call.function.name, tool_kwargs=call.function.arguments)
            for call in said.tool_calls or ()
        ]
        return visible, piece.thinking

    def add(self, event: models.CompletionEvent) -> ChatResponse:
        """The response to a piece: what is new in `delta`, all that there is in `message`."""
        choice = event.data.choices[0]
        delta, thinking = self.take(choice.delta)
        if choice.finish_reason == CONTENT_FILTER:
            return refused(delta, streamed=True, raw=event)
        return ChatResponse(
            message=self.message(choice.finish_reason),
            delta=delta,
            raw=event,
            additional_kwargs={"thinking_delta": thinking} if thinking else {},
        )

    def message(self, finish_reason: str | None) -> ChatMessage:
        """All that there is."""
        if finish_reason == CONTENT_FILTER:
            return RefusedMessage(self._text)
        blocks: list[ContentBlock] = [TextBlock(text=self._text), *self._calls]
        if self._thinking:
            blocks.insert(0, ThinkingBlock(content=self._thinking))
        kind = ChatMessage if len(blocks) == 1 else ManyBlocks
        return kind(role=MessageRole.ASSISTANT, blocks=blocks)


class ManyBlocks(ChatMessage):
    """A message of several blocks that a chat engine may still put its whole text into.

    Before 0.14.23, LlamaIndex does that by `content`, which refuses a message of several blocks.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name == "content" and isinstance(value, str):
            others = [block for block in self.blocks if not isinstance(block, TextBlock)]
            self.blocks = [*others, TextBlock(text=value)]
        else:
            super().__setattr__(name, value)


class RefusedMessage(ChatMessage):
    """A refusal that stays alone: a chat engine which puts all it has streamed into the last message cannot."""

    def __init__(self, refusal: str = "", **_: Any) -> None:  # noqa: ANN401 - what a copy is made of
        super().__init__(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=refusal)])

    def __setattr__(self, name: str, value: object) -> None:
        if name != "blocks":
            super().__setattr__(name, value)


def refused(refusal: str, *, streamed: bool = False, raw: models.CompletionEvent | None = None) -> ChatResponse:
    """The response in place of one that was blocked."""
    return ChatResponse(
        message=RefusedMessage(refusal),
        delta=refusal if streamed else None,
        raw=raw or {"choices": [{"finish_reason": CONTENT_FILTER}]},
    )


def refusing(refusal: str) -> Generator[ChatResponse, None, None]:
    """A stream of nothing but the refusal."""
    yield refused(refusal, streamed=True)


async def arefusing(refusal: str) -> AsyncGenerator[ChatResponse, None]:
    """The twin of `refusing`."""
    yield refused(refusal, streamed=True)


def answered(answer: models.ChatCompletionResponse, show_thinking: bool) -> ChatResponse:  # noqa: FBT001 - one switch, as MistralAI names it
    """The response to a whole answer."""
    said = Said(show_thinking)
    for choice in answer.choices[:1]:
        if choice.message is not None:
            said.take(choice.message)
    return ChatResponse(
        message=said.message(answer.choices[0].finish_reason if answer.choices else None), raw=dict(answer)
    )


def said_in(
    events: Generator[models.CompletionEvent, None, None],
    show_thinking: bool,  # noqa: FBT001 - as above
) -> Generator[ChatResponse, None, None]:
    """The responses to a streamed answer; closing them closes it."""
    said = Said(show_thinking)
    try:
        for event in events:
            yield said.add(event)
    finally:
        events.close()


async def asaid_in(
    events: AsyncGenerator[models.CompletionEvent, None],
    show_thinking: bool,  # noqa: FBT001 - as above
) -> AsyncGenerator[ChatResponse, None]:
    """The twin of `said_in`."""
    said = Said(show_thinking)
    try:
        async for event in events:
            yield said.add(event)
    finally:
        await events.aclose()


def completion_refused(refusal: str) -> CompletionResponse:
    """The completion in place of one that was blocked."""
    return CompletionResponse(text=refusal, raw={"choices": [{"finish_reason": CONTENT_FILTER}]})


def completed(answer: models.ChatCompletionResponse) -> CompletionResponse:
    """The completion that fills a middle."""
    said = Said(show_thinking=False)
    for choice in answer.choices[:1]:
        if choice.message is not None:
            said.take(choice.message)
    return CompletionResponse(text=said.message(None).content or "", raw=dict(answer))
