"""Figures of rules and model together, each source left out of the model's training once; chooses the thresholds.

    python -m training.measure scores.npz [--choose]

`scores.npz` is what `training.train --scores` wrote. With `--choose` the thresholds at which the mean false alarms of
the benign sets reach `BUDGET` go into `thresholds.json`. The rules were written by hand with the development data in
view: for them nothing is left out, and their share of the figures is that much too kind.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from guard_integrations import GuardPolicy, InputSanitizer
from guard_integrations.cli.eval import wilson
from guard_integrations.core.scanner.classifier import HEADS
from guard_integrations.core.scanner.injection import MODEL_RULE
from training import data

BUDGET = 0.006
"""Mean false alarms that the thresholds may cause: under the 1 % that is allowed, since other sources are harder."""
SLOPE = {"input": 0.9, "document": 0.75}
"""Fitted to the scores of left-out sources (Platt); the thresholds stand for 0.5."""
FILE = Path(__file__).parent / "thresholds.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The texts of one set, label and stage: which rows of the scores, and how many the rules flag."""

    name: str
    label: int
    head: int
    rows: npt.NDArray[np.int64]


def groups(rows: list[data.Row]) -> list[Group]:
    places: dict[tuple[str, int, int], list[int]] = {}
    for number, row in enumerate(rows):
        head = HEADS.index(row.stage)
        places.setdefault((row.set, row.label, head), []).append(number)
        if row.set in data.BOTH:
            places.setdefault((row.set, row.label, 1 - head), []).append(number)
    return [Group(name=n, label=la, head=h, rows=np.array(found)) for (n, la, h), found in places.items()]


def by_rules(rows: list[data.Row]) -> npt.NDArray[np.bool_]:
    """Whether the rules flag each text, read as a user's turn and as a document."""
    guard = InputSanitizer(GuardPolicy(disabled_rules=frozenset({MODEL_RULE})))
    return np.array([[guard.scan(row.text, stage).is_injection for stage in ("input", "document")] for row in rows])


def rates(
    found: list[Group], scores: npt.NDArray[np.float64], rules: npt.NDArray[np.bool_], at: tuple[float, float]
) -> list[float]:
    return [float(np.mean((scores[g.rows, g.head] >= at[g.head]) | rules[g.rows, g.head])) for g in found]


def macro(found: list[Group], shares: list[float], label: int, head: int | None = None) -> float:
    """Mean over sets; a set that is read at two stages counts once, but for false alarms each reading counts."""
    sets: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for group, share in zip(found, shares, strict=True):
        if group.label == label and group.name not in data.UNTRAINED and head in (None, group.head):
            sets.setdefault((group.name, 0 if label else group.head), []).append((share, len(group.rows)))
    return float(np.mean([sum(s * n for s, n in parts) / sum(n for _, n in parts) for parts in sets.values()]))


def choose(found: list[Group], scores: npt.NDArray[np.float64], rules: npt.NDArray[np.bool_]) -> tuple[float, float]:
    chosen = []
    for head in range(len(HEADS)):
        for step in np.arange(-2, 8, 0.05):
            at = (float(step), 99.0) if head == 0 else (99.0, float(step))
            if macro(found, rates(found, scores, rules, at), 0, head) <= BUDGET:
                break
        chosen.append(round(float(step), 2))
    return chosen[0], chosen[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--choose", action="store_true")
    options = parser.parse_args()
    rows = [row for fold in data.FOLDS for row in data.rows(fold)]
    scores = np.load(options.scores)["scores"]
    rules = by_rules(rows)
    found = groups(rows)
    if options.choose:
        at = choose(found, scores, rules)
        settings = {head: {"threshold": at[n], "slope": SLOPE[head]} for n, head in enumerate(HEADS)}
        FILE.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    settings = json.loads(FILE.read_text(encoding="utf-8"))
    at = (settings["input"]["threshold"], settings["document"]["threshold"])
    both, alone = rates(found, scores, rules, at), rates(found, scores, rules, (99.0, 99.0))
    model = rates(found, scores, np.zeros_like(rules), at)
    print(f"thresholds {at[0]} (input), {at[1]} (document)")
    print("| set | stage | n | rules | model, left out | together | 95 % interval |\n|---|---|--:|--:|--:|--:|---|")
    for label, title in ((1, "attacks caught"), (0, "false alarms")):
        print(f"| **{title}** | | | | | | |")
        for group, share, by_rule, by_model in zip(found, both, alone, model, strict=True):
            if group.label == label:
                low, high = wilson(round(share * len(group.rows)), len(group.rows))
                stage = HEADS[group.head]
                noted = " (measured only)" if group.name in data.UNTRAINED else ""
                print(
                    f"| {group.name}{noted} | {stage} | {len(group.rows)} | {by_rule:.1%} | {by_model:.1%} | {share:.1%} | {low:.1%} to {high:.1%} |"
                )
        means = [macro(found, shares, label) for shares in (alone, model, both)]
        print(f"| **macro** | | | {means[0]:.1%} | {means[1]:.1%} | **{means[2]:.1%}** | |")


if __name__ == "__main__":
    main()
