"""The way in: messages, prompts, dictionaries and documents with their untrusted texts made safe, each of its own stage."""

import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage

from guard_integrations.core.findings import Finding, Sanitized, Stage
from guard_integrations.core.model_errors import without_traceback
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer import wrapping
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.textguard import Screening
from guard_integrations.errors import GuardBlocked
from guard_integrations.langchain._messages import Channel, Content, map_content, map_value, stage_of

__all__ = ["BLOCKED_TEXT", "GuardedMessages", "InputGuard", "blocked_by"]

BLOCKED_TEXT: Final = "[BLOCKED]"
"""What stands in a conversation where a turn was refused."""

_MARKER: Final = "guard_integrations_blocked"
_RULE_ID: Final = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")
_OPENING, _CLOSING = (f"<{tag}>" for tag in wrapping.wrap("").strip("<>").split("><"))
_STAGES: Final = frozenset({"input", "output", "document", "tool"})
# A guarded model is handed instructions, context and question in one turn: it never cuts.
_UNLIMITED: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedMessages:
    """A conversation made safe.

    Args:
        messages: the copies that may go on; what was refused reads `[BLOCKED]`.
        findings: of all messages, in their order.
        blocked: the refusal of the current turn, to be raised; None when nothing in it was refused.
    """

    messages: list[BaseMessage]
    findings: tuple[Finding, ...] = ()
    blocked: GuardBlocked | None = None


