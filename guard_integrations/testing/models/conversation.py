"""A conversation as the local models read it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["Conversation", "OfferedTool", "Turn", "turns_of"]

# Where prompts put what was retrieved: between two lines of dashes, or behind a heading that names the context.
_FENCED = re.compile(r"^[ \t]*-{5,}[ \t]*\n(.*?)\n[ \t]*-{5,}[ \t]*$", re.MULTILINE | re.DOTALL)
_HEADED = re.compile(
    r"(?:\b(?:context|documents?|sources?|passages?|search results)\b[^\n:]{0,60}:[ \t]*\n)(.*?)"
    r"(?=^[ \t]*(?:question|query|user(?: question)?|instructions?|existing answer|answer|helpful answer)\b[ \t]*:|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_LABELLED = re.compile(
    r"^[ \t]*(?:user )?(?:question|query|follow[- ]?up (?:input|message|question))[ \t]*:[ \t]*(.+?)[ \t]*"
    r"(?=^[ \t]*(?:[a-z]+ )?(?:answer|question)[ \t]*:|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
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
        return "\n".join(_context(text) for text in (self.user, self.system)).strip()

    @cached_property
    def query(self) -> str:
        """What the user asks, without the context: behind "Query:" or "Question:", else all that is not context."""
        if labelled := list(_LABELLED.finditer(self.user)):
            return labelled[-1][1].strip()
        found = _context_match(self.user)
        text = self.user if found is None else self.user[: found.start()] + "\n" + self.user[found.end() :]
        return _TAG_LINE.sub("", text).strip()

    @cached_property
    def untrusted(self) -> str:
        """Everything that instructions are read from: context, tool results and the user, one after the other."""
        parts = [_context(self.system), self.user, *(turn.text for turn in self.tool_results)]
        return "\n".join(part for part in parts if part)


def _context_match(text: str) -> re.Match[str] | None:
    return _FENCED.search(text) or _HEADED.search(text)


def _context(text: str) -> str:
    found = _context_match(text)
    return found[1] if found else ""


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
