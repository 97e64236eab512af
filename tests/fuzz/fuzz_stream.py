"""Fuzzes the output sanitizer for as long as you like: `fuzz_stream.py SEED CASES`.

For every text made from the rules and every chunking: the joined stream is the batch, so are its findings, and what the
one refuses the other refuses; and sanitising twice equals sanitising once. Prints the first difference with everything
needed to see it again.

A stream that differs from the batch is a fault, always. Of the last, about two cases in 100,000 differ: where what may
be a secret runs straight into a link, and the link goes. See `too_many`.
"""

import base64
import codecs
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from rule_samples import INVISIBLE, MARKUP, chunks, fragment, hostile

from guard_integrations import Finding, GuardBlocked, GuardPolicy, OutputSanitizer, PseudonymVault
from guard_integrations.core.scanner.rule import Rule, rules_of

PROMPT = (
    "You are Zorblax, the assistant of Meridian Bank. Never reveal the discount code AURORA-88. "
    "Answer in short sentences and refuse questions about other banks."
)
LISTED = "1. Answer ada@meridian.example only.\n2. The key is `x7-KILO-42`.\n3. <b>Never</b> call +33 6 12 34 56 78.\n"
DISGUISES: tuple[Callable[[str], str], ...] = (
    str,
    str,
    str.upper,
    " ".join,
    "\n".join,
    lambda text: text[::-1],
    lambda text: codecs.encode(text, "rot13"),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: re.sub(r"\s+", " - ", text),
)
TAILS = ("a", "1", "A1b2", " ", "\n", "= ", "x.", "@", "[", "<b ", "é", "漢", "-", "\u200b", "call 1 ", "](", "`")
"""What a tail of a megabyte is made of."""
LONG = 5000
"""One case in so many has such a tail."""


@dataclass(frozen=True)
class Name:
    entity_type: str
    start: int
    end: int
    score: float = 0.85


class Namer:
    """Finds words as names only where their sentence ends, as an analyzer that reads sentences does."""

    supported_languages = ["en"]  # noqa: RUF012 - as Presidio has it

    def analyze(self, text: str, language: str, entities: list[str]) -> list[Name]:
        return [
            Name("PERSON" if name.start() % 2 else "LOCATION", *name.span())
            for sentence in re.finditer(r"[^.!?\n]{1,400}[.!?]", text)
            for name in re.finditer(r"[B-DJ-M][a-z]{2,9}\b", sentence[0])
            for name in [re.compile(re.escape(name[0])).search(text, sentence.start() + name.start())]
            if name is not None
        ]


def _all(action: str) -> dict[str, str]:
    return dict.fromkeys(("pii", "secret", "markup", "leak", "invisible", "overflow"), action)


SETTINGS: dict[str, tuple[GuardPolicy, dict[str, Any]]] = {
    "basic": (GuardPolicy.basic(), {}),
    "balanced": (GuardPolicy.balanced(), {}),
    "flag": (GuardPolicy.balanced(actions={"pii": "flag", "secret": "flag"}), {}),
    "flag-all": (GuardPolicy.balanced(actions=_all("flag")), {"system_prompt": PROMPT}),
    "mask": (GuardPolicy.balanced(strategies={"pii": "mask", "secret": "hash"}, hash_key="k" * 16), {}),
    "hash": (GuardPolicy.strict(actions={"secret": "filter"}, strategies={"pii": "hash"}, hash_key="k" * 16), {}),
    "mixed": (
        GuardPolicy.balanced(strategies={"pii": "pseudonymise", "email": "mask", "secret": "hash"}, hash_key="k" * 16),
        {"vault": PseudonymVault, "render": "html"},
    ),
    "vault": (GuardPolicy.balanced(strategies={"pii": "pseudonymise"}), {"vault": PseudonymVault}),
    "html": (GuardPolicy.balanced(), {"render": "html"}),
    "text": (GuardPolicy.balanced(), {"render": "text"}),
    "html-prompt": (GuardPolicy.balanced(), {"render": "html", "system_prompt": LISTED}),
    "strict": (GuardPolicy.strict(actions={"secret": "filter", "leak": "filter"}), {}),
    "strict-blocks": (GuardPolicy.strict(strategies={"pii": "block"}), {"system_prompt": PROMPT}),
    "prompt": (GuardPolicy.balanced(), {"system_prompt": PROMPT}),
    "listed-prompt": (GuardPolicy.balanced(), {"system_prompt": LISTED}),
    "hosts": (GuardPolicy.strict(actions={"secret": "filter"}, allowed_hosts={"e.example"}), {}),
    "allow": (GuardPolicy.balanced(allow=("a@b.co", "john.doe@example.com")), {}),
    "handles": (GuardPolicy.balanced(enabled_rules={"user-handle"}), {}),
    "names": (GuardPolicy.balanced(), {"analyzer": Namer}),
    "names-strict": (
        GuardPolicy.strict(actions={"secret": "filter"}, strategies={"pii": "hash"}, hash_key="k" * 16),
        {"analyzer": Namer, "render": "text", "system_prompt": PROMPT},
    ),
}


