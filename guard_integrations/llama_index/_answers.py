"""A model's answer, in the Mistral SDK's own types, made safe piece by piece; a whole answer is a single piece.

Only an allow-list of fields is copied: what is not, such as the tokens in `logprobs`, which repeat the text, cannot
leak.
"""

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from mistralai.client import models
from mistralai.client.types.basemodel import Unset

from guard_integrations.core.findings import Finding
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.textguard import Restoring

__all__ = ["AnswerGuard", "Content", "Piece", "Restorer", "read"]

_Value = TypeVar("_Value")

Content: TypeAlias = str | Sequence[models.ContentChunk] | Unset | None
"""What the SDK allows as the content of an answer or of a delta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of an answer, or all of it.

    Args:
        text: what may be shown of the visible text.
        thinking: likewise, of what the model thinks.
        speaks: whether the thinking is over, for visible text has begun.
        tool_calls: whole.
    """

    text: str = ""
    thinking: str = ""
    speaks: bool = False
    tool_calls: tuple[models.ToolCall, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.thinking or self.tool_calls)

    def __add__(self, other: "Piece") -> "Piece":
        return Piece(
            text=self.text + other.text,
            thinking=self.thinking + other.thinking,
            speaks=self.speaks or other.speaks,
            tool_calls=self.tool_calls + other.tool_calls,
        )

    @property
    def moderated(self) -> str:
        """What moderation reads of it: thinking, visible text, and the arguments of its tool calls."""
        given = [call.function.arguments for call in self.tool_calls]
        texts = [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False, default=str) for each in given]
        # Pieces of a stream are read one after the other: what another kind of text follows ends its line.
        spoken = f"{self.thinking}\n{self.text}" if self.thinking and self.speaks else self.thinking + self.text
        return "".join([spoken, *(f"\n{text}\n" for text in texts if text)])

    @property
    def content(self) -> str | list[models.ContentChunk]:
        """The piece as the API would send it."""
        if not self.thinking:
            return self.text
        thinking: models.ContentChunk = models.ThinkChunk(thinking=[models.TextChunk(text=self.thinking)])
        return [thinking, models.TextChunk(text=self.text)] if self.text else [thinking]


class AnswerGuard:
    """One answer on its way out: `feed` its pieces and then `finish`.

    The visible text is one stream, over however many chunks it is spread. Thinking is another, which ends where
    visible text begins. The arguments of tool calls, which arrive whole, are sanitised value by value, as is all JSON.

    Args:
        sanitizer: what makes a text safe.
        as_json: whether the visible text is JSON, because JSON was asked for: it is sanitised value by value too.
    """

    def __init__(self, sanitizer: OutputSanitizer, *, as_json: bool = False) -> None:
        self._sanitizer = sanitizer
        self._text = sanitizer.json_stream() if as_json else sanitizer.stream(restore=False)
        self._thinking = sanitizer.stream(restore=False)
        self._thinks = False
        self._findings: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        return (*self._findings, *self._text.findings, *self._thinking.findings)

    def feed(self, content: Content, tool_calls: Sequence[models.ToolCall] | Unset | None = None) -> Piece:
        """What may go out now.

        Raises:
            GuardBlocked: when the policy refuses the answer.
        """
        raw = read(content)
        text = raw.text
        thinking = self._thinking.feed(raw.thinking)
        self._thinks = self._thinks or bool(raw.thinking)
        if text and self._thinks:
            self._thinks = False
            thinking += self._thinking.finish()
            self._findings.extend(self._thinking.findings)
            self._thinking = self._sanitizer.stream(restore=False)
        return Piece(
            text=self._text.feed(text),
            thinking=thinking,
            speaks=bool(text),
            tool_calls=tuple(self._call(call) for call in tool_calls or ()),
        )

    def finish(self) -> Piece:
        """What was still held.

        Raises:
            GuardBlocked: when the policy refuses the answer.
        """
        return Piece(text=self._text.finish(), thinking=self._thinking.finish())

    def _call(self, call: models.ToolCall) -> models.ToolCall:
        function = models.FunctionCall(name=call.function.name, arguments=self._value(call.function.arguments))
        return models.ToolCall(function=function, id=call.id, type=call.type, index=call.index)

    def _value(self, value: _Value) -> _Value:
        clean = self._sanitizer.sanitize_value(value)
        self._findings.extend(clean.findings)
        return clean.value


class Restorer:
    """Puts a vault's values back into an answer, after all checks: into its text, and into the arguments of named tools.

    Args:
        vault: holds the values.
        tools: names of the tools whose arguments may hold them.
    """

    def __init__(self, vault: PseudonymVault, tools: Container[str]) -> None:
        self._vault = vault
        self._tools = tools
        self._text = vault.restorer()
        self._thinking = vault.restorer()

    def feed(self, piece: Piece) -> Piece:
        """The piece, as far as it is decided."""
        return Piece(
            text=self._text.feed(piece.text),
            thinking=self._thinking.feed(piece.thinking),
            tool_calls=tuple(self._call(call) for call in piece.tool_calls),
        )

    def finish(self) -> Piece:
        """What was still held."""
        return Piece(text=self._text.finish(), thinking=self._thinking.finish())

    def _call(self, call: models.ToolCall) -> models.ToolCall:
        if call.function.name not in self._tools:
            return call
        restored, _ = Restoring(self._vault, self._tools).arguments(call.function.arguments, call.function.name)
        function = models.FunctionCall(name=call.function.name, arguments=restored)
        return models.ToolCall(function=function, id=call.id, type=call.type, index=call.index)


def read(content: Content) -> Piece:
    """The texts in the content of an answer or of a delta."""
    if isinstance(content, str):
        return Piece(text=content)
    piece = Piece()
    for chunk in content or ():
        if isinstance(chunk, models.TextChunk):
            piece = replace(piece, text=piece.text + chunk.text)
        elif isinstance(chunk, models.ThinkChunk):
            thought = "".join(part.text for part in chunk.thinking if isinstance(part, models.TextChunk))
            piece = replace(piece, thinking=piece.thinking + thought)
    return piece
