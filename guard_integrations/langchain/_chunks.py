"""A streamed answer, made safe: its chunks, and the one that ends it."""

from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from guard_integrations.langchain._output import AnswerGuard

__all__ = ["ChunkStream", "ends"]


class ChunkStream:
    """The chunks of one answer, sanitised: what is held comes out before the chunk that ends the answer.

    Args:
        guard: the answer's guard.
    """

    def __init__(self, guard: AnswerGuard) -> None:
        self.guard = guard
        self._ending: list[ChatGenerationChunk] = []
        self._last: ChatGenerationChunk | None = None

    def feed(self, chunk: ChatGenerationChunk) -> list[ChatGenerationChunk]:
        """The chunks that may go out now.

        Raises:
            GuardBlocked: when the policy refuses the answer.
        """
        message = chunk.message
        self._last = chunk
        text = self.guard.feed_text(message)
        if text is not None:
            # Nearly every chunk is a bare piece of text. Building a message anew takes as long as looking through it.
            if text == message.content:
                clean = chunk
            else:
                bare = message.model_copy(update={"content": text})
                clean = chunk.model_copy(update={"message": bare, "text": text})
        else:
            clean = ChatGenerationChunk(
                message=self.guard.feed(message, last=ends(chunk)), generation_info=chunk.generation_info
            )
        if self._ending and not message.content:
            self._ending.append(clean)
            return []
        ready, self._ending = self._ending, []
        if ends(chunk):
            self._ending.append(clean)
        elif _says_something(clean):
            ready.append(clean)
        return ready

    def finish(self, metadata: dict[str, Any] | None = None) -> list[ChatGenerationChunk]:
        """The chunks that were still held; `metadata` is added to the last one's.

        Raises:
            GuardBlocked: when the policy refuses the answer.
        """
        ready = self._ending
        tail = self.guard.finish()
        if tail is not None:
            if self._last is not None:
                tail.id = self._last.message.id
                kept = {
                    key: self._last.message.response_metadata[key]
                    for key in _KEPT
                    if key in self._last.message.response_metadata
                }
                tail.response_metadata = kept
            ready.insert(0, ChatGenerationChunk(message=tail))
        if self._last is not None and (not ready or (metadata and not self._ending)):
            ready.append(ChatGenerationChunk(message=AIMessageChunk(content="", id=self._last.message.id)))
        if metadata and ready:
            message = ready[-1].message
            message.response_metadata = {**message.response_metadata, **metadata}
        return ready


def ends(chunk: ChatGenerationChunk) -> bool:
    """Whether a chunk says that the answer is over."""
    message = chunk.message
    return bool(
        message.response_metadata.get("finish_reason")
        or (chunk.generation_info or {}).get("finish_reason")
        or getattr(message, "chunk_position", None) == "last"
    )


def _says_something(chunk: ChatGenerationChunk) -> bool:
    """Whether a chunk carries anything that a reader of the stream would miss."""
    message = chunk.message
    rest = getattr(message, "usage_metadata", None) or getattr(message, "tool_call_chunks", None)
    return bool(message.content or message.additional_kwargs or rest)


# What LangChain needs to read the content of a chunk: which provider's blocks, and which version of them.
_KEPT = ("model_provider", "output_version")
