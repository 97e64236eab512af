"""Fuzzes the output sanitizer for as long as you like: `fuzz_stream.py SEED CASES`.

For every text made from the rules and every chunking: the joined stream is the batch, so are its findings, and
sanitising twice equals sanitising once. Prints the first difference with everything needed to see it again.
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

    def difference(self, seed: int) -> str | None:
        """What is wrong with the case of this seed; None when nothing is."""
        chance = Random(seed)  # noqa: S311 - no secret
        text = hostile(self.rules, chance)
        if self.name == "prompt":
            start, end = sorted((chance.randint(0, len(PROMPT)), chance.randint(0, len(PROMPT))))
            at = chance.randint(0, len(text))
            text = text[:at] + PROMPT[start:end] + text[at:]
        pieces = chunks(text, chance)
        batch = self.sanitizer.sanitize(text)
        stream = self.sanitizer.stream()
        joined = "".join([*map(stream.feed, pieces), stream.finish()])
        said = f"policy {self.name}, seed {seed}: {text!r}\n"
        if joined != batch.text:
            return f"{said}in pieces {pieces!r}\nbatch  {batch.text!r}\nstream {joined!r}"
        if stream.findings != batch.findings:
            return f"{said}in pieces {pieces!r}\nbatch  {batch.findings}\nstream {stream.findings}"
        again = self.sanitizer.sanitize(batch.text).text
        if again != batch.text:
            return f"{said}once  {batch.text!r}\ntwice {again!r}"
        return None


def run(seed: int, number: int) -> list[str]:
    """The differences among so many cases, at most five."""
    cases = [Case(name) for name in POLICIES]
    found: list[str] = []
    for index in range(number):
        difference = cases[index % len(cases)].difference(seed * 1_000_000_007 + index)
        if difference:
            found.append(difference)
        if len(found) == 5:
            break
    return found


if __name__ == "__main__":
    first, cases = int(sys.argv[1]), int(sys.argv[2])
    started = time.monotonic()
    differences = run(first, cases)
    print(  # noqa: T201 - a script
        "\n\n".join(differences) or f"{cases} cases, 0 differences, {time.monotonic() - started:.0f} s"
    )
    sys.exit(bool(differences))