@dataclass(frozen=True, slots=True)
class _Mark:
    """A mark around a text: how to take it off, and how to put it on."""

    remove: Callable[[str], str]
    put: Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A message that was found, or made, safe; for as long as it lives and as nobody has put another text into it."""

    message: "weakref.ref[BaseMessage]"
    content: Content = field(repr=False)
    name: str | None
    stage: Stage
    findings: tuple[Finding, ...]

    def is_still(self, message: BaseMessage, stage: Stage) -> bool:
        """Whether this is that message, unchanged. A string cannot change: it is enough that it is the same one."""
        content = self.content
        same = self.message() is message and (
            content is message.content if isinstance(content, str) else content == message.content
        )
        return same and self.stage == stage and self.name == message.name


_ANSWERS: Final = frozenset({"ai", "assistant"})


class InputGuard:
    """An input sanitizer that speaks messages.

    Args:
        policy: what to look for and what to do about it.
        vault: the conversation's pseudonyms.
        cut: whether the policy's input limit applies.
        wrap: whether a user's text goes into `<user_query>…</user_query>`.
        spotlight: whether a tool's text goes into a tag that it cannot forge.
        tools: by tool name, the policy of its results, where it is not `policy`.
    """

    def __init__(  # noqa: PLR0913 - each one is a setting of a stage, a model or an agent
        self,
        policy: GuardPolicy,
        *,
        vault: PseudonymVault | None = None,
        cut: bool = True,
        wrap: bool = False,
        spotlight: bool = False,
        tools: Mapping[str, GuardPolicy] | None = None,
    ) -> None:
        self._marks: dict[Stage, _Mark] = {
            **({"input": _Mark(_unwrapped, wrapping.wrap)} if wrap else {}),
            **({"tool": _Mark(_unspotlighted, wrapping.spotlight)} if spotlight else {}),
        }
        self._vault = vault
        self._seen: dict[int, _Seen] = {}
        self._tools = {
            name: InputGuard(each, vault=vault, cut=cut, spotlight=spotlight) for name, each in (tools or {}).items()
        }
        uncut = policy if cut else policy.model_copy(update={"max_input_chars": _UNLIMITED})
        self._screening = Screening(InputSanitizer(uncut, vault=vault))

    def text(self, text: str, stage: Stage) -> Sanitized:
        """A text made safe, and marked as what it is where that was asked for.

        Raises:
            GuardBlocked: when the policy refuses it.
        """
        mark = self._marks.get(stage)
        if mark is None:
            return self._screening.text(text, stage)
        clean = self._screening.text(mark.remove(text), stage)
        return Sanitized(text=mark.put(clean.text), findings=clean.findings)

    def document(self, text: str) -> str:
        """A document's text, or one in its metadata, made safe: with an injection goes the order that it announces.

        Raises:
            GuardBlocked: when the policy refuses it.
        """
        return self._screening.document(text).text

    def content(self, content: Content, stage: Stage) -> tuple[Content, tuple[Finding, ...]]:
        """A message's content made safe; text that was split over several blocks is read as one.

        Raises:
            GuardBlocked: when the policy refuses it.
        """
        if isinstance(content, str):
            clean = self.text(content, stage)
            return clean.text, clean.findings
        findings: list[Finding] = []
        parts: list[str] = []
        mark = self._marks.get(stage)

        def visit(channel: Channel, text: str) -> str:
            clean = self._screening.text(mark.remove(text) if mark else text, stage)
            findings.extend(clean.findings)
            if channel == "text":
                parts.append(clean.text)
            return clean.text

        mapped = map_content(content, visit)
        if len(parts) > 1:
            whole = self._screening.text("".join(parts), stage)
            if whole.text != "".join(parts):
                findings.extend(whole.findings)
                mapped = _put_first(mapped, whole.text)
        if mark is not None:
            mapped = map_content(mapped, lambda channel, text: mark.put(text) if channel == "text" and text else text)
        return mapped, tuple(findings)

    def message(self, message: BaseMessage) -> tuple[BaseMessage, tuple[Finding, ...]]:
        """A copy of a message made safe, by its role; the message itself where nothing changes.

        Raises:
            GuardBlocked: when the policy refuses it.
        """
        stage = stage_of(message)
        if stage is None:
            return self._concealed(message), ()
        seen = self._seen.get(id(message))
        if seen is not None and seen.is_still(message, stage):
            return message, seen.findings
        guard = self._tools.get(message.name or "", self) if stage == "tool" else self
        content, findings = guard.content(message.content, stage)
        clean = message if content == message.content else message.model_copy(update={"content": content})
        self._remember(clean, stage, findings)
        return clean, findings

    def history(self, content: Content) -> Content:
        """An earlier answer's content with the vault's tokens in place of the values that its reader was shown."""
        return content if self._vault is None else map_content(content, self._conceal)

    def _concealed(self, message: BaseMessage) -> BaseMessage:
        says = isinstance(message, AIMessage) or (isinstance(message, ChatMessage) and message.role in _ANSWERS)
        if self._vault is None or not says:
            return message
        update: dict[str, Any] = {
            "content": self.history(message.content),
            "additional_kwargs": map_value(message.additional_kwargs, self._conceal, whole=False),
        }
        if isinstance(message, AIMessage):
            for name in ("tool_calls", "invalid_tool_calls"):
                calls = getattr(message, name)
                update[name] = [{**call, "args": map_value(call["args"], self._conceal)} for call in calls]
        changed = any(value != getattr(message, name) for name, value in update.items())
        return message.model_copy(update=update) if changed else message

    def _conceal(self, _: Channel, text: str) -> str:
        return text if self._vault is None else self._vault.conceal(text)

    def _remember(self, message: BaseMessage, stage: Stage, findings: tuple[Finding, ...]) -> None:
        """A model is guarded in two places, and a history comes again each turn: what has been read is not read again."""
        key = id(message)
        self._seen[key] = _Seen(
            message=weakref.ref(message, lambda _: self._seen.pop(key, None)),
            content=message.content if isinstance(message.content, str) else deepcopy(message.content),
            name=message.name,
            stage=stage,
            findings=findings,
        )

    def messages(self, messages: Sequence[BaseMessage]) -> GuardedMessages:
        """A conversation made safe.

        A refused message of the current turn, that is after the model's last answer, is reported as `blocked`.
        One of an earlier turn has had its refusal: it reads `[BLOCKED]` from then on, and the conversation goes on.
        """
        current = _start_of_turn(messages)
        guarded: list[BaseMessage] = []
        findings: list[Finding] = []
        blocked: GuardBlocked | None = None
        for position, message in enumerate(messages):
            refusal = blocked_by(message)
            if refusal is None:
                try:
                    clean, found = self.message(message)
                except GuardBlocked as error:
                    refusal = without_traceback(error)
                else:
                    guarded.append(clean)
                    findings.extend(found)
            if refusal is not None:
                guarded.append(_marked(message, refusal))
                if position >= current:
                    # The user's own turn weighs more than what a tool brought.
                    blocked = refusal if blocked is None or blocked.stage == "tool" else blocked
        return GuardedMessages(messages=guarded, findings=tuple(findings), blocked=blocked)


def blocked_by(message: BaseMessage) -> GuardBlocked | None:
    """The refusal that a marked message carries; None for any other message."""
    marker = message.additional_kwargs.get(_MARKER)
    if not isinstance(marker, Mapping) or message.content != BLOCKED_TEXT:
        return None
    # Whoever sends messages can send a marker: it may say nothing but ids and numbers.
    return GuardBlocked(
        stage=str(marker["stage"]) if marker.get("stage") in _STAGES else "input",
        rules=_ids(marker.get("rules")),
        categories=_ids(marker.get("categories")),
        scores=_scores(marker.get("scores")),
    )


def _unwrapped(text: str) -> str:
    """The text inside one `<user_query>` tag; any other text as it is. So that wrapping twice equals wrapping once."""
    inner = text.removeprefix(_OPENING).removesuffix(_CLOSING)
    return inner if wrapping.wrap(inner) == text else text


def _unspotlighted(text: str) -> str:
    inner = wrapping.unspotlight(text)
    return text if inner is None else inner


def _marked(message: BaseMessage, refusal: GuardBlocked) -> BaseMessage:
    marker = {
        "stage": refusal.stage,
        "rules": list(refusal.rules),
        "categories": list(refusal.categories),
        "scores": dict(refusal.scores),
    }
    return message.model_copy(
        update={"content": BLOCKED_TEXT, "additional_kwargs": {**message.additional_kwargs, _MARKER: marker}}
    )


def _ids(value: Any) -> tuple[str, ...]:
    given = value if isinstance(value, (list, tuple)) else ()
    return tuple(item for item in given if isinstance(item, str) and _RULE_ID.fullmatch(item))


def _scores(value: Any) -> dict[str, float]:
    given = value if isinstance(value, Mapping) else {}
    return {
        key: float(score)
        for key, score in given.items()
        if isinstance(key, str) and _RULE_ID.fullmatch(key) and isinstance(score, (int, float))
    }


def _start_of_turn(messages: Sequence[BaseMessage]) -> int:
    """Where the current turn begins: after the last answer that something has followed.

    An assistant message at the very end is a prefix that the model is to go on from, not an answer.
    """
    end = len(messages)
    while end and isinstance(messages[end - 1], AIMessage):
        end -= 1
    return next((i + 1 for i in range(end - 1, -1, -1) if isinstance(messages[i], AIMessage)), 0)


def _put_first(content: Content, text: str) -> Content:
    """The content with all its visible text in the first text block, and no text in the others."""
    rest = iter((text,))
    return map_content(content, lambda channel, old: next(rest, "") if channel == "text" else old)
