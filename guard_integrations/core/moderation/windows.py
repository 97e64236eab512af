"""How an answer that is still being written is released: what is judged together, and what may go out when. Pure.

An answer is cut into windows. A window is judged as soon as it is complete, while the next one is being written, and
goes out when it and all before it were found safe. With each window the end of the text before it is judged again, so
that harm which stands across a border is read whole.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from guard_integrations.core.findings import Stage
from guard_integrations.core.moderation.decision import ModerationResult

__all__ = ["OVERLAP", "WINDOW", "After", "Gate", "Hold", "StreamMode", "Window", "Windows", "gate_for"]

StreamMode: TypeAlias = Literal["window", "buffer", "after"]
"""`window`: each part goes out after its verdict. `buffer`: everything, after one verdict on the whole.
`after`: everything at once, and the verdict at the end; the reader has seen it by then."""

WINDOW = 400
"""Characters, the length at which a window is complete at the latest; from the half of it on, a sentence's end is.
The first window has a quarter of that and the second a half, so that the reader soon sees a beginning."""
_FIRST = (4, 2)
OVERLAP = 200
"""Characters of the text before a window that are judged with it."""

T = TypeVar("T")

_SENTENCE_ENDS = (".", "!", "?", "…", "\n", "。", "！", "？")  # noqa: RUF001 - full-width marks end sentences, too


@dataclass(slots=True, kw_only=True, eq=False)
class Window(Generic[T]):
    """What is judged at once.

    Args:
        items: the pieces that go out together.
        text: what is judged, the overlap and the window's own text; None when there is nothing to judge.
        passed: whether it was found safe.
    """

    items: list[T] = field(repr=False)
    text: str | None = field(repr=False)
    passed: bool = False


class Gate(Protocol[T]):
    """Between a stream and its reader: `feed` it the pieces, `finish`, report each `verdict`, take what is `ready`."""

    @property
    def stage(self) -> Stage:
        """Where the text that it judges stands."""

    @property
    def early(self) -> bool:
        """Whether there may be a verdict to act on before the answer is over."""

    def feed(self, item: T, /) -> Window[T] | None:
        """Takes the next piece; returns a window that is to be judged now."""

    def finish(self) -> Window[T] | None:
        """Ends the stream; returns a last window that is to be judged now."""

    def verdict(self, window: Window[T], result: ModerationResult, /) -> None:
        """Notes what was said about a window.

        Raises:
            GuardBlocked: when it is not safe; from then on nothing is ready.
        """

    def ready(self) -> list[T]:
        """The pieces that may go out now, in their order; each is given once."""


class Windows(Generic[T]):
    """The gate that opens window by window.

    Whatever the order in which verdicts come, pieces leave in the order they came in, each once, and none that was
    not judged. After an unsafe verdict nothing leaves.

    Args:
        text_of: the text in a piece, all of it.
        stage: where the text stands.
        size: characters in a window, at most, and what is left of its last piece; None for one window of everything.
    """

    def __init__(self, text_of: Callable[[T], str], *, stage: Stage, size: int | None) -> None:
        self._text_of = text_of
        self.stage: Stage = stage
        self.early = size is not None
        self._size = size
        self._items: list[T] = []
        self._texts: list[str] = []
        self._length = 0
        self._before = ""
        self._queue: deque[Window[T]] = deque()
        self._refused = False
        self._closed = 0

    def feed(self, item: T) -> Window[T] | None:
        """Takes the next piece; returns the window that it completes."""
        text = self._text_of(item)
        self._items.append(item)
        self._texts.append(text)
        self._length += len(text)
        if self._size is None:
            return None
        most = self._size if self._closed >= len(_FIRST) else self._size // _FIRST[self._closed]
        ended = self._length >= most // 2 and text.rstrip(" ").endswith(_SENTENCE_ENDS)
        return self._close() if ended or self._length >= most else None

    def finish(self) -> Window[T] | None:
        """Ends the answer; returns its last window."""
        return self._close() if self._items else None

    def verdict(self, window: Window[T], result: ModerationResult) -> None:
        """Opens for a window, once all before it have passed."""
        self._refused = self._refused or not result.safe
        result.raise_if_unsafe(self.stage)
        window.passed = True

    def ready(self) -> list[T]:
        """The pieces of the windows that have passed."""
        out: list[T] = []
        while self._queue and self._queue[0].passed and not self._refused:
            out += self._queue.popleft().items
        return out

    def _close(self) -> Window[T]:
        own = "".join(self._texts)
        blank = not own.strip()
        window = Window(items=self._items, text=None if blank else self._before + own, passed=blank)
        self._before = (self._before + own)[-OVERLAP:]
        self._items, self._texts, self._length = [], [], 0
        self._closed += 1
        self._queue.append(window)
        return window


class After(Generic[T]):
    """The gate that stands open, and says in the end whether it should have."""

    def __init__(self, text_of: Callable[[T], str], *, stage: Stage) -> None:
        self._text_of = text_of
        self.stage: Stage = stage
        self.early = False
        self._texts: list[str] = []
        self._ready: list[T] = []

    def feed(self, item: T) -> None:
        """Takes the next piece and lets it out."""
        self._texts.append(self._text_of(item))
        self._ready.append(item)

    def finish(self) -> Window[T] | None:
        """Ends the answer; returns all of it."""
        text = "".join(self._texts)
        return Window(items=[], text=text) if text.strip() else None

    def verdict(self, window: Window[T], result: ModerationResult) -> None:
        """Raises for an answer that has been read already."""
        result.raise_if_unsafe(self.stage)
        window.passed = True

    def ready(self) -> list[T]:
        """Whatever has come."""
        out, self._ready = self._ready, []
        return out


class Hold(Generic[T]):
    """The gate that keeps an answer until there is a verdict on the input that it answers."""

    def __init__(self) -> None:
        self.stage: Stage = "input"
        self.early = True
        self._held: list[T] = []
        self._open = False

    def feed(self, item: T) -> None:
        """Takes the next piece."""
        self._held.append(item)

    def finish(self) -> None:
        """Ends the answer."""

    def verdict(self, window: Window[T], result: ModerationResult) -> None:
        """Opens for good, or raises."""
        result.raise_if_unsafe(self.stage)
        window.passed = self._open = True

    def ready(self) -> list[T]:
        """Everything that was held, once it is open."""
        out: list[T] = []
        if self._open:
            out, self._held = self._held, out
        return out


def gate_for(mode: StreamMode, text_of: Callable[[T], str], *, stage: Stage = "output", size: int = WINDOW) -> Gate[T]:
    """A gate for one answer.

    Args:
        mode: when pieces go out.
        text_of: the text in a piece, all of it, tool calls too.
        stage: where the text stands.
        size: characters in a window.
    """
    if mode == "after":
        return After(text_of, stage=stage)
    return Windows(text_of, stage=stage, size=size if mode == "window" else None)
