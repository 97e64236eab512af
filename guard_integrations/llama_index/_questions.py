"""What a user asks an engine, made safe."""

from collections.abc import Sequence

from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.textguard import Screening
from guard_integrations.errors import GuardBlocked

__all__ = ["QuestionGuard"]


class QuestionGuard:
    """Scans and filters questions, and tells the observers what it found; it never wraps them.

    Args:
        policy: what is looked for and what is done about it.
        vault: the conversation's pseudonyms.
        refuses: whether a refusal is answered to a question that is blocked.
    """

    def __init__(self, policy: GuardPolicy, *, vault: PseudonymVault | None, refuses: bool) -> None:
        self._screening = Screening(InputSanitizer(policy, vault=vault))
        self._refuses = refuses

    def clean(self, texts: Sequence[str]) -> list[str] | None:
        """The texts of one question made safe; None where one is blocked and a refusal is to be answered.

        Raises:
            GuardBlocked: when one is blocked and no refusal is answered.
        """
        try:
            return [self._screening.text(text, "input").text for text in texts]
        except GuardBlocked:
            if not self._refuses:
                raise
        return None
