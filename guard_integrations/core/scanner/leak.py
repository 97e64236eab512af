"""Overlap of an answer with the system prompt it must not repeat, and canary tokens.

Both texts are folded to their letters alone, case and accents taken away. So a re-cased, re-spaced, punctuated,
line-broken or numbered copy reads like the original. The prompt is looked for as it is, backwards, in rot13, in
base64 at each of the three alignments, and in hexadecimal.

The longest stretch in common that cannot grow on either side is judged. Its score is the sum of the weights of the
prompt's words that lie wholly in it: 1 for a word, 0.25 for one that every text or every prompt is full of, 2 for a
distinctive one (a name with a capital inside, a word joined to digits). From `LEAK_SCORE` on it is a leak; a short
prompt's threshold is lower. So a short common phrase is none. In base64 and hexadecimal the length alone counts,
since nothing but the prompt looks like it.

A leak is replaced from its eleventh letter on, or from its first distinctive word if that comes earlier: up to there
it is nothing but what any text may share with a prompt. That is what lets a stream go on without holding back every
word that a prompt also has. It holds from where a leak would be replaced until the stretch has ended.
"""

import re
import secrets
import string
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from guard_integrations.core.findings import Action, Category, Finding, Severity
from guard_integrations.core.scanner.detector import Edit, Step
from guard_integrations.core.scanner.overlap import LABEL, Leak, Overlap, labels_of
from guard_integrations.core.scanner.prompt_index import CANARY_LENGTH, CANARY_PREFIX, LEAK_SCORE, Prompt, PromptIndex

__all__ = ["LEAK_RULES", "LEAK_SCORE", "LeakDetector", "find_canary", "make_canary", "plant_canary"]

LEAK_RULES: Final[dict[str, tuple[Severity, str]]] = {
    "canary-leak": (Severity.CRITICAL, "A canary token stands nowhere but in the system prompt."),
    "prompt-leak": (Severity.HIGH, "The answer repeats a part of the system prompt."),
    "prompt-leak-encoded": (Severity.HIGH, "The answer repeats a part of the system prompt, encoded."),
}
"""Rule id to severity and rationale; the catalogue of rules reads this."""


class LeakDetector:
    """Finds what an answer has in common with the actual system prompt.

    Args:
        system_prompt: the prompt that must not come out.
        action: what the policy does with the category `leak`; `flag` reports and replaces nothing.
        disabled: ids of rules that are not to run.
        labels: what other rules write: their letters are nobody's words.
    """

    def __init__(
        self,
        system_prompt: str,
        *,
        action: Action = Action.FILTER,
        disabled: frozenset[str] = frozenset(),
        labels: Iterable[str] = (),
    ) -> None:
        self._labels = labels_of(labels)
        prompt = Prompt(system_prompt)
        self._indexes = tuple(PromptIndex(prompt, system_prompt, digits=digits) for digits in (False, True))
        self._action = action
        self._disabled = disabled

    def start(self) -> "LeakSession":
        """A session for one text."""
        return LeakSession(self._indexes, self._action, self._disabled, self._labels)


class LeakSession:
    """One text on its way; see `detector.Session`."""

    def __init__(
        self,
        indexes: tuple[PromptIndex, ...],
        action: Action,
        disabled: frozenset[str],
        labels: re.Pattern[str],
    ) -> None:
        self._indexes = indexes
        self._overlaps = [Overlap(index, labels) for index in indexes]
        self._action = action
        self._disabled = disabled
        self._fed = 0

    def feed(self, text: str, *, final: bool = False) -> Step:
        """Takes the next piece of the text."""
        whole = final and not self._fed
        self._fed += len(text)
        if whole and not any(index.might_hold(text) for index in self._indexes):
            return Step(decided=self._fed)
        leaks = [
            leak
            for overlap in self._overlaps
            for leak in overlap.feed(text, final=final)
            if leak.rule not in self._disabled
        ]
        held = self._fed if final else min(overlap.hold for overlap in self._overlaps)
        if not leaks:
            return Step(decided=held)
        edits = () if self._action is Action.FLAG else tuple(map(_edit, leaks))
        return Step(edits=edits, findings=tuple(map(self._finding, leaks)), decided=held)

    def _finding(self, leak: Leak) -> Finding:
        return Finding(
            rule=leak.rule,
            category=Category.LEAK,
            severity=LEAK_RULES[leak.rule][0],
            start=leak.start,
            end=leak.end,
            action=self._action,
            view=leak.view,
        )


def _edit(leak: Leak) -> Edit:
    return Edit(start=leak.shown, end=leak.end, text=LABEL)


def make_canary() -> str:
    """A token that stands in no text by chance: `canary` and 24 random letters, 112 bits."""
    return CANARY_PREFIX + "".join(secrets.choice(string.ascii_lowercase) for _ in range(CANARY_LENGTH))


def plant_canary(system_prompt: str, canary: str) -> str:
    """A system prompt that carries a canary: for the model, and for `OutputSanitizer(system_prompt=…)`."""
    return f"{system_prompt}\n\n[{canary}]"


def find_canary(text: str, canary: str) -> bool:
    """Whether a text holds a canary or 20 letters of it on end; re-cased, re-spaced, reversed or encoded, too."""
    return bool(_canary_detector(canary).start().feed(text, final=True).findings)


@lru_cache(maxsize=64)
def _canary_detector(canary: str) -> LeakDetector:
    return LeakDetector(canary)