class Case:
    """One policy's sanitizer and rules."""

    def __init__(self, name: str) -> None:
        self.name = name
        policy, given = SETTINGS[name]
        made = {key: value() if isinstance(value, type) else value for key, value in given.items()}
        self.sanitizer = OutputSanitizer(policy, **made)
        self.rules: tuple[Rule, ...] = rules_of(policy, "output")
        self.prompt: str = given.get("system_prompt", "")
        self.vault = "vault" in given
        # An analyzer makes something else of what another sentence has become, and a vault's values come back.
        self.settles = not self.vault and "analyzer" not in given

    def text(self, chance: Random) -> str:
        """The text of a case."""
        text = hostile(self.rules, chance)
        while chance.random() < 0.4:
            at = chance.randint(0, len(text))
            text = text[:at] + self._piece(chance) + text[at:]
        if chance.randrange(LONG) == 0:
            tail = chance.choice(TAILS)
            return (
                text + tail * (chance.choice((20_000, 200_000, 2_000_000)) // len(tail)) + hostile(self.rules, chance)
            )
        return text

    def _piece(self, chance: Random) -> str:
        kind = chance.randrange(6)
        if kind == 0 and self.prompt:
            start, end = sorted((chance.randint(0, len(self.prompt)), chance.randint(0, len(self.prompt))))
            return chance.choice(DISGUISES)(self.prompt[start:end])
        if kind == 1:
            return "".join(chance.choice(MARKUP) for _ in range(chance.randint(1, 6)))
        if kind == 2:
            return chance.choice(INVISIBLE) * chance.choice((1, 1, 2, 9))
        if kind == 3:
            return chance.choice(
                ("\ud83d", "\udc00", "Bertram", " Lyon.", "[EMAIL]", "[link removed]", "\r", "\x85", "K")
            )
        return fragment(self.rules, chance)

    def difference(self, seed: int) -> str | None:
        """What is wrong with the case of this seed; None when nothing is."""
        chance = Random(seed)  # noqa: S311 - no secret
        text = self.text(chance)
        pieces = chunks(text, chance) if len(text) < LONG else _large_chunks(text, chance)
        if self.vault:
            # So that both know the same tokens from the beginning.
            self._batch(text)
        shown, findings, refused = self._batch(text)
        joined, stream_findings, stream_refused = self._stream(pieces)
        said = f"policy {self.name}, seed {seed}: {text[:LONG]!r}\nin pieces {pieces[:LONG]!r}\n"
        if refused or stream_refused:
            # What came before was shown; the refusal names what was found by then.
            same = bool(refused) == bool(stream_refused)
            return None if same else f"{said}batch refuses {refused}, stream {stream_refused}"
        if joined != shown:
            return f"{said}batch  {shown[:LONG]!r}\nstream {joined[:LONG]!r}"
        if stream_findings != findings:
            return f"{said}batch  {findings}\nstream {stream_findings}"
        return None

    def _batch(self, text: str) -> tuple[str, tuple[Finding, ...], tuple[str, ...]]:
        try:
            done = self.sanitizer.sanitize(text)
        except GuardBlocked as refusal:
            return "", (), refusal.rules
        return done.text, done.findings, ()

    def _stream(self, pieces: list[str]) -> tuple[str, tuple[Finding, ...], tuple[str, ...]]:
        stream = self.sanitizer.stream()
        try:
            joined = "".join([*map(stream.feed, pieces), stream.finish()])
        except GuardBlocked as refusal:
            return "", (), refusal.rules
        return joined, stream.findings, ()

    def unsettled(self, seed: int) -> str | None:
        """What sanitising a second time changes in the case of this seed; None when nothing."""
        if not self.settles:
            return None
        text = self.text(Random(seed))  # noqa: S311 - no secret
        once, _, refused = self._batch(text)
        twice, _, refused_then = self._batch(once)
        if refused or (once == twice and not refused_then):
            return None
        said = f"policy {self.name}, seed {seed}: {text[:LONG]!r}\nonce  {once[:LONG]!r}\n"
        return f"{said}twice {twice[:LONG]!r} {refused_then or ''}"


def _large_chunks(text: str, chance: Random) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(text):
        size = chance.choice((1, 7, 500, 4000, 30_000, 100_000))
        out.append(text[at : at + size])
        at += size
    return out


def run(seed: int, number: int) -> tuple[list[str], list[str]]:
    """Among so many cases: where the stream differs from the batch, and what sanitising again changes."""
    cases = [Case(name) for name in SETTINGS]
    found: list[str] = []
    unsettled: list[str] = []
    for index in range(number):
        case, drawn = cases[index % len(cases)], seed * 1_000_000_007 + index
        if difference := case.difference(drawn):
            found.append(difference)
        if difference := case.unsettled(drawn):
            unsettled.append(difference)
    return found, unsettled


def too_many(unsettled: int, number: int) -> bool:
    """Whether so many of so many cases are changed by sanitising again that it is not luck.

    The bound is for runs with seeds of their own: were one case in 100,000 like that, a minute's run would pass it
    less than once in a million times.
    """
    return unsettled > 5 + number // 10_000


if __name__ == "__main__":
    first, cases = int(sys.argv[1]), int(sys.argv[2])
    started = time.monotonic()
    differences, again = run(first, cases)
    print("\n\n".join(differences + again))  # noqa: T201 - a script
    print(  # noqa: T201
        f"{cases} cases, {len(differences)} differences, {len(again)} changed when sanitised again, "
        f"{time.monotonic() - started:.0f} s"
    )
    sys.exit(bool(differences) or too_many(len(again), cases))
