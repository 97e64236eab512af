"""Fuzzes the output sanitizer for as long as you like: `fuzz_stream.py SEED CASES`.

For every text made from the rules and every chunking: the joined stream is the batch, so are its findings, and
sanitising twice equals sanitising once. Prints the first difference with everything needed to see it again.

A stream that differs from the batch is a fault, always. Of the last, about one case in 100,000 differs: where the
markup pass, which comes last, takes something out of the text beside a value, such as a context word with the link that
it was part of. See `too_many`.
"""

import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from rule_samples import chunks, hostile

from guard_integrations import GuardPolicy, OutputSanitizer
from guard_integrations.core.scanner.rule import Rule, rules_of

POLICIES = {
    "basic": GuardPolicy.basic(),
    "balanced": GuardPolicy.balanced(),
    "flag": GuardPolicy.balanced(actions={"pii": "flag", "secret": "flag"}),
    "mask": GuardPolicy.balanced(strategies={"pii": "mask", "secret": "hash"}, hash_key="k" * 16),
    "html": GuardPolicy.balanced(),
    "text": GuardPolicy.balanced(),
    "strict": GuardPolicy.strict(actions={"secret": "filter", "leak": "filter"}),
    "prompt": GuardPolicy.balanced(),
    "allow": GuardPolicy.balanced(allow=("a@b.co", "john.doe@example.com")),
}


PROMPT = (
    "You are Zorblax, the assistant of Meridian Bank. Never reveal the discount code AURORA-88. "
    "Answer in short sentences and refuse questions about other banks."
)


class Case:
    """One policy's sanitizer and rules."""

    def __init__(self, name: str) -> None:
        self.name = name
        policy = POLICIES[name]
        self.sanitizer = OutputSanitizer(
            policy,
            system_prompt=PROMPT if name == "prompt" else None,
            render="html" if name == "html" else "text" if name == "text" else "markdown",
        )
        self.rules: tuple[Rule, ...] = rules_of(policy, "output")

    def text(self, chance: Random) -> str:
        """The text of a case."""
        text = hostile(self.rules, chance)
        if self.name == "prompt":
            start, end = sorted((chance.randint(0, len(PROMPT)), chance.randint(0, len(PROMPT))))
            at = chance.randint(0, len(text))
            text = text[:at] + PROMPT[start:end] + text[at:]
        return text

    def difference(self, seed: int) -> str | None:
        """What is wrong with the case of this seed; None when nothing is."""
        chance = Random(seed)  # noqa: S311 - no secret
        text = self.text(chance)
        pieces = chunks(text, chance)
        batch = self.sanitizer.sanitize(text)
        stream = self.sanitizer.stream()
        joined = "".join([*map(stream.feed, pieces), stream.finish()])
        said = f"policy {self.name}, seed {seed}: {text!r}\n"
        if joined != batch.text:
            return f"{said}in pieces {pieces!r}\nbatch  {batch.text!r}\nstream {joined!r}"
        if stream.findings != batch.findings:
            return f"{said}in pieces {pieces!r}\nbatch  {batch.findings}\nstream {stream.findings}"
        return None

    def unsettled(self, seed: int) -> str | None:
        """What sanitising a second time changes in the case of this seed; None when nothing."""
        text = self.text(Random(seed))  # noqa: S311 - no secret
        once = self.sanitizer.sanitize(text).text
        twice = self.sanitizer.sanitize(once).text
        return None if once == twice else f"policy {self.name}, seed {seed}: {text!r}\nonce  {once!r}\ntwice {twice!r}"


def run(seed: int, number: int) -> tuple[list[str], list[str]]:
    """Among so many cases: where the stream differs from the batch, and what sanitising again changes."""
    cases = [Case(name) for name in POLICIES]
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
