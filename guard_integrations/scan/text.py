"""One text of a corpus: everything that the guards would find in it, and what they would make of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from sys import maxsize
from typing import TYPE_CHECKING, Final

from guard_integrations.core.choices import require_choice
from guard_integrations.core.findings import Action, Category, Finding, Severity, Stage
from guard_integrations.core.policy import GuardPolicy, Strategy
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.output import OutputSanitizer, detector_of
from guard_integrations.core.sanitizer.redaction import REPLACED
from guard_integrations.core.sanitizer.stream import OutputStream
from guard_integrations.core.scanner.invisible import InvisibleDetector
from guard_integrations.core.scanner.markup import MarkupDetector, Render
from guard_integrations.core.scanner.rule import rules_of
from guard_integrations.errors import GuardBlocked, GuardUnavailable, PolicyError

if TYPE_CHECKING:
    from guard_integrations.core.scanner.detector import Clearing

__all__ = ["BLOCKED", "NOT_SCANNED", "PIECE", "STAGES", "TextScanner"]

PIECE: Final = 262_144
"""Characters of a long text that are looked at together."""
LOOK_AHEAD: Final = 4_096
"""Of these, how many at its end belong to the next piece: what begins before them is seen whole."""
NOT_SCANNED: Final = "not-scanned"
"""The rule id of a stretch that a guard could not decide about."""
BLOCKED: Final = "[BLOCKED]"
"""What stands in a cleaned copy for a text that the policy refuses."""
TOGETHER: Final = 16_384
"""Characters of short texts that are looked at together at most: as many as the rules read in one go."""
_SHORT: Final = 4_096
"""A longer text is looked at by itself, which then takes no longer."""
STAGES: Final[tuple[Stage, ...]] = ("document", "input", "tool", "output")


class TextScanner:
    """Finds what a policy looks for, whatever it does about it. Immutable, and safe to share between threads.

    On the way in (`document`, `input`, `tool`): injections, personal data, secrets, invisible characters and markup.
    On the way out (`output`): the same without injections. No length is too long.

    Args:
        policy: what to look for. What it blocks is found like the rest; only a cleaned copy leaves all of it out.
        stage: where the texts stand.

    Raises:
        PolicyError: the policy leaves nothing to look for, or is not valid, or pseudonymises, which needs the vault
            of one conversation.
    """

    def __init__(self, policy: GuardPolicy, stage: Stage = "document") -> None:
        require_choice("stage", stage, STAGES)
        if Strategy.PSEUDONYMISE in policy.strategies.values():
            raise PolicyError(
                "pseudonymise needs the vault of one conversation: choose redact, mask or hash for a scan"
            )
        self._stage = stage
        self._asked = policy
        self._policy = _searching(policy)
        self._input = None if stage == "output" else InputSanitizer(self._policy, stage=stage)
        self._clearing: dict[Render, tuple[Clearing, ...]] = {}
        self._outputs = {render: self._output(render) for render in ("markdown", "html")}

    def findings(self, text: str, render: Render = "markdown") -> list[Finding]:
        """Everything that is found in a text, in the order of its start.

        A text of more than `PIECE` characters is looked at piece by piece, and cut where nothing was found: between
        paragraphs, else lines, else words.

        Args:
            text: any text.
            render: "html" for HTML; "markdown" for everything else.
        """
        if len(text) <= PIECE:
            return self._look(text, render)
        return [finding for _, _, found in self._pieces(text, render) for finding in found]

    def each(self, texts: Sequence[str], render: Render = "markdown") -> list[list[Finding]]:
        """The findings in each of many texts: what `findings` says of them one by one, in less time.

        Short texts are first looked at together; only among those of which that does not show that there is nothing
        in any, it is looked who has what.

        Args:
            texts: any texts.
            render: of all of them.
        """
        found: list[list[Finding]] = []
        room = TOGETHER
        while len(found) < len(texts):
            group = _next(texts, len(found), room)
            some = self._group(group, render)
            found += some
            # Where much is found, looking at many together only comes on top.
            room = max(room // 4, 1) if any(some) else min(room * 2, TOGETHER)
        return found

    def _group(self, texts: Sequence[str], render: Render) -> list[list[Finding]]:
        if len(texts) == 1:
            return [self.findings(texts[0], render)]
        if self._clears(texts, render):
            return [[] for _ in texts]
        half = len(texts) // 2
        return [*self._group(texts[:half], render), *self._group(texts[half:], render)]

    def _clears(self, texts: Sequence[str], render: Render) -> bool:
        """Whether it is certain that nothing is found in any of these texts."""
        if self._input is None:
            return False
        joined = "\n".join(texts)
        try:
            shown = all(detector.clears(joined) for detector in self._clearing[render])
            return shown and self._input.clears(texts, self._stage)
        except Exception:  # noqa: BLE001 - whatever it is, the texts one by one will say
            return False

    def clean(self, text: str, render: Render = "markdown") -> str:
        """The text with what the policy filters replaced; a piece that holds what it blocks becomes `BLOCKED`."""
        if len(text) <= PIECE:
            return self._clean(text, render, self._look(text, render))
        return "".join(self._clean(text[start:end], render, found) for start, end, found in self._pieces(text, render))

    def _pieces(self, text: str, render: Render) -> Iterator[tuple[int, int, list[Finding]]]:
        """Start and end of each piece, and what is in it, in characters of the whole text."""
        start = 0
        while len(text) - start > PIECE:
            piece = text[start : start + PIECE]
            found = self._look(piece, render)
            cut = _cut(piece, found)
            yield start, start + cut, [_moved(one, start) for one in found if one.start < cut]
            start += cut
        yield start, len(text), [_moved(one, start) for one in self._look(text[start:], render)]

    def _look(self, text: str, render: Render) -> list[Finding]:
        problem: Finding | None = None
        found: set[Finding] = set()
        try:
            if self._input is not None:
                found.update(self._input.scan(text, self._stage).findings)
            found.update(self._shown(text, render)[1])
        except GuardUnavailable:
            problem = _not_scanned(len(text))
        if problem is not None:
            return [problem]
        if not found:
            return []
        return sorted(map(self._as_asked, found), key=attrgetter("start", "end", "rule", "view"))

    def _clean(self, text: str, render: Render, found: list[Finding]) -> str:
        if not found:
            return text
        if any(finding.action is Action.BLOCK for finding in found):
            return BLOCKED
        try:
            if self._input is not None:
                text = self._input.sanitize(text, self._stage).text
            text, last = self._shown(text, render)
        except (GuardBlocked, GuardUnavailable):
            return BLOCKED
        return BLOCKED if any(finding.action is Action.BLOCK for finding in last) else text

    def _shown(self, text: str, render: Render) -> tuple[str, tuple[Finding, ...]]:
        """What a reader would be shown of a text, and why."""
        stream = self._outputs["html" if render == "html" else "markdown"]()
        try:
            text = stream.feed_last(text)
        except GuardBlocked:
            text = ""
        return text, stream.findings

    def _output(self, render: Render) -> Callable[[], OutputStream]:
        """What makes a session for one text as it would be shown."""
        if self._stage == "output":
            return OutputSanitizer(self._policy, render=render).stream
        rules = [rule for rule in rules_of(self._policy, "output") if rule.category is Category.MARKUP]
        by_rule = [detector_of(self._policy, rules)] if rules else []
        if self._policy.profile == "basic":
            self._clearing[render] = tuple(by_rule)
            return partial(OutputStream, [by_rule])
        disabled = self._policy.disabled_rules
        invisible = InvisibleDetector(action=self._policy.actions.invisible, disabled=disabled)
        markup = MarkupDetector(
            render=render,
            allowed_hosts=self._policy.allowed_hosts,
            listed_only=self._policy.profile == "strict",
            action=self._policy.actions.markup,
            disabled=disabled,
        )
        self._clearing[render] = (invisible, *by_rule, markup)
        return partial(OutputStream, [[invisible], [*by_rule, markup]])

    def _as_asked(self, finding: Finding) -> Finding:
        """A finding with the action of the policy that was given."""
        if finding.action is not Action.FILTER:
            return finding
        asked = self._asked.action(finding.category)
        if finding.category in REPLACED and asked is Action.FILTER:
            refused = self._asked.strategy(finding.rule, finding.category) is Strategy.BLOCK
            asked = Action.BLOCK if refused else asked
        return finding if asked is Action.FILTER else replace(finding, action=asked)


def _searching(policy: GuardPolicy) -> GuardPolicy:
    """The policy with nothing that would end a search: no refusals, no limit, no way out of an error."""
    actions = {name: Action.FILTER if asked is Action.BLOCK else asked for name, asked in policy.actions}
    strategies = {
        name: Strategy.REDACT if asked is Strategy.BLOCK else asked for name, asked in policy.strategies.items()
    }
    changed = {"actions": actions, "strategies": strategies, "on_error": "block"}
    return policy.model_copy(update={**changed, "redact_input": True, "max_input_chars": maxsize})


def _moved(finding: Finding, by: int) -> Finding:
    return replace(finding, start=finding.start + by, end=finding.end + by) if by else finding


def _not_scanned(length: int) -> Finding:
    return Finding(
        rule=NOT_SCANNED,
        category=Category.OVERFLOW,
        severity=Severity.HIGH,
        start=0,
        end=length,
        action=Action.BLOCK,
    )


def _next(texts: Sequence[str], first: int, room: int) -> Sequence[str]:
    """From a text on as many as have room together; at least one, and no long one beside another."""
    stop = first
    while stop < len(texts) and len(texts[stop]) <= _SHORT and room > 0:
        room -= len(texts[stop]) + 1
        stop += 1
    return texts[first : max(stop, first + 1)]


def _cut(piece: str, found: list[Finding]) -> int:
    """Where a piece ends: after a paragraph, a line or a word, inside no finding, in the half before the look-ahead."""
    least, most = PIECE // 2, PIECE - LOOK_AHEAD
    for mark in ("\n\n", "\n", " "):
        high = most
        while (at := piece.rfind(mark, least, high)) >= 0:
            cut = at + len(mark)
            across = [one.start for one in found if one.start < cut < one.end]
            if not across:
                return cut
            high = min(*across, at)
    return most
