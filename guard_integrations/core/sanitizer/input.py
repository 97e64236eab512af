"""Looks at what comes in for the model: the user's turn, retrieved documents, tools' results."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final, TypeAlias

from guard_integrations.core.choices import require_choice
from guard_integrations.core.events import EventKind, GuardEvent, emit
from guard_integrations.core.findings import Action, Category, Finding, Sanitized, ScanResult, Stage
from guard_integrations.core.policy import GuardPolicy, Strategy
from guard_integrations.core.sanitizer.names import name_detectors
from guard_integrations.core.sanitizer.output import detector_of
from guard_integrations.core.sanitizer.passes import Pass
from guard_integrations.core.sanitizer.redaction import REPLACED
from guard_integrations.core.sanitizer.stream import blocked, failure, unavailable
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.catalogue import require_disabled_known
from guard_integrations.core.scanner.detector import Clearing, Detector, Step
from guard_integrations.core.scanner.injection import MODEL_RULE, Examined, InjectionScanner
from guard_integrations.core.scanner.names import Analyzer
from guard_integrations.core.scanner.overflow import LENGTH_RULE, UNSETTLED_RULE, overflow
from guard_integrations.core.scanner.rule import rules_of
from guard_integrations.errors import PolicyError

__all__ = ["InputSanitizer"]

_MOST_ROUNDS: Final = 8
_TOGETHER: Final = 32
"""Texts that the model reads in one go: more take no less time."""


class InputSanitizer:
    """Finds and removes what tries to give the model orders. Immutable, and safe to share between threads.

    Personal data and secrets are left alone, since they are the user's own and the model may need them, unless the
    policy says `redact_input` or there is a vault. Sanitising twice equals sanitising once. Nothing is wrapped: see
    `build_safe_messages`.

    Args:
        policy: what to look for and what to do about it.
        vault: where the conversation's pseudonyms are kept: personal data and secrets become tokens, unless the
            policy's strategies say otherwise. Give the same one to `OutputSanitizer`.
        analyzer: a Presidio `AnalyzerEngine` of your own that finds names, where personal data are looked for; without
            it, one is made over the policy's `name_models`, if it names any.
        stage: the one that is made ready at once; the others are when they are first met, which takes half a second.

    Raises:
        ImportError: the policy has `name_models`, and the extra `presidio` is not installed.
        PolicyError: the policy leaves nothing to look for, names a rule that does not exist, or one of its rule packs
            is not valid.
    """

    def __init__(
        self,
        policy: GuardPolicy | None = None,
        *,
        vault: PseudonymVault | None = None,
        analyzer: Analyzer | None = None,
        stage: Stage = "input",
    ) -> None:
        self.policy = policy or GuardPolicy()
        self._vault = vault
        self._analyzer = analyzer
        self._stages: dict[Stage, _Stage] = {}
        require_disabled_known(self.policy)
        self._at(stage)

    def _at(self, stage: Stage) -> "_Stage":
        """What looks at the texts of a stage, compiled when it is first met."""
        if stage not in self._stages:
            require_choice("stage", stage, ("input", "document", "tool"))
            self._stages[stage] = _stage(self.policy, stage, self._vault, self._analyzer)
        return self._stages[stage]

    def scan(self, text: str, stage: Stage = "input") -> ScanResult:
        """Says what is in a text and changes nothing.

        Args:
            text: any text.
            stage: where it stands: "input" for a user's turn, "document", or "tool".

        Raises:
            PolicyError: there is no such stage.
            GuardUnavailable: the text could not be scanned, and the policy does not say `on_error="allow"`.
        """
        return self._scanned(*self._run(text, stage)[1:])

    def clears(self, texts: Sequence[str], stage: Stage = "input") -> bool:
        """Whether it is certain that `scan` finds nothing in any of these texts, all looked at together.

        For many short texts this takes a fraction of the time. False says nothing: scan them, or fewer of them.

        Args:
            texts: any texts.
            stage: where they stand.

        Raises:
            PolicyError: there is no such stage.
        """
        at = self._at(stage)
        if any(len(text) > self.policy.max_input_chars for text in texts):
            return False
        joined = "\n".join(texts)
        try:
            return all(detector.clears(joined) for detector in at.detectors) and (
                at.injections is None or at.injections.clears(texts)
            )
        except Exception:  # noqa: BLE001 - whatever it is, a scan will say
            return False

    def scan_each(self, texts: Sequence[str], stage: Stage = "input") -> list[ScanResult]:
        """What `scan` says of each of many texts, in less time where most hold nothing.

        The model reads many together, and only those are scanned one by one in which there may be something. Scores
        may differ in the last place.

        Args:
            texts: any texts.
            stage: where they stand.

        Raises:
            PolicyError: there is no such stage.
            GuardUnavailable: a text could not be scanned, and the policy does not say `on_error="allow"`.
        """
        return [self._scanned(*done[1:]) for done in self._run_each(texts, stage)]

    def _scanned(self, findings: tuple[Finding, ...], score: float) -> ScanResult:
        return ScanResult(
            findings=findings, injection_score=score, is_injection=score >= self.policy.injection_threshold
        )

    def sanitize(self, text: str, stage: Stage = "input") -> Sanitized:
        """Makes a text fit for the model: what the policy filters is replaced, and what is too long is refused, or cut.

        Args:
            text: any text.
            stage: where it stands: "input" for a user's turn, "document", or "tool".

        Raises:
            GuardBlocked: the policy refuses the text.
            GuardUnavailable: the text could not be scanned, and the policy does not say `on_error="allow"`.
        """
        return _passed(stage, *self._run(text, stage)[:2])

    def sanitize_each(self, texts: Sequence[str], stage: Stage = "input") -> list[Sanitized]:
        """What `sanitize` makes of each of many texts, in less time; see `scan_each`.

        Args:
            texts: any texts.
            stage: where they stand.

        Raises:
            GuardBlocked: the policy refuses a text.
            GuardUnavailable: a text could not be scanned, and the policy does not say `on_error="allow"`.
        """
        return [_passed(stage, *done[:2]) for done in self._run_each(texts, stage)]

    def _run(self, text: str, stage: Stage) -> "_Done":
        flow = self._filtered(text, self._at(stage))
        step = self._step(flow, text, stage, None)
        while isinstance(step, str):
            step = self._step(flow, text, stage, None)
        return step

    def _run_each(self, texts: Sequence[str], stage: Stage) -> "list[_Done]":
        """All texts at once, round by round."""
        at = self._at(stage)
        flows = [self._filtered(text, at) for text in texts]
        steps = [self._step(flow, text, stage, None) for flow, text in zip(flows, texts, strict=True)]
        done = [step for step in steps if not isinstance(step, str)]
        while len(done) < len(steps):
            waiting = [number for number, step in enumerate(steps) if isinstance(step, str)]
            scores = self._low_scores([step for step in steps if isinstance(step, str)], at)
            for number, score in zip(waiting, scores, strict=True):
                steps[number] = self._step(flows[number], texts[number], stage, score)
            done = [step for step in steps if not isinstance(step, str)]
        return done

    def _step(self, flow: "_Flow", text: str, stage: Stage, low: float | None) -> "str | _Done":
        """The text that is looked at next, or how it ended.

        Args:
            flow: of one text.
            text: as it came in.
            stage: where it stands.
            low: the score of what is looked at, where it is certain that nothing is found in it; None to begin with.
        """
        try:
            return flow.send(low)
        except StopIteration as ended:
            done: _Done = ended.value
            return done
        except Exception as error:  # noqa: BLE001 - whatever a detector raises, nothing of it may get out
            problem = failure(error)
        if self.policy.on_error == "block":
            raise unavailable(problem)
        emit(GuardEvent(kind=EventKind.ALLOWED, stage=stage, error="GuardUnavailable"))
        return text, (), 0.0

    def _low_scores(self, texts: Sequence[str], at: "_Stage") -> list[float | None]:
        """The score of each text in which certainly nothing is found. None says nothing."""
        scores: list[float | None] = []
        for first in range(0, len(texts), _TOGETHER):
            group = texts[first : first + _TOGETHER]
            try:
                scores += self._low_scores_together(group, at)
            except Exception:  # noqa: BLE001 - whatever it is, a scan will say
                scores += [None] * len(group)
        return scores

    def _low_scores_together(self, texts: Sequence[str], at: "_Stage") -> list[float | None]:
        limit = self.policy.max_input_chars
        clear = [len(text) <= limit and all(one.clears(text) for one in at.detectors) for text in texts]
        shown = [text for text, one in zip(texts, clear, strict=True) if one]
        scores = iter([0.0] * len(shown) if at.injections is None else at.injections.low_scores(shown))
        return [next(scores) if one else None for one in clear]

    def _filtered(self, text: str, at: "_Stage") -> "_Flow":
        """Yields what it is about to look at, and takes its score where nothing is in it."""
        limit = self.policy.max_input_chars
        on_overflow = self.policy.action(Category.OVERFLOW)
        length, cut = len(text), None
        if self.policy.profile != "basic" and length > limit and on_overflow is not Action.FLAG:
            # `basic` is defined to filter first; here the limit protects the guard as well.
            text, cut = text[:limit], limit
        elif length > limit:
            cut = limit if on_overflow is Action.FLAG else None
        passes: list[Pass] = []
        findings: set[Finding] = set()
        score = 0.0
        # A label ends a word that went on before, and so does the cut: until neither makes a new finding.
        for _ in range(_MOST_ROUNDS):
            low = yield text
            if low is not None:
                score = score if passes else low
                break
            detectors: tuple[Detector, ...] = at.detectors
            if at.injections is not None:
                examined = at.injections.examine(text)
                # What was filtered before does not make the text that came in any better.
                score = score if passes else examined.score
                detectors = (*detectors, _Known(examined))
            one = Pass(detectors)
            clean = one.feed(text, final=True)
            findings.update(_placed(found, passes) for found in one.findings)
            if len(clean) > limit and on_overflow is not Action.FLAG:
                here = _placed(overflow(LENGTH_RULE, limit, limit, on_overflow), [*passes, one]).start
                cut = here if cut is None else min(cut, here)
                clean = clean[:limit]
            passes.append(one)
            if clean == text or any(finding.action is Action.BLOCK for finding in one.findings):
                break
            text = clean
        else:
            # What was filtered made something new each time: hostile, or a rule whose label is a match. Nobody knows
            # what is left in it.
            findings.add(overflow(UNSETTLED_RULE, 0, length, Action.BLOCK))
        if cut is not None:
            findings.add(overflow(LENGTH_RULE, cut, length, on_overflow))
        found = tuple(sorted(findings, key=attrgetter("start", "end", "rule")))
        score = max([score, *(one.score for one in found if one.category is Category.INJECTION)])
        return text, found, score


_Done: TypeAlias = tuple[str, tuple[Finding, ...], float]
"""A text as it goes on, what was found, and the score."""
_Flow: TypeAlias = Generator[str, float | None, _Done]


def _passed(stage: Stage, text: str, findings: tuple[Finding, ...]) -> Sanitized:
    """What goes on, where nothing refuses it."""
    if any(finding.action is Action.BLOCK for finding in findings):
        raise blocked(stage, findings)
    return Sanitized(text=text, findings=findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What looks at the texts of a stage: the rules, and for injections in all but `basic` more than rules."""

    detectors: tuple[Clearing, ...]
    injections: InjectionScanner | None


