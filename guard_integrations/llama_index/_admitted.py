"""A conversation on its way into a model's run, with what was found in it before the run began.

A guarded model makes texts safe before LlamaIndex opens the span and the events of the call, so that these are clean.
What was found must still be told inside of the call, or nobody knows which call it was.
"""

from collections.abc import Iterable
from contextvars import ContextVar, Token
from typing import Literal

from llama_index.core.base.llms.types import ChatMessage

from guard_integrations.core.findings import Finding
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.reports import report, report_blocked
from guard_integrations.core.runs import count_policy
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._messages import GuardedTurn

__all__ = ["Admitted", "found_before"]

_before: ContextVar[tuple[tuple[Finding, ...], GuardBlocked | None]] = ContextVar("_before", default=((), None))


class Admitted(list[ChatMessage]):
    """The messages that may go on.

    Args:
        turn: what was made of the conversation.
    """

    def __init__(self, turn: GuardedTurn) -> None:
        super().__init__(turn.messages)
        findings, blocked = _before.get()
        self.findings = (*findings, *turn.findings)
        """What was found in it."""
        self.blocked = blocked or turn.blocked
        """The refusal of the current turn; None when nothing in it was refused."""

    def refuses(self, policy: GuardPolicy, on_block: Literal["raise", "refuse"]) -> bool:
        """Whether a refusal is to be answered; tells what was found in the conversation, now that the call has begun.

        Raises:
            GuardBlocked: when a rule refuses the current turn, and `on_block` says so.
        """
        count_policy(policy.fingerprint)
        report("input", self.findings, policy)
        if self.blocked is None:
            return False
        report_blocked(self.blocked, "input", policy)
        if on_block == "raise":
            raise self.blocked
        return True


class found_before:  # noqa: N801 - a context manager
    """Adds findings, and a refusal, to every conversation that is admitted inside of the block.

    A method that makes its prompt safe and then calls another one, which reads the clean prompt, hands on what it found.
    """

    def __init__(self, findings: Iterable[Finding], blocked: GuardBlocked | None = None) -> None:
        self._found = (tuple(findings), blocked)
        self._token: Token[tuple[tuple[Finding, ...], GuardBlocked | None]] | None = None

    def __enter__(self) -> None:
        findings, blocked = _before.get()
        self._token = _before.set(((*findings, *self._found[0]), blocked or self._found[1]))

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _before.reset(self._token)
