"""What a guarded model does with what goes in and what comes out, as steps that sync and async share."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

from guard_integrations.core.findings import Finding, Stage
from guard_integrations.core.moderation import Moderator
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._errors import without_content
from guard_integrations.llama_index._flow import Flow, Wait
from guard_integrations.llama_index._reports import report_text

__all__ = ["ModelGuard", "Moderation", "StreamModeration", "ask"]

Moderation: TypeAlias = Literal["both", "input", "output", "off"]
"""Which side moderation judges."""

StreamModeration: TypeAlias = Literal["window", "buffer", "after"]
"""When a streamed answer is released: window by window after a verdict, whole after one, or unsafely before it."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGuard:
    """What a guarded model guards with.

    Args:
        policy: for its fingerprint, in events.
        sanitizer: what cleans answers.
        moderator: who judges; nobody where None.
        moderation: which side is judged.
        stream_moderation: when a streamed answer is released.
        refusal: what is answered in place of a blocked answer; a block is raised where None.
    """

    policy: GuardPolicy
    sanitizer: OutputSanitizer
    moderator: Moderator | None
    moderation: Moderation
    stream_moderation: StreamModeration
    refusal: str | None

    @property
    def judges_answers(self) -> bool:
        """Whether answers are moderated."""
        return self.moderator is not None and self.moderation in ("both", "output")

    def admit(self, conversation: Sequence[Any]) -> Flow[Any, None]:
        """Judges what goes in.

        Raises:
            GuardBlocked: when moderation refuses it.
        """
        if self.moderator is not None and self.moderation in ("both", "input"):
            yield from self._judge(_turns(conversation), "input")

    def judge(self, conversation: Sequence[Any], answer: str) -> Flow[Any, None]:
        """Judges an answer, or the part of it that is there, in the light of the conversation.

        Raises:
            GuardBlocked: when moderation refuses it.
        """
        if self.judges_answers and answer.strip():
            yield from self._judge([*_turns(conversation), {"role": "assistant", "content": answer}], "output")

    def _judge(self, turns: list[dict[str, Any]], stage: Stage) -> Flow[Any, None]:
        if self.moderator is None:
            return
        verdict = yield from ask(
            partial(self.moderator.moderate_chat, turns), partial(self.moderator.amoderate_chat, turns)
        )
        verdict.raise_if_unsafe(stage)

    def report(self, stage: Stage, findings: Sequence[Finding], *, blocked: bool = False) -> None:
        """Tells the observers."""
        report_text(stage=stage, policy=self.policy.fingerprint, findings=findings, blocked=blocked)

    def or_refusal(self, flow: Flow[Any, _Result], refused: Callable[[str], _Result]) -> Flow[Any, _Result]:
        """What a flow returns; where it is blocked, `refused` of the refusal, or the block raised anew.

        Raises:
            GuardBlocked: when the flow is blocked and there is no refusal.
        """
        blocked: GuardBlocked
        try:
            return (yield from flow)
        except GuardBlocked as error:
            blocked = error
        if self.refusal is None:
            raise without_content(blocked)
        return refused(self.refusal)


def ask(sync: Callable[[], Any], awaited: Callable[[], Awaitable[Any]]) -> Flow[Any, Any]:
    """Waits for something over the network; its errors come without content.

    Raises:
        Exception: of the kind that the call raised.
    """
    failed: Exception
    try:
        return (yield Wait(sync, awaited))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again without content
        failed = without_content(error)
    raise failed


def _turns(conversation: Sequence[Any]) -> list[dict[str, Any]]:
    """The SDK's messages as the moderation API reads them."""
    return [message if isinstance(message, dict) else message.model_dump() for message in conversation]
