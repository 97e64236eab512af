"""How well personal data are found, counted in characters: `measure.py [tune|held]` prints what is missed."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pii.corpus import LANGUAGES, Example, corpus

from guard_integrations import GuardPolicy
from guard_integrations.core.sanitizer.output import detector_of
from guard_integrations.core.scanner.rule import rules_of

Find = Callable[[str], Iterable[tuple[int, int]]]
"""Says which stretches of a text would be taken out, in any order; they may overlap."""


@dataclass(slots=True, kw_only=True)
class Score:
    """Characters found, and texts without personal data that were touched all the same."""

    hit: int = 0
    wrong: int = 0
    missed: int = 0
    touched: int = 0
    negatives: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Values of a kind of which a character was missed."""

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, over the characters of all texts; 0 to 1."""
        return 2 * self.hit / (2 * self.hit + self.wrong + self.missed or 1)

    @property
    def touched_share(self) -> float:
        """Share of the texts without personal data of which anything was taken; 0 to 1."""
        return self.touched / (self.negatives or 1)

    def add(self, example: Example, found: Iterable[tuple[int, int]]) -> None:
        """Counts one text."""
        taken = {at for start, end in found for at in range(start, end)}
        wanted = {at for start, end in example.spans for at in range(start, end)}
        self.hit += len(taken & wanted)
        self.wrong += len(taken - wanted)
        self.missed += len(wanted - taken)
        for kind, (start, end) in zip(example.kinds, example.spans, strict=True):
            self.kinds[kind] += not taken.issuperset(range(start, end))
        if not example.spans:
            self.negatives += 1
            self.touched += bool(taken)


def measured(find: Find, examples: Iterable[Example]) -> Score:
    """The score of a detector over these texts."""
    score = Score()
    for example in examples:
        score.add(example, find(example.text))
    return score


def ours() -> Find:
    """The rules for personal data, and those for addresses with a password in them."""
    policy = GuardPolicy()
    rules = [one for one in rules_of(policy, "output") if one.category == "pii" or one.id == "url-credentials"]
    detector = detector_of(policy, rules)
    return lambda text: [(one.start, one.end) for one in detector.start().feed(text, final=True).findings]


if __name__ == "__main__":
    split = sys.argv[1] if len(sys.argv) > 1 else "tune"
    examples = [one for one in corpus(seed=1) if one.split == split]
    find = ours()
    for language in (*LANGUAGES, ""):
        score = measured(find, [one for one in examples if one.language == language])
        print(language or "harmless", f"F1 {score.f1:.4f}", f"touched {score.touched_share:.3f}")  # noqa: T201 - a script
    whole = measured(find, examples)
    print(f"all F1 {whole.f1:.4f}", f"touched {whole.touched_share:.3f}")  # noqa: T201
    print(+whole.kinds)  # noqa: T201
    for example in examples if split == "tune" else ():
        found = list(find(example.text))
        wanted, taken = ({at for start, end in spans for at in range(start, end)} for spans in (example.spans, found))
        if wanted ^ taken:
            shown = "".join(
                f"{{-{char}-}}" if at in wanted - taken else f"{{+{char}+}}" if at in taken - wanted else char
                for at, char in enumerate(example.text)
            )
            print(repr(shown.replace("-}{-", "").replace("+}{+", "")))  # noqa: T201
