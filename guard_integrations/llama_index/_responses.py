"""Responses of query engines and chat engines, guarded on their way to a reader."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.schema import NodeWithScore

from guard_integrations.core.flow import Flow, Give, Wait, agive, give
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.textguard import Checking
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._values import rewrite_node, rewrite_value

__all__ = ["ResponseGuard"]

_Thing = TypeVar("_Thing")


class ResponseGuard:
    """Guards everything a reader is shown: the answer, streamed or whole, its sources and their metadata.

    Args:
        sanitizer: what cleans the texts.
        refusal: what is answered in place of a blocked response; a block is raised where this is None.
    """

    def __init__(self, sanitizer: OutputSanitizer, *, refusal: str | None = None) -> None:
        self._texts = Checking(sanitizer)
        self._refusal = refusal

    def text(self, text: str) -> str:
        """A text made safe.

        Raises:
            GuardBlocked: when a rule blocks it.
        """
        return self._texts.text(text).text

    def response(self, response: RESPONSE_TYPE) -> RESPONSE_TYPE:
        """A copy of a response, made safe; streams are guarded as they are read.

        Raises:
            GuardBlocked: when a rule blocks it and no refusal is set.
        """
        return self.or_refusal(lambda: self._response(response), lambda: Response(self._refusal))

    def or_refusal(self, guarded: Callable[[], _Thing], refused: Callable[[], _Thing]) -> _Thing:
        """What `guarded` returns, or what `refused` returns where it is blocked and a refusal is set."""
        if self._refusal is None:
            return guarded()
        try:
            return guarded()
        except GuardBlocked:
            return refused()

    def _response(self, response: RESPONSE_TYPE) -> RESPONSE_TYPE:
        sources = self.nodes(response.source_nodes)
        metadata = {key: self.value(value) for key, value in (response.metadata or {}).items()}
        shown: dict[str, Any] = {
            "source_nodes": sources,
            "metadata": metadata if response.metadata is not None else None,
        }
        match response:
            case Response():
                text = response.response
                return replace(response, response=text if text is None else self.text(text), **shown)
            case PydanticResponse():
                return replace(response, response=self.value(response.response), **shown)
            case StreamingResponse():
                shown["response_gen"] = self.stream(response.response_gen)
            case AsyncStreamingResponse():
                shown["response_gen"] = self.astream(response.response_gen)
        text = response.response_txt
        return replace(response, response_txt=text if text is None else self.text(text), **shown)

    def nodes(self, nodes: list[NodeWithScore]) -> list[NodeWithScore]:
        """Copies of nodes with their text and all of their metadata made safe."""
        return [scored.model_copy(update={"node": rewrite_node(scored.node, self.text)}) for scored in nodes]

    def value(self, value: _Thing) -> _Thing:
        """A copy of a value with every string in it made safe."""
        return rewrite_value(value, self.text)

    def stream(self, chunks: Iterator[str]) -> Generator[str, None, None]:
        """The same text in safe chunks; the last one is the refusal where a rule blocks it and a refusal is set."""
        return give(self._guarded(Wait.of(lambda: next(chunks, None))))

    def astream(self, chunks: AsyncIterator[str]) -> AsyncGenerator[str, None]:
        """The twin of `stream`."""
        return agive(self._guarded(Wait.of(lambda: anext(chunks, None))))

    def _guarded(self, following: Wait) -> Flow[str, None]:
        session = self._texts.session()
        blocked = False
        try:
            while (chunk := (yield following)) is not None:
                if clean := session.feed(chunk):
                    yield Give(clean)
            if rest := session.finish():
                yield Give(rest)
        except GuardBlocked:
            if self._refusal is None:
                raise
            blocked = True
        if blocked and self._refusal is not None:
            yield Give(self._refusal)
