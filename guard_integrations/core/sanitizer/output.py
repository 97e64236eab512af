"""Makes the model's answer safe to show."""

from collections.abc import Iterable
from functools import lru_cache, partial
from typing import TypeVar, get_args

from guard_integrations.core.choices import require_choice
from guard_integrations.core.findings import Action, Sanitized, SanitizedValue
from guard_integrations.core.policy import GuardPolicy, Strategy
from guard_integrations.core.sanitizer.json_stream import JsonStream
from guard_integrations.core.sanitizer.keyed import after_key
from guard_integrations.core.sanitizer.names import name_detectors
from guard_integrations.core.sanitizer.redaction import REPLACED, treatments
from guard_integrations.core.sanitizer.stream import OutputStream
from guard_integrations.core.sanitizer.values import map_strings
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.catalogue import require_disabled_known
from guard_integrations.core.scanner.detector import Detector
from guard_integrations.core.scanner.engine import RuleSet
from guard_integrations.core.scanner.invisible import InvisibleDetector
from guard_integrations.core.scanner.leak import LeakDetector
from guard_integrations.core.scanner.markup import MarkupDetector, Render
from guard_integrations.core.scanner.name_rules import NAME_RULES
from guard_integrations.core.scanner.names import Analyzer
from guard_integrations.core.scanner.rule import Rule, rules_of
from guard_integrations.core.scanner.session import RuleDetector
from guard_integrations.core.scanner.wordwise import Wordwise
from guard_integrations.errors import PolicyError

__all__ = ["OutputSanitizer", "compiled", "detector_of"]

_Value = TypeVar("_Value")


@lru_cache(maxsize=32)
def compiled(rules: tuple[Rule, ...]) -> RuleSet:
    """The rules, compiled; once for all that share them."""
    return RuleSet(rules)


def detector_of(
    policy: GuardPolicy,
    rules: Iterable[Rule],
    *,
    vault: PseudonymVault | None = None,
    default: Strategy | None = None,
    flood: Action | None = None,
) -> RuleDetector:
    """The rules as a detector that does what the policy says; for the rest see `treatments` and `RuleDetector`."""
    chosen = tuple(rules)
    treated = treatments(policy, chosen, vault=vault, default=default)
    return RuleDetector(compiled(chosen), treated, allowed=frozenset(policy.allow), flood=flood)


