"""A conversation as the local models read it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["Conversation", "OfferedTool", "Turn", "turns_of"]

# Where prompts put what was retrieved: between two lines of dashes, or behind a line that names the context.
_FENCE = re.compile(r"^[ \t]*-{5,}[ \t]*$", re.MULTILINE)
_HEADING = re.compile(
    r"\b(?:context|documents?|sources?|passages?|search results)\b[^\n:]{0,60}:[ \t]*\n", re.IGNORECASE
)
_CONTEXT_END = re.compile(
    r"^[ \t]*(?:question|query|user(?: question)?|instructions?|existing answer|answer|helpful answer)\b[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
# Where they put what the user asks: behind such a label, up to the next.
_LABEL = re.compile(
    r"^[ \t]*(?:user )?(?:question|query|follow[- ]?up (?:input|message|question))[ \t]*:[ \t]*(?=\S)",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL_END = re.compile(r"^[ \t]*(?:[a-z]+ )?(?:answer|question)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_TAG_LINE = re.compile(r"^[ \t]*</?[a-z_][\w.-]*(?:[ \t][^<>\n]*)?>[ \t]*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message: who speaks, the text of its text parts, and the tools it called or answers.

    Args:
        role: "system", "user", "assistant" or "tool".
        text: the text parts, joined.
        calls: names of the tools an assistant message calls.
        prefix: the answer has to begin with this assistant message.
        name: of the tool that a tool message answers for.
    """

    role: str
    text: str = field(repr=False)
    calls: tuple[str, ...] = ()
    prefix: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A tool of the request, its parameters as a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """All that an answer depends on. The properties are the model's view of who said what."""

    turns: Sequence[Turn]
    tools: Sequence[OfferedTool] = ()
    tool_choice: str = "auto"
    """"auto", "none", "any", "required", or "=name" for one tool."""
    parallel_tool_calls: bool = True
    json_mode: bool = False
    json_schema: Mapping[str, object] | None = None

    @cached_property
    def system(self) -> str:
        """The system messages."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "system")

    @cached_property
    def active(self) -> Sequence[Turn]:
        """What has not been answered yet: the user and tool turns behind the last answer that called no tool."""
        start = 0
        for place, turn in enumerate(self.turns):
            if turn.role == "assistant" and not turn.calls and not turn.prefix:
                start = place + 1
        return [turn for turn in self.turns[start:] if turn.role != "system"]

    @cached_property
    def user(self) -> str:
        """The unanswered user turns, retrieved context and all."""
        return "\n".join(turn.text for turn in self.active if turn.role == "user")

    @cached_property
    def tool_results(self) -> Sequence[Turn]:
        """The unanswered tool messages."""
        return [turn for turn in self.active if turn.role == "tool"]

    @cached_property
    def called(self) -> frozenset[str]:
        """Names of the tools called since the last answer."""
        return frozenset(name for turn in self.active for name in turn.calls)

    @cached_property
    def context(self) -> str:
        """What was retrieved: fenced or headed text in the user's turns or, as chat engines do it, in the system's."""
        return "\n".join(_parted(text)[0] for text in (self.user, self.system)).strip()

    @cached_property
    def query(self) -> str:
        """What the user asks, without the context: behind "Query:" or "Question:", else all that is not context."""
        if labels := list(_LABEL.finditer(self.user)):
            start = labels[-1].end()
            end = _LABEL_END.search(self.user, start)
            return self.user[start : end.start() if end else None].strip()
        return _TAG_LINE.sub("", _parted(self.user)[1]).strip()

    @cached_property
    def untrusted(self) -> str:
        """Everything that instructions are read from: context, tool results and the user, one after the other."""
        parts = [_parted(self.system)[0], self.user, *(turn.text for turn in self.tool_results)]
        return "\n".join(part for part in parts if part)


def _parted(text: str) -> tuple[str, str]:
    """The retrieved context in a text, and the text without it."""
    if (first := _FENCE.search(text)) and (second := _FENCE.search(text, first.end())):
        return text[first.end() : second.start()], text[: first.start()] + "\n" + text[second.end() :]
    if heading := _HEADING.search(text):
        end = _CONTEXT_END.search(text, heading.end())
        behind = end.start() if end else len(text)
        return text[heading.end() : behind], text[: heading.start()] + "\n" + text[behind:]
    return "", text


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return ""


def turns_of(messages: Sequence[Mapping[str, object]]) -> list[Turn]:
    """Read validated messages. Parts that are not text (images, files, thoughts) are not seen."""
    turns = []
    for message in messages:
        calls = message.get("tool_calls") or []
        names = tuple(call["function"]["name"] for call in calls) if isinstance(calls, list) else ()
        name = message.get("name")
        turns.append(
            Turn(
                role=str(message["role"]),
                text=_text(message.get("content")),
                calls=names,
                prefix=bool(message.get("prefix")),
                name=name if isinstance(name, str) else None,
            )
        )
    return turns
