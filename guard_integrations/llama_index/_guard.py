"""What a guarded model does with what goes in and what comes out, as steps that sync and async share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

from guard_integrations.core.choices import require_choice
from guard_integrations.core.findings import Stage
from guard_integrations.core.flow import Flow, Wait
from guard_integrations.core.moderation import ModerationResult, Moderator
from guard_integrations.core.moderation.guardrail import BLOCK_RULE
from guard_integrations.core.moderation.pending import settled
from guard_integrations.core.moderation.release import Release, abeside, beside
from guard_integrations.core.moderation.windows import Gate, StreamMode, gate_for
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.reports import report, report_blocked
from guard_integrations.core.runs import current
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._answers import AnswerGuard, Content, Piece, Restorer
from guard_integrations.llama_index._errors import without_content

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["ModelGuard", "Moderation", "ask"]

Moderation: TypeAlias = Literal["both", "input", "output", "off"]
"""Which side moderation judges."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGuard:
    """What a guarded model guards with.

    Args:
        policy: what is looked for.
        sanitizer: what cleans answers.
        moderator: who judges; nobody where None.
        moderation: which side is judged.
        concurrent: whether the input is judged beside the generation, and not before it.
        stream_moderation: when a streamed answer is released.
        vault: the conversation's pseudonyms.
        restore_tools: tools whose arguments may hold the vault's values.
        refusal: what is answered in place of a blocked answer; a block is raised where None.
    """

    policy: GuardPolicy
    sanitizer: OutputSanitizer
    moderator: Moderator | None
    moderation: Moderation
    concurrent: bool
    stream_moderation: StreamMode
    vault: PseudonymVault | None
    restore_tools: frozenset[str]
    refusal: str | None

    def __post_init__(self) -> None:
        require_choice("moderation", self.moderation, get_args(Moderation))
        require_choice("stream_moderation", self.stream_moderation, get_args(StreamMode))

    def admit(self, conversation: Sequence[Any]) -> "Flow[Any, Future[ModerationResult] | None]":
        """Judges what goes in; where that is done beside the answer, gives the verdict that is still being fetched.

        Raises:
            GuardBlocked: when moderation refuses it.
        """
        if self.moderator is None or self.moderation not in ("both", "input"):
            return None
        turns = [message if isinstance(message, dict) else message.model_dump() for message in conversation]
        entry = self.moderator.submit_chat(turns)
        if self.concurrent:
            return entry
        yield from self.verdict(entry, "input")
        return None

    def beside(self, entry: "Future[ModerationResult] | None", asked: Wait) -> Flow[Any, Any]:
        """Asks the model; its answer waits for the verdict on the input, where that is still being fetched.

        Raises:
            GuardBlocked: when moderation refuses the input.
        """
        if entry is None:
            return (yield from ask(asked))
        try:
            return (yield from ask(Wait(partial(beside, asked.sync, entry), lambda: abeside(asked.awaited(), entry))))
        except GuardBlocked as error:
            if BLOCK_RULE not in error.rules:  # which is told elsewhere
                report_blocked(error, "input", self.policy)
            raise

    @property
    def early(self) -> bool:
        """Whether there may be a verdict to act on while an answer is still being written."""
        return self.release(None).early or (self.concurrent and self.moderation in ("both", "input"))

    def release(self, entry: "Future[ModerationResult] | None") -> Release[Piece]:
        """Says what may go out of a streamed answer, and when.

        Args:
            entry: the verdict on the input, where it is still being fetched.
        """
        submit = self.submit_output()
        if submit is None:
            return Release(None, None, entry)
        gate: Gate[Piece] = gate_for(self.stream_moderation, lambda piece: piece.moderated)
        return Release(gate, submit, entry)

    def submit_output(self) -> "Callable[[str], Future[ModerationResult]] | None":
        """What starts the moderation of an answer; None where answers are not judged."""
        return self.moderator.submit if self.moderator is not None and self.moderation in ("both", "output") else None

    def verdict(self, pending: "Future[ModerationResult]", stage: Stage) -> Flow[Any, ModerationResult]:
        """Waits for a verdict.

        Raises:
            GuardBlocked: when it is not safe.
        """
        result: ModerationResult = yield from ask(settled(pending))
        try:
            result.raise_if_unsafe(stage)
        except GuardBlocked as error:
            report_blocked(error, stage, self.policy)
            raise
        return result

    def whole(self, content: Content, tool_calls: Any, *, as_json: bool) -> Flow[Any, Piece]:  # noqa: ANN401 - the SDK's list, or its mark for none
        """A whole answer, made safe, judged, and with its pseudonyms' values back.

        Raises:
            GuardBlocked: when a rule or moderation refuses it.
        """
        answer = AnswerGuard(self.sanitizer, as_json=as_json)
        with self.reporting(answer):
            piece = answer.feed(content, tool_calls) + answer.finish()
        submit = self.submit_output()
        if submit is not None and piece.moderated.strip():
            yield from self.verdict(submit(piece.moderated), "output")
        back = self.restorer()
        return piece if back is None else back.feed(piece) + back.finish()

    def restorer(self) -> Restorer | None:
        """What puts pseudonyms' values back into one answer."""
        return None if self.vault is None else Restorer(self.vault, self.restore_tools)

    def reporting(self, answer: AnswerGuard) -> "_Reporting":
        """Tells the observers, when the block is left, what was found in an answer."""
        return _Reporting(self.policy, answer)

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


@dataclass(frozen=True, slots=True)
class _Reporting:
    policy: GuardPolicy
    answer: AnswerGuard

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, GuardBlocked):
            report_blocked(error, "input" if error.stage == "input" else "output", self.policy)
        else:
            report("output", self.answer.findings, self.policy)


def ask(step: Wait) -> Flow[Any, Any]:
    """Waits for something over the network; its errors come without content.

    Raises:
        Exception: of the kind that the call raised.
    """
    failed: Exception
    try:
        return (yield step)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again without content
        failed = without_content(error)
    run = current()
    if isinstance(failed, GuardBlocked) and run is not None:  # by the server's own guardrail
        run.blocked(failed)
    raise failed