class OutputSanitizer:
    """Takes out of an answer what must not reach the reader. Immutable, and safe to share between threads.

    A stream equals the batch however it is cut into chunks. Sanitising twice equals sanitising once, with three
    exceptions: values that a vault puts back would be taken out, an analyzer of names may see others the second time,
    and what ran straight into a link that is gone (`password=W2@https://…`) may be taken for a value then.

    Args:
        policy: what to look for and what to do about it.
        system_prompt: the actual system prompt, which must not come out; without it none is looked for.
        render: where the answer will be shown. Only in `markdown` is there code, which markup rules leave alone;
            other rules never do.
        vault: holds the conversation's pseudonyms: their tokens become values again after everything else, except
            inside URLs. Also needed for the strategy `pseudonymise`.
        analyzer: a Presidio `AnalyzerEngine` of your own that finds names; without it, one is made over the policy's
            `name_models`, if it names any. With either a stream shows a paragraph when it has ended.

    Raises:
        ImportError: the policy has `name_models`, and the extra `presidio` is not installed.
        PolicyError: the policy leaves nothing to look for, names a rule that does not exist, one of its rule packs is
            not valid, or there is no such `render`.
    """

    def __init__(
        self,
        policy: GuardPolicy | None = None,
        *,
        system_prompt: str | None = None,
        render: Render = "markdown",
        vault: PseudonymVault | None = None,
        analyzer: Analyzer | None = None,
    ) -> None:
        require_choice("render", render, get_args(Render))
        self.policy = policy or GuardPolicy()
        self._vault = vault
        require_disabled_known(self.policy)
        rules = rules_of(self.policy, "output")
        if not rules:
            raise PolicyError("the policy leaves no rule for output: enable one, or leave the sanitizer out")
        # What may go without a trace goes in a pass of its own, so that the rest is searched for in what is left.
        traceless = [rule for rule in rules if not rule.label]
        named = [rule for rule in rules if rule.category in REPLACED]
        names = name_detectors(self.policy, analyzer, vault=vault)
        labels = {rule.label for rule in (*rules, *(NAME_RULES if names else ()))}
        passes = (
            self._invisible(),
            (detector_of(self.policy, traceless, vault=vault),) if traceless else (),
            # Before the rules, for which what is left of a leak is context.
            self._leaks(system_prompt, labels),
            # This looks for everything again: beside a label there may be what was not there before.
            # Names are looked for beside it, so that one inside a secret does not break the secret up.
            (looking := detector_of(self.policy, rules, vault=vault), *names),
        )
        self._passes = tuple(detectors for detectors in passes if detectors)
        # What has been written in another's stead may be the half of a link.
        markup = self._markup(render)
        self._last = (markup,) if markup else ()
        # Where markup or a name goes, context may go with it: from there on the rules look once more.
        self._again = looking if markup or names else None
        self._names = bool(names)
        self._named = detector_of(self.policy, named, vault=vault) if named else None

    def _invisible(self) -> tuple[Detector, ...]:
        if self.policy.profile == "basic":
            return ()
        return (InvisibleDetector(action=self.policy.actions.invisible, disabled=self.policy.disabled_rules),)

    def _markup(self, render: Render) -> tuple[Detector, ...]:
        if self.policy.profile == "basic":
            return ()
        return (
            MarkupDetector(
                render=render,
                allowed_hosts=self.policy.allowed_hosts,
                listed_only=self.policy.profile == "strict",
                action=self.policy.actions.markup,
                disabled=self.policy.disabled_rules,
            ),
        )

    def _leaks(self, system_prompt: str | None, labels: set[str]) -> tuple[Detector, ...]:
        if not system_prompt:
            return ()
        leaks = LeakDetector(
            system_prompt, action=self.policy.actions.leak, disabled=self.policy.disabled_rules, labels=labels
        )
        return (Wordwise(leaks),)

    def sanitize(self, text: str, *, restore: bool = True) -> Sanitized:
        """Makes a whole answer safe.

        Args:
            text: the answer.
            restore: whether the vault's tokens become values again.

        Raises:
            GuardBlocked: a rule refuses the answer.
            GuardUnavailable: a detector failed, and the policy does not say `on_error="allow"`.
        """
        stream = self.stream(restore=restore)
        clean = stream.feed_last(text)
        return Sanitized(text=clean, findings=stream.findings)

    def stream(self, *, restore: bool = True) -> OutputStream:
        """A session for one answer that arrives in pieces.

        Args:
            restore: whether the vault's tokens become values again.
        """
        return self._start(None, restore=restore)

    def json_stream(self, *, restore: bool = False) -> JsonStream:
        """A session for one JSON document that arrives in pieces, made safe value by value; see `sanitize_value`.

        What is no JSON is made safe as the text it is. Where an answer stops being JSON after a part of it has been
        shown, what follows is read together with that part.

        Args:
            restore: whether the vault's tokens become values again.
        """
        return JsonStream(partial(self._start, restore=restore))

    def sanitize_value(self, value: _Value, *, restore: bool = False) -> SanitizedValue[_Value]:
        """Makes a structure safe, string by string: a tool's arguments, JSON, a pydantic object.

        Types and keys stay; a string that holds JSON is made safe inside and stays JSON. A value is also looked at
        together with its key: what follows "password" is a secret there too. Numbers and bytes are not looked at.

        Args:
            value: the structure; it is not changed itself.
            restore: whether the vault's tokens become values again. A tool may carry them anywhere.

        Raises:
            GuardBlocked: a rule refuses one of the strings.
            GuardUnavailable: the structure is nested more than 100 deep.
        """
        changed, findings = map_strings(value, partial(self._start, restore=restore))
        return SanitizedValue(value=changed, findings=findings)

    def _start(self, key: str | None, *, restore: bool) -> OutputStream:
        """A session for a text, which is read after its key too where it has one."""
        restorer = self._vault.restorer() if restore and self._vault is not None else None
        keyed = () if key is None or self._named is None else (after_key(key, self._named),)
        after = (*keyed, *self._last)
        return OutputStream(
            (*self._passes, *after),
            restorer,
            on_error=self.policy.on_error,
            again=self._again,
            # Names go in the pass of the rules, markup in the last one.
            watched=len(after) + 1 if self._names else 1,
        )
