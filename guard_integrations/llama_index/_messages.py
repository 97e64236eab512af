"""LlamaIndex's messages made safe by their roles: copies, never changes in place."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from llama_index.core.base.llms.types import ChatMessage, ContentBlock, MessageRole, TextBlock, ThinkingBlock

from guard_integrations.core.findings import Finding, Stage
from guard_integrations.core.model_errors import without_traceback
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._values import Rewrite, rewrite_value

__all__ = ["BLOCKED_TEXT", "GuardedTurn", "TurnGuard", "is_answer", "rewrite_message", "stage_of", "user_message"]

BLOCKED_TEXT: Final = "[BLOCKED]"
"""What stands in a conversation where an earlier turn was refused."""

# A guarded model is handed instructions, context and question in one turn: it never cuts.
_UNLIMITED: Final = 2**62

_NAMES: Final = frozenset({"id", "name", "tool_call_id"})
"""What a message says beside its blocks that the API knows it by."""

_STAGES: Final[dict[MessageRole, Stage]] = {
    MessageRole.USER: "input",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}
_ANSWERS: Final = frozenset({MessageRole.ASSISTANT, MessageRole.MODEL, MessageRole.CHATBOT})


def stage_of(message: ChatMessage) -> Stage | None:
    """Where a message's text stands on the way in; None for what is never rewritten: system and assistant messages."""
    return _STAGES.get(message.role)


def is_answer(message: ChatMessage) -> bool:
    """Whether a model said it."""
    return message.role in _ANSWERS


def rewrite_message(message: ChatMessage, rewrite: Rewrite) -> ChatMessage:
    """A copy of a message with its texts rewritten; text that is split over several blocks is read as one, too."""
    blocks = [_rewrite_block(block, rewrite) for block in message.blocks]
    texts = [block.text for block in blocks if isinstance(block, TextBlock)]
    if len(texts) > 1:
        for glue in ("", "\n"):
            whole = rewrite(glue.join(texts))
            if whole != glue.join(texts):
                blocks = [TextBlock(text=whole), *(block for block in blocks if not isinstance(block, TextBlock))]
                break
    more = {
        key: value if key in _NAMES else rewrite_value(value, rewrite)
        for key, value in message.additional_kwargs.items()
    }
    return message.model_copy(update={"blocks": blocks, "additional_kwargs": more})


def _rewrite_block(block: ContentBlock, rewrite: Rewrite) -> ContentBlock:
    if isinstance(block, TextBlock):
        return block.model_copy(update={"text": rewrite(block.text)})
    if isinstance(block, ThinkingBlock):
        return block.model_copy(update={"content": block.content and rewrite(block.content)})
    return rewrite_value(block, rewrite)


def user_message(text: str) -> ChatMessage:
    """What a user says."""
    return ChatMessage(role=MessageRole.USER, content=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedTurn:
    """A conversation made safe.

    Args:
        messages: the copies that may go on.
        findings: of all messages, in their order.
        blocked: the refusal of the current turn; None when nothing in it was refused.
    """

    messages: list[ChatMessage]
    findings: tuple[Finding, ...] = ()
    blocked: GuardBlocked | None = None


class TurnGuard:
    """Makes conversations safe on their way to a model; neither wraps nor cuts."""

    def __init__(self, policy: GuardPolicy, *, vault: PseudonymVault | None = None) -> None:
        self._sanitizer = InputSanitizer(policy.model_copy(update={"max_input_chars": _UNLIMITED}), vault=vault)
        self._vault = vault
        self._mark = f"[BLOCKED {secrets.token_hex(16)}]"

    def text(self, text: str, stage: Stage = "input") -> str:
        """One text made safe.

        Raises:
            GuardBlocked: when the policy refuses it.
        """
        return self._sanitizer.sanitize(text, stage=stage).text

    def arguments(
        self, values: Mapping[str, object], *, refuses: bool
    ) -> tuple[dict[str, object], tuple[Finding, ...]]:
        """The arguments of a prompt's template, with every text among them made safe; and what was found in them.

        Raises:
            GuardBlocked: when the policy refuses one. Where a refusal is to be answered, a mark stands for it instead,
                by which `messages` knows that the turn it became part of is refused.
        """
        findings: list[Finding] = []

        def rewrite(text: str) -> str:
            return self._argument(text, refuses, findings)

        return {name: rewrite_value(value, rewrite) for name, value in values.items()}, tuple(findings)

    def _argument(self, text: str, refuses: bool, findings: list[Finding]) -> str:  # noqa: FBT001 - private
        try:
            clean = self._sanitizer.sanitize(text, stage="input")
        except GuardBlocked:
            if refuses:
                return self._mark
            raise
        findings += clean.findings
        return clean.text

    def messages(self, messages: Sequence[ChatMessage]) -> GuardedTurn:
        """A conversation made safe.

        A refused message of the current turn, that is after the model's last answer, is reported as `blocked`. One of
        an earlier turn has had its refusal: it reads `[BLOCKED]`, and the conversation goes on.
        """
        current = _start_of_turn(messages)
        guarded: list[ChatMessage] = []
        findings: list[Finding] = []
        blocked: GuardBlocked | None = None
        for position, message in enumerate(messages):
            stage = stage_of(message)
            if stage is None:
                guarded.append(self._concealed(message))
                continue
            try:
                guarded.append(rewrite_message(message, self._noting(stage, findings)))
            except GuardBlocked as error:
                guarded.append(message.model_copy(update={"blocks": [TextBlock(text=BLOCKED_TEXT)]}))
                if position >= current:
                    blocked = blocked or without_traceback(error)
        return GuardedTurn(messages=guarded, findings=tuple(findings), blocked=blocked)

    def _concealed(self, message: ChatMessage) -> ChatMessage:
        """An earlier answer with the vault's tokens in place of the values that its reader was shown."""
        return (
            message if self._vault is None or not is_answer(message) else rewrite_message(message, self._vault.conceal)
        )

    def _noting(self, stage: Stage, findings: list[Finding]) -> Callable[[str], str]:
        def rewrite(text: str) -> str:
            if self._mark in text:
                raise GuardBlocked(stage=stage)
            clean = self._sanitizer.sanitize(text, stage=stage)
            findings.extend(clean.findings)
            return clean.text

        return rewrite


def _start_of_turn(messages: Sequence[ChatMessage]) -> int:
    """Where the current turn begins: after the last answer that something has followed.

    An assistant message at the very end is a prefix that the model is to go on from, not an answer.
    """
    end = len(messages)
    while end and messages[end - 1].role in _ANSWERS:
        end -= 1
    return next((i + 1 for i in range(end - 1, -1, -1) if messages[i].role in _ANSWERS), 0)
