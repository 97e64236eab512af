"""Keys, tokens and passwords in the text of a file, found by the rules that also keep them out of a model's answers.

Code is no prose: what is there to show what a key looks like, an address with a password in a docstring, and a password
beside its name are left out. A key of Mistral is 32 letters and digits and says nothing of itself: it is known by the name
it is given, or by the call it is passed to, which in code takes more forms than in an answer.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from guard_integrations.core.findings import Category
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.output import detector_of
from guard_integrations.core.scanner.rule import builtin_rules
from guard_integrations.core.scanner.session import RuleDetector
from guard_integrations.core.scanner.validators.secret import mixed

__all__ = ["Secret", "find_secrets", "masked", "wherever"]

_MASK: Final = "********"
_RANDOM: Final = re.compile(r"[A-Za-z0-9_\-]{20,}")
"""What is masked in a line that is shown if it looks like chance, though no rule knows it."""
_MISTRAL: Final = re.compile(
    r"(?i:\bmistral[\w.\-]{0,40}|\bapi[_\-]?keys?|\bkeyring|\bbearer)[\"'\]]{0,2}\s{0,4}"
    r"(?::\s{0,4}[A-Za-z\[\]|. ]{1,30}\s{0,4}=|[:=,(\[]|\s){1,4}\s{0,4}(?:SecretStr\()?[bf]?[\"'`]?"
    r"(?P<keys>[A-Za-z0-9]{32}(?![A-Za-z0-9_\-])(?:[\"'`,\s]{1,12}[A-Za-z0-9]{32}(?![A-Za-z0-9_\-]))*)"
)
"""What code does with a key of Mistral, or with several."""
_MOST: Final = 200
"""Values of a file that are looked for again."""
_ONE: Final = re.compile(r"[A-Za-z0-9]{32}")
_PROSE: Final = frozenset({"authorization-header", "command-line-credentials", "password", "password-field"})
"""Rules that read sentences, and take names in code for what they name."""
_SHAPELESS: Final = frozenset({"generic-secret", "mistral-key"})
"""Rules that know a value by its name, not by its form."""
_SAMPLE: Final = re.compile(r"(?i)abcdefgh|01234567|12345678|(.)\1{7}|example|eyJzdWIiOiIxMjM0NTY3ODkw")
"""What nobody is given as a key; the last is everybody's first JSON Web Token."""
_SHORTEST_TOKEN: Final = 60
"""Characters of a JSON Web Token, of which half is its signature."""
_KEY_BODY: Final = re.compile(r"KEY[^-]*-----(?:\\n|\s){1,4}(?:[A-Za-z-]+: .*\n)*[A-Za-z0-9+/=]{32}")
_SERVER: Final = re.compile(
    r"(?i)\b(?:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqps?|clickhouse)[+a-z]{0,16}://$"
)
_NOWHERE: Final = re.compile(r"(?i)@(?:localhost|127\.|0\.0\.|host\b|[a-z]{1,12}(?:[:/]|$))")
"""Servers of a developer's own machine and of a Compose file."""

_NAMES: Final = re.compile(
    r"[A-Za-z_$][\w$]*(?:\??\.[A-Za-z_$][\w$]*)+!?|(?:[A-Z][a-z]{2,}|[A-Z]?[0-9]{1,2})+|[0-9]+\.[0-9.]+\S*"
)
"""What stands for a value in code (`settings.secret_key`), names in CamelCase, and versions."""
_PUBLIC: Final = re.compile(
    r"(?i)(?:public_?key(?:_?token)?|publishable_?key|site-?_?key|rlkey)[\"']?\s{0,2}[:=]\s{0,2}[\"']?$"
)
"""Names of keys that are there to be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A place where a secret stands.

    Args:
        rule: the id of the rule that found it.
        start: first character.
        end: one past the last character.
    """

    rule: str
    start: int
    end: int


def find_secrets(text: str) -> tuple[Secret, ...]:
    """The secrets of a text, in their order, none within another."""
    found = [
        Secret(rule="mistral-key", start=one.start(), end=one.end())
        for match in _MISTRAL.finditer(text)
        for one in _ONE.finditer(text, match.start("keys"), match.end("keys"))
        if mixed(one[0])
    ]
    for finding in _detector().start().feed(text, final=True).findings:
        value = text[finding.start : finding.end]
        if not _SAMPLE.search(value) and _stands(finding.rule, text, finding.start, value):
            found.append(Secret(rule=finding.rule, start=finding.start, end=finding.end))
    kept: list[Secret] = []
    for secret in sorted(found, key=lambda each: (each.start, -each.end)):
        if not kept or secret.start >= kept[-1].end:
            kept.append(secret)
    return tuple(kept)


@cache
def _detector(*, prose: bool = False) -> RuleDetector:
    secret = (rule for rule in builtin_rules() if rule.category is Category.SECRET)
    return detector_of(GuardPolicy(), (rule for rule in secret if prose or rule.id not in _PROSE))


def _stands(rule: str, text: str, start: int, value: str) -> bool:
    """Whether a match is a secret in a file, too."""
    if rule in _SHAPELESS:
        return not _NAMES.fullmatch(value) and not _PUBLIC.search(text[max(0, start - 32) : start])
    if rule == "jwt":
        return len(value) >= _SHORTEST_TOKEN
    if rule == "private-key":
        return bool(_KEY_BODY.search(value))
    if rule == "url-credentials":
        return bool(_SERVER.search(text[max(0, start - 24) : start])) and not _NOWHERE.search(value)
    return True


def wherever(text: str, secrets: tuple[Secret, ...]) -> tuple[tuple[int, int], ...]:
    """From where to where a text has something that must not be shown.

    That is more than its secrets: they may stand again where no rule notices, and what is no finding in code, such as a
    password beside its name, is not to be shown for it.
    """
    seen = [(secret.start, secret.end) for secret in secrets]
    seen += [(finding.start, finding.end) for finding in _detector(prose=True).start().feed(text, final=True).findings]
    values = sorted({text[start:end] for start, end in seen if start < end})[:_MOST]
    again = ((match.start(), match.end()) for value in values for match in re.finditer(re.escape(value), text))
    return tuple(sorted({*seen, *again}))


def masked(text: str, hidden: tuple[tuple[int, int], ...], start: int = 0) -> str:
    """A piece of a text with its secrets masked.

    Args:
        text: the piece.
        hidden: where the whole text has something to hide, in order.
        start: where the piece begins in the whole.
    """
    parts: list[str] = []
    at = 0
    for first, last in hidden:
        begin, end = max(first - start, at), min(last - start, len(text))
        if begin < end:
            parts += [text[at:begin], _MASK]
            at = end
    return _RANDOM.sub(lambda match: _MASK if mixed(match[0]) else match[0], "".join([*parts, text[at:]]))
