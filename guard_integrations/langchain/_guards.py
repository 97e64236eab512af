"""What a guarded model guards with: the compiled form of its settings, made once and used by every call."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGenerationChunk

from guard_integrations.core.choices import require_choice
from guard_integrations.core.moderation.client import Moderator
from guard_integrations.core.moderation.release import Release
from guard_integrations.core.moderation.windows import Gate, StreamMode, gate_for
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.sanitizer.wrapping import without_spotlighted
from guard_integrations.core.scanner.markup import Render
from guard_integrations.core.textguard import Checking, Restoring
from guard_integrations.langchain._input import InputGuard
from guard_integrations.langchain._messages import moderated_text, system_text

if TYPE_CHECKING:
    from concurrent.futures import Future

    from guard_integrations.core.moderation.decision import ModerationResult

__all__ = ["Guards", "OnBlock"]

OnBlock: TypeAlias = Literal["raise", "refuse"]

# Conversations with different system prompts alternate on one model; more than this many at once are rare.
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
        concurrent: whether the input is moderated beside the generation, and not before it.
        stream_moderation: when a stream is released.
        on_block: whether a refusal is raised or answered.
        system_prompt: the instructions that no answer may repeat; None for the conversation's own.
        render: where answers will be shown.
        vault: the conversation's pseudonyms.
        restore_tools: tools whose arguments may hold the vault's values.
        spotlight: whether tool results are marked.
        tools: by tool name, the policy of its results and arguments, where it is not `policy`.
    """

    policy: GuardPolicy = field(repr=False)
    fingerprint: str
    moderator: Moderator | None = None
    moderates_input: bool = False
    moderates_output: bool = False
    concurrent: bool = False
    stream_moderation: StreamMode = "window"
    on_block: OnBlock = "raise"
    system_prompt: str | None = field(default=None, repr=False)
    render: Render = "markdown"
    vault: PseudonymVault | None = None
    restore_tools: frozenset[str] = frozenset()
    spotlight: bool = False
    tools: Mapping[str, GuardPolicy] = field(default_factory=dict, repr=False)
    input: InputGuard = field(init=False, repr=False)
    _sanitizers: "OrderedDict[str, OutputSanitizer]" = field(init=False, repr=False, default_factory=OrderedDict)
    _lock: Lock = field(init=False, repr=False, default_factory=Lock)

    def __post_init__(self) -> None:
        require_choice("on_block", self.on_block, get_args(OnBlock))
        require_choice("stream_moderation", self.stream_moderation, get_args(StreamMode))
        guard = InputGuard(self.policy, vault=self.vault, cut=False, spotlight=self.spotlight, tools=self.tools)
        object.__setattr__(self, "input", guard)

    def checking(self, messages: Sequence[BaseMessage]) -> Checking:
        """What the answer to these messages is checked with: it knows their system prompt."""
        return Checking(self._sanitizer(self._prompt(messages)), restore=False)

    def checking_tool(self, name: str) -> Checking:
        """What the arguments of a tool are checked with."""
        if name not in self.tools:
            return Checking(self._sanitizer(self.system_prompt or ""), restore=False)
        return Checking(OutputSanitizer(self.tools[name], vault=self.vault), restore=False)

    def _prompt(self, messages: Sequence[BaseMessage]) -> str:
        if self.system_prompt is not None:
            return self.system_prompt
        text = system_text(messages)
        # What others have written into the system message may be quoted.
        return without_spotlighted(text).strip() if text else ""

    def _sanitizer(self, prompt: str) -> OutputSanitizer:
        with self._lock:
            known = self._sanitizers.get(prompt)
            if known is not None:
                self._sanitizers.move_to_end(prompt)
                return known
        made = OutputSanitizer(self.policy, system_prompt=prompt or None, render=self.render, vault=self.vault)
        with self._lock:
            self._sanitizers[prompt] = made
            if len(self._sanitizers) > _MAX_SANITIZERS:
                self._sanitizers.popitem(last=False)
        return made

    @property
    def restoring(self) -> Restoring | None:
        """What puts pseudonyms' values back, after all checks."""
        return None if self.vault is None else Restoring(self.vault, self.restore_tools)

    def submit_input(self, messages: Sequence[BaseMessage]) -> "Future[ModerationResult]":
        """Starts the moderation of a conversation's last turn."""
        return self._moderator().submit_chat(convert_to_openai_messages(list(messages)))

    @property
    def early(self) -> bool:
        """Whether there may be a verdict to act on while an answer is still being written."""
        return self.release(None).early or (self.concurrent and self.moderates_input)

    def release(self, entry: "Future[ModerationResult] | None") -> Release[ChatGenerationChunk]:
        """Says what may go out of a streamed answer, and when.

        Args:
            entry: the verdict on the input, where it is still being fetched.
        """
        if not self.moderates_output:
            return Release(None, None, entry)
        gate: Gate[ChatGenerationChunk] = gate_for(self.stream_moderation, lambda chunk: moderated_text(chunk.message))
        return Release(gate, self.submit_output, entry)

    def submit_output(self, text: str) -> "Future[ModerationResult]":
        """Starts the moderation of an answer."""
        return self._moderator().submit(text)

    def _moderator(self) -> Moderator:
        if self.moderator is None:
            raise TypeError("moderation was asked for without a moderator")
        return self.moderator
