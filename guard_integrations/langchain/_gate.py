"""Holds the chunks of an answer until moderation has passed them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeAlias

from langchain_core.outputs import ChatGenerationChunk

from guard_integrations.core.moderation.windows import Gate, StreamMode, Window, gate_for
from guard_integrations.langchain._messages import moderated_text

if TYPE_CHECKING:
    from concurrent.futures import Future

    from guard_integrations.core.moderation.decision import ModerationResult

__all__ = ["ChunkGate", "Passage"]

Passage: TypeAlias = "Generator[Future[ModerationResult], ModerationResult, None]"


class ChunkGate:
    """Chunks go in with `add`; `take` gives those that may be shown.

    Verdicts are fetched while the model goes on writing, and looked at when the next chunk comes.

    Args:
        mode: when a chunk is released.
        submit: starts the moderation of a text.
    """

    def __init__(self, mode: StreamMode, submit: "Callable[[str], Future[ModerationResult]]") -> None:
        self._submit = submit
        self._gate: Gate[ChatGenerationChunk] = gate_for(mode, lambda chunk: moderated_text(chunk.message))
        self._passed: list[ChatGenerationChunk] = []
        self._pending: deque[tuple[Window[ChatGenerationChunk], Future[ModerationResult]]] = deque()

    def add(self, chunks: Iterable[ChatGenerationChunk], *, over: bool) -> Passage:
        """Takes chunks that are clean, and yields each verdict that has to be waited for.

        Raises:
            GuardBlocked: when a verdict refuses the answer.
        """
        for chunk in chunks:
            self._judge(self._gate.feed(chunk))
        if over:
            self._judge(self._gate.finish())
        while self._pending and (over or self._pending[0][1].done()):
            window, verdict = self._pending.popleft()
            self._gate.verdict(window, (yield verdict))
            # Before the next verdict, which may shut the gate: what has passed has passed.
            self._passed += self._gate.ready()

    def take(self) -> list[ChatGenerationChunk]:
        """What may be shown now, also after a refusal; each chunk is given once."""
        passed, self._passed = [*self._passed, *self._gate.ready()], []
        return passed

    def close(self) -> None:
        """Cancels what is still being fetched."""
        for _, verdict in self._pending:
            verdict.cancel()

    def _judge(self, window: Window[ChatGenerationChunk] | None) -> None:
        if window is not None and window.text is not None:
            self._pending.append((window, self._submit(window.text)))
