"""The arguments of tool calls that come in pieces, sanitised value by value as they come."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from langchain_core.messages import ToolCallChunk
from langchain_core.messages.tool import tool_call_chunk

from guard_integrations.core.findings import Finding
from guard_integrations.core.textguard import TextGuard

if TYPE_CHECKING:
    from guard_integrations.core.sanitizer.json_stream import TextSession

__all__ = ["CallStream"]


class CallStream:
    """The calls of one answer, by their index; LangChain puts the pieces of a call together by it.

    Args:
        texts: what is done to each text.
        name: makes a tool's name safe.
    """

    def __init__(self, texts: TextGuard, name: Callable[[str | None], str | None]) -> None:
        self._texts = texts
        self._name = name
        self._open: dict[int, TextSession] = {}
        self._late: list[ToolCallChunk] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        return tuple(found for session in self._open.values() for found in session.findings)

    def feed(
        self, pieces: Sequence[ToolCallChunk], *, begins: bool, last: bool
    ) -> tuple[list[ToolCallChunk], list[ToolCallChunk]]:
        """What may go out now, and the pieces that are not for this stream.

        Args:
            pieces: the next ones.
            begins: whether a call that is new may begin a stream; else its pieces are given back.
            last: whether they came in the chunk that ends the answer: they go out with `finish`, ahead of it.
        """
        shown: list[ToolCallChunk] = []
        others: list[ToolCallChunk] = []
        for piece in pieces:
            index = piece["index"]
            if index is None or (index not in self._open and not begins):
                others.append(piece)
            else:
                (self._late if last else shown).append(self._fed(piece, index))
        return shown, others

    def finish(self) -> list[ToolCallChunk]:
        """What was still held."""
        for index, session in self._open.items():
            rest = session.finish()
            if rest:
                self._late.append(tool_call_chunk(args=rest, index=index))
        return self._late

    def _fed(self, piece: ToolCallChunk, index: int) -> ToolCallChunk:
        name = piece["name"]
        if index not in self._open:
            self._open[index] = self._texts.json(name or "")
        args = piece["args"]
        return {**piece, "name": self._name(name), "args": self._open[index].feed(args) if args else args}
