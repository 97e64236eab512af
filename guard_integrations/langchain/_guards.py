"""What a guarded model guards with: the compiled form of its settings, made once and used by every call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from langchain_core.messages import BaseMessage, convert_to_openai_messages

from guard_integrations.core.moderation.client import Moderator
from guard_integrations.core.moderation.windows import StreamMode
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.langchain._input import InputGuard

if TYPE_CHECKING:
    from concurrent.futures import Future

    from guard_integrations.core.moderation.decision import ModerationResult

__all__ = ["Guards", "OnBlock"]

OnBlock: TypeAlias = Literal["raise", "refuse"]

# Conversations with different system prompts alternate on one model; more than this many are rare.
_MAX_SANITIZERS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The guards of one model.

    Args:
        policy: what to look for and what to do about it.
        fingerprint: the policy's.
        moderator: asked about the input, the output, or both; None for neither.
        moderates_input: whether the input is moderated.
        moderates_output: whether the answer is moderated.
        stream_moderation: when a stream is released.
        on_block: whether a refusal is raised or answered.
        system_prompt: the instructions that no answer may repeat; None for the conversation's own.
    """

    policy: GuardPolicy = field(repr=False)
    fingerprint: str
    moderator: Moderator | None = None
    moderates_input: bool = False
    moderates_output: bool = False
    stream_moderation: StreamMode = "window"
    on_block: OnBlock = "raise"
    system_prompt: str | None = field(default=None, repr=False)
    input: InputGuard = field(init=False, repr=False)
    _output: OutputSanitizer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_output", OutputSanitizer(self.policy))
        object.__setattr__(self, "input", InputGuard(self.policy, cut=False))

    def sanitizer(self, messages: Sequence[BaseMessage]) -> OutputSanitizer:
        """The sanitizer of the answer to these messages."""
        return self._output

    def submit_input(self, messages: Sequence[BaseMessage]) -> "Future[ModerationResult]":
        """Starts the moderation of a conversation's last turn."""
        return self._moderator().submit_chat(convert_to_openai_messages(list(messages)))

    def submit_output(self, text: str) -> "Future[ModerationResult]":
        """Starts the moderation of an answer."""
        return self._moderator().submit(text)

    def _moderator(self) -> Moderator:
        if self.moderator is None:
            raise TypeError("moderation was asked for without a moderator")
        return self.moderator
