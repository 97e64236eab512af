"""The way out: a model's answer made safe, whole or piece by piece, in every place where it carries text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, BaseMessageChunk

from guard_integrations.core.findings import Finding
from guard_integrations.core.textguard import TextGuard
from guard_integrations.langchain._call_stream import CallStream
from guard_integrations.langchain._messages import CALL_KEYS, Channel, Content, map_content, map_value

if TYPE_CHECKING:
    from guard_integrations.core.sanitizer.json_stream import TextSession

__all__ = ["AnswerGuard"]

_Message = TypeVar("_Message", bound=BaseMessage)

# In the content of a chunk these blocks hold a piece of a JSON text, which means nothing before it is whole.
_PIECES = frozenset({"tool_call_chunk", "server_tool_call_chunk"})


class AnswerGuard:
    """One answer on its way out: `feed` its chunks and then `finish`, or hand it over `whole`.

    The visible text is one stream, over however many blocks it is spread. Thinking is another, which ends where
    visible text begins. All JSON is sanitised value by value, and that of tool calls as it comes where it comes in one form alone.

    Args:
        texts: what is done to each text.
        as_json: whether the visible text is JSON, because JSON was asked for.
    """

    def __init__(self, texts: TextGuard, *, as_json: bool = False) -> None:
        self._texts = texts
        self.as_json = as_json
        self._sessions: dict[Channel, TextSession] = {}
        self._calls: AIMessageChunk | None = None
        self._streamed = CallStream(texts, self._name)
        self._findings: list[Finding] = []
        self._blocks = False
        self._reasons = False
        self._index: dict[Channel, Any] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        found = (found for session in self._sessions.values() for found in session.findings)
        return (*self._findings, *found, *self._streamed.findings)

    def whole(self, message: _Message) -> _Message:
        """A copy of a whole message made safe.

        Raises:
            GuardBlocked: when the policy refuses it.
        """
        return message.model_copy(
            update={"content": self._whole_content(message.content), **self._clean_calls(message)}
        )

    def _whole_content(self, content: Content) -> Content:
        if isinstance(content, str):
            return self._json_text(content) if self.as_json else self._clean(content)
        texts: list[str] = []
        last: dict[Channel, int] = {}

        def collect(channel: Channel, text: str) -> str:
            last[channel] = len(texts)
            texts.append(self._visit(channel, text))
            return text

        map_content(content, collect)
        for channel, tail in (("thinking", self._end("thinking")), ("text", self._end("text"))):
            if tail:
                texts[last[channel]] += tail  # type: ignore[index] # what has a tail has been visited
        replaced = iter(texts)
        return map_content(content, lambda *_: next(replaced))

    def feed(self, chunk: BaseMessageChunk, *, last: bool = False) -> BaseMessageChunk:
        """A copy of a chunk with what may go out now: text that is final, and arguments as far as they are.

        Args:
            chunk: the next one.
            last: whether it ends the answer: what it holds of tool calls comes with `finish`, ahead of it.

        Raises:
            GuardBlocked: when the policy refuses the answer.
        """
        content, pieces = _without_pieces(chunk.content)
        self._note_blocks(content)
        clean = self._feed_content(content)
        update: dict[str, Any] = {"content": clean}
        if isinstance(chunk, AIMessageChunk):
            raw = {key: value for key, value in chunk.additional_kwargs.items() if key in CALL_KEYS}
            # What says the same in another form as well is shown when all of it is there.
            begins = not (raw or pieces or last)
            shown, held = self._streamed.feed(chunk.tool_call_chunks, begins=begins, last=last)
            if held or pieces or raw:
                calls = AIMessageChunk(content=pieces, additional_kwargs=raw, tool_call_chunks=held)
                self._calls = calls if self._calls is None else self._calls + calls
            said = AIMessageChunk(content="", tool_call_chunks=shown)
            update |= {name: getattr(said, name) for name in ("tool_call_chunks", "tool_calls", "invalid_tool_calls")}
        update["additional_kwargs"] = self._clean_kwargs(
            {key: value for key, value in chunk.additional_kwargs.items() if key not in CALL_KEYS}
        )
        return chunk.model_copy(update=update)

    def _feed_content(self, content: Content) -> Content:
        if "thinking" not in self._sessions and isinstance(content, str):
            return self._visit("text", content)
        texts: list[str] = []
        last = -1
        speaks = False

        def collect(channel: Channel, text: str) -> str:
            nonlocal last, speaks
            last = len(texts) if channel == "thinking" else last
            speaks = speaks or bool(channel == "text" and text)
            texts.append(self._visit(channel, text))
            return text

        map_content(content, collect)
        tail = self._end_thinking() if speaks else ""
        if tail and last >= 0:
            texts[last] += tail
        replaced = iter(texts)
        clean = map_content(content, lambda *_: next(replaced))
        if not tail or last >= 0:
            return clean
        return [self._thinking_block(tail), *([self._text_block(clean)] if isinstance(clean, str) else clean)]

    def feed_text(self, chunk: BaseMessageChunk) -> str | None:
        """What may go out now of a chunk that is a piece of text and nothing else; None for any other chunk.

        Raises:
            GuardBlocked: when the policy refuses the answer.
        """
        if not isinstance(chunk.content, str) or chunk.additional_kwargs or getattr(chunk, "tool_call_chunks", None):
            return None
        if "thinking" in self._sessions:
            return None
        return self._visit("text", chunk.content) if chunk.content else ""

    def finish(self) -> AIMessageChunk | None:
        """What was still held, as a last chunk; None when nothing was.

        Raises:
            GuardBlocked: when the policy refuses the answer.
        """
        thinking, text = self._end("thinking"), self._end("text")
        content: Content = text
        if self._blocks or thinking:
            content = [
                *([self._thinking_block(thinking)] if thinking else []),
                *([self._text_block(text)] if text else []),
            ]
        calls, late = self._calls, self._streamed.finish()
        if calls is None:
            return AIMessageChunk(content=content, tool_call_chunks=late) if content or late else None
        pieces = [self._held_piece(piece) for piece in calls.content if isinstance(piece, dict)]
        return AIMessageChunk(
            content=[*content, *pieces] if isinstance(content, list) or pieces else content,
            additional_kwargs=self._clean_kwargs(calls.additional_kwargs),
            tool_call_chunks=[*late, *map(self._held_piece, calls.tool_call_chunks)],
        )

    def arguments(self, value: Any, tool: str | None) -> Any:
        """A tool's arguments made safe, value by value; JSON where there is no tool.

        Raises:
            GuardBlocked: when the policy refuses them.
        """
        clean, findings = self._texts.arguments(value, tool)
        self._findings.extend(findings)
        return clean

    # -- texts -------------------------------------------------------------------------------------------------

    def _visit(self, channel: Channel, text: str) -> str:
        if channel == "value":
            return self._clean(text)
        if channel not in self._sessions:
            as_json = self.as_json and channel == "text"
            self._sessions[channel] = self._texts.json() if as_json else self._texts.session()
        return self._sessions[channel].feed(text)

    def _end_thinking(self) -> str:
        """What was held of thinking that is over, for visible text has begun."""
        session = self._sessions.pop("thinking", None)
        if session is None:
            return ""
        tail = session.finish()
        self._findings.extend(session.findings)
        return tail

    def _end(self, channel: Channel) -> str:
        return self._sessions[channel].finish() if channel in self._sessions else ""

    def _clean(self, text: str) -> str:
        clean = self._texts.text(text)
        self._findings.extend(clean.findings)
        return clean.text

    # -- blocks ------------------------------------------------------------------------------------------------

    def _note_blocks(self, content: Content) -> None:
        """Remembers where text stands, so that what is held comes out in the block that it belongs to."""
        if isinstance(content, str):
            return
        self._blocks = True
        for block in content:
            if isinstance(block, dict) and "index" in block:
                thinks = block.get("type") in {"thinking", "reasoning"}
                self._index["thinking" if thinks else "text"] = block["index"]
                self._reasons = block.get("type") == "reasoning" if thinks else self._reasons

    def _text_block(self, text: str) -> dict[str, Any]:
        return {"type": "text", "text": text, **self._position("text")}

    def _thinking_block(self, text: str) -> dict[str, Any]:
        if self._reasons:
            return {"type": "reasoning", "reasoning": text, **self._position("thinking")}
        return {
            "type": "thinking",
            "thinking": [{"type": "text", "text": text, "index": 0}],
            **self._position("thinking"),
        }

    def _position(self, channel: Channel) -> dict[str, Any]:
        return {"index": self._index[channel]} if channel in self._index else {}

    # -- tool calls --------------------------------------------------------------------------------------------

    def _clean_calls(self, message: BaseMessage) -> dict[str, Any]:
        update: dict[str, Any] = {"additional_kwargs": self._clean_kwargs(message.additional_kwargs)}
        if isinstance(message, AIMessage):
            update["tool_calls"] = [
                {**call, "name": self._name(call["name"]), "args": self.arguments(call["args"], call["name"])}
                for call in message.tool_calls
            ]
            update["invalid_tool_calls"] = [
                {
                    **call,
                    "name": self._name(call["name"]),
                    "args": self._json_text(call["args"], call["name"]) if call["args"] else call["args"],
                    # LangChain quotes the arguments in its message.
                    "error": self._clean(call["error"]) if call["error"] else call["error"],
                }
                for call in message.invalid_tool_calls
            ]
        return update

    def _held_piece(self, piece: Mapping[str, Any]) -> Any:
        args, name = piece.get("args"), piece.get("name")
        clean = self._json_text(args, name or "") if isinstance(args, str) and args else args
        return {**piece, "name": self._name(name), "args": clean}

    def _clean_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {
            key: [self._raw_call(call) for call in value] if key == "tool_calls" and isinstance(value, list)
            else self._raw_function(value) if key == "function_call"
            else map_value(value, self._visit_value, whole=False)
            for key, value in kwargs.items()
        }  # fmt: skip

    def _raw_call(self, call: Any) -> Any:
        return {**call, "function": self._raw_function(call.get("function"))} if isinstance(call, dict) else call

    def _raw_function(self, function: Any) -> Any:
        if not isinstance(function, dict):
            return function
        arguments, name = function.get("arguments"), str(function.get("name") or "")
        clean = self._json_text(arguments, name) if isinstance(arguments, str) else self.arguments(arguments, name)
        return {**function, "name": self._name(function.get("name")), "arguments": clean}

    def _name(self, name: str | None) -> str | None:
        """A tool's name, which the model writes and anything may stand in."""
        return self._clean(name) if name else name

    def _json_text(self, text: str, tool: str | None = None) -> str:
        """A JSON text with each of its values made safe; what is no JSON is sanitised as text."""
        session = self._texts.json(tool)
        clean = session.feed(text) + session.finish()
        self._findings.extend(session.findings)
        return clean

    def _visit_value(self, _: Channel, text: str) -> str:
        return self._clean(text)


def _without_pieces(content: Content) -> tuple[Content, list[str | dict[str, Any]]]:
    if isinstance(content, str):
        return content, []
    pieces = [block for block in content if isinstance(block, dict) and block.get("type") in _PIECES]
    return ([block for block in content if block not in pieces], pieces) if pieces else (content, [])  # type: ignore[return-value]