def _stage(policy: GuardPolicy, stage: Stage, vault: PseudonymVault | None, analyzer: Analyzer | None) -> _Stage:
    replaces = vault is not None or policy.redact_input
    default = None if vault is None else Strategy.PSEUDONYMISE
    rules = [rule for rule in rules_of(policy, stage) if replaces or rule.category not in REPLACED]
    names = name_detectors(policy, analyzer, vault=vault, default=default) if replaces else ()
    modelled = policy.profile != "basic" and MODEL_RULE not in policy.disabled_rules
    if not rules and not modelled:
        raise PolicyError(
            f"the policy leaves nothing to look for in {stage}: enable a rule, or leave the sanitizer out"
        )
    if policy.profile == "basic":
        return _Stage(detectors=(detector_of(policy, rules, vault=vault, default=default), *names), injections=None)
    orders = [rule for rule in rules if rule.category is Category.INJECTION]
    others = [rule for rule in rules if rule.category is not Category.INJECTION]
    return _Stage(
        detectors=(*((detector_of(policy, others, vault=vault, default=default),) if others else ()), *names),
        injections=InjectionScanner(
            policy, detector_of(policy, orders, flood=_flood(policy)) if orders else None, stage
        ),
    )


def _flood(policy: GuardPolicy) -> Action:
    """What is done with the rest of a text that is too much to scan: what stands in it may be either."""
    asked = policy.action(Category.INJECTION), policy.action(Category.OVERFLOW)
    return max(asked, key=list(Action).index)


class _Known:
    """A detector, and a session, for one text that has been examined."""

    def __init__(self, examined: Examined) -> None:
        self._examined = examined

    def start(self) -> "_Known":
        """Itself: it knows of one text only."""
        return self

    def feed(self, text: str, *, final: bool = False) -> Step:
        """What is known of the whole text, whatever is fed."""
        del text, final
        return self._examined.step


def _placed(finding: Finding, passes: list[Pass]) -> Finding:
    """A finding in the caller's text that was made after some passes."""
    start, end = finding.start, finding.end
    for earlier in reversed(passes):
        start, end = earlier.origin(start, end)
    return replace(finding, start=start, end=end)
