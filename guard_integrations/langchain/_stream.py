"""A stage's stream of whatever a chain carries, sanitised piece by piece."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, BaseMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables.utils import AddableDict

from guard_integrations.core.textguard import TextGuard
from guard_integrations.langchain._chunks import ChunkStream
from guard_integrations.langchain._output import AnswerGuard
from guard_integrations.langchain._structure import grows, parts, with_parts

__all__ = ["OutputStream", "sanitize_output"]

_NOTHING: Final = object()


def sanitize_output(texts: TextGuard, value: Any) -> Any:
    """A copy of a whole value, of the same type, with every text in it made safe.

    Raises:
        GuardBlocked: when the policy refuses it.
    """
    if isinstance(value, str):
        return texts.text(value).text
    if isinstance(value, BaseMessage):
        return AnswerGuard(texts).whole(value)
    return with_parts(value, lambda _, part: sanitize_output(texts, part))


class OutputStream:
    """One stream through the sanitizer: `feed` what comes in, `finish` at its end; both give what may go on.

    Pieces that add up (strings, message chunks, LangChain's addable dictionaries) go through as pieces. Anything
    else replaces what came before it, as the snapshots of `JsonOutputParser` do: each leaves out what may not yet
    be shown, and the last equals what the whole would give.
    """

    def __init__(self, texts: TextGuard) -> None:
        self._texts = texts
        self._text = texts.session()
        self._chunks: ChunkStream | None = None
        self._keys: dict[Any, OutputStream] = {}
        self._addable: type[AddableDict] = AddableDict
        self._snapshots = _Snapshots(texts)

    def feed(self, value: Any) -> Iterable[Any]:
        """What may go on now."""
        if isinstance(value, str):
            return _if_any(self._text.feed(value))
        if isinstance(value, BaseMessageChunk):
            if self._chunks is None:
                self._chunks = ChunkStream(AnswerGuard(self._texts))
            return (chunk.message for chunk in self._chunks.feed(ChatGenerationChunk(message=value)))
        if isinstance(value, AddableDict):
            self._addable = type(value)
            return [
                self._addable({key: piece})
                for key, part in value.items()
                for piece in self._keys.setdefault(key, OutputStream(self._texts)).feed(part)
            ]
        if isinstance(value, (BaseMessage, Document, PromptValue)):
            return (sanitize_output(self._texts, value),)
        return self._snapshots.feed(value)

    def finish(self) -> Iterator[Any]:
        """What was still held."""
        yield from _if_any(self._text.finish())
        if self._chunks is not None:
            yield from (chunk.message for chunk in self._chunks.finish())
        for key, stream in self._keys.items():
            yield from (self._addable({key: piece}) for piece in stream.finish())
        yield from self._snapshots.finish()


class _Snapshots:
    """Values of which each replaces the one before. They go out one behind, for only the next says if one was whole."""

    def __init__(self, texts: TextGuard) -> None:
        self._texts = texts
        self._last: Any = _NOTHING
        self._shown: Any = _NOTHING
        self._path: tuple[Any, ...] | None = None
        self._session = texts.session()
        self._fed = self._out = ""

    def feed(self, value: Any) -> Iterator[Any]:
        last, self._last = self._last, value
        if last is not _NOTHING:
            yield from self._show(self._so_far(last) if grows(last, value) else sanitize_output(self._texts, last))

    def finish(self) -> Iterator[Any]:
        if self._last is not _NOTHING:
            yield from self._show(sanitize_output(self._texts, self._last))

    def _show(self, value: Any) -> Iterator[Any]:
        if self._shown is _NOTHING or value != self._shown:
            self._shown = value
            yield value

    def _so_far(self, value: Any) -> Any:
        """The value with its last text, which may still grow, as far as it may be shown."""
        path, text = _last_text(value)
        if path != self._path or not text.startswith(self._fed):
            self._session = self._texts.session()
            self._path, self._fed, self._out = path, "", ""
        self._out += self._session.feed(text[len(self._fed) :])
        self._fed = text
        return self._replace(value, path)

    def _replace(self, value: Any, path: tuple[Any, ...] | None) -> Any:
        if path is None:
            return sanitize_output(self._texts, value)
        if not path:
            return self._out
        return with_parts(value, lambda key, part: self._replace(part, path[1:] if key == path[0] else None))


def _if_any(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _last_text(value: object) -> tuple[tuple[Any, ...] | None, str]:
    """Where the last text of a value stands, as keys from outside in, and that text; None where it ends otherwise."""
    if isinstance(value, str):
        return (), value
    found = None if isinstance(value, BaseMessage) else parts(value)
    last = list(found)[-1:] if found is not None else []
    for key, part in last:
        path, text = _last_text(part)
        return (None if path is None else (key, *path)), text
    return None, ""
