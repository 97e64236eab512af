"""Figures of rules and model together, each source left out of the model's training once; chooses the thresholds.

    python -m training.measure scores.npz

`scores.npz` is what `training.release --scores` keeps. The rules were written by hand with the development data in
view: for them nothing is left out, and their share of the figures is that much too kind.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from guard_integrations import GuardPolicy, InputSanitizer
from guard_integrations.cli.eval import wilson
from guard_integrations.core.scanner.classifier import HEADS
from guard_integrations.core.scanner.injection import MODEL_RULE
from training import data

BUDGET = 0.005
"""Mean false alarms that the thresholds may cause: under the 1 % that is allowed, since other sources are harder."""
WORST = 0.03
"""False alarms that they may cause in one set."""
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


def choose(
    rows: list[data.Row], scores: npt.NDArray[np.float64], rules: npt.NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """The lowest threshold of each head whose false alarms, the rules' included, keep to `BUDGET` and `WORST`."""
    found = groups(rows)
    chosen = {}
    for head, name in enumerate(HEADS):
        for threshold in np.arange(-4, 10, 0.05):
            at = (threshold, 99.0) if head == 0 else (99.0, threshold)
            shares = rates(found, scores, rules, at)
            worst = max(s for s, g in zip(shares, found, strict=True) if not g.label and g.head == head)
            if macro(found, shares, 0, head) <= BUDGET and worst <= WORST:
                break
        chosen[name] = {
            "threshold": round(float(threshold), 2) + 0.0,  # no negative zero
            "slope": round(slope([g for g in found if g.head == head], scores[:, head], threshold), 2),
        }
    return chosen


def slope(found: list[Group], scores: npt.NDArray[np.float64], threshold: float) -> float:
    """How steep the logistic curve is that says most truly how sure a score is; 0.5 stays at the threshold (Platt)."""

    def loss(steepness: float) -> float:
        return sum(
            float(np.mean(np.log1p(np.exp((1 - 2 * g.label) * steepness * (scores[g.rows] - threshold)))))
            for g in found
        )

    return float(minimize_scalar(loss, bounds=(0.2, 3), method="bounded").x)


def table(
    rows: list[data.Row],
    scores: npt.NDArray[np.float64],
    rules: npt.NDArray[np.bool_],
    chosen: dict[str, dict[str, float]],
) -> str:
    """The figures of every set, in Markdown."""
    found = groups(rows)
    at = (chosen["input"]["threshold"], chosen["document"]["threshold"])
    both, alone = rates(found, scores, rules, at), rates(found, scores, rules, (99.0, 99.0))
    model = rates(found, scores, np.zeros_like(rules), at)
    lines = [
        f"thresholds {at[0]} (input), {at[1]} (document)",
        "",
        "| set | stage | n | rules | model, left out | together | 95 % interval |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for label, title in ((1, "attacks caught"), (0, "false alarms")):
        lines.append(f"| **{title}** | | | | | | |")
        for group, share, by_rule, by_model in zip(found, both, alone, model, strict=True):
            if group.label == label:
                low, high = wilson(round(share * len(group.rows)), len(group.rows))
                noted = " (measured only)" if group.name in data.UNTRAINED else ""
                lines.append(
                    f"| {group.name}{noted} | {HEADS[group.head]} | {len(group.rows)} | {by_rule:.1%} | {by_model:.1%} "
                    f"| {share:.1%} | {low:.1%} to {high:.1%} |"
                )
        means = [macro(found, shares, label) for shares in (alone, model, both)]
        lines.append(f"| **macro** | | | {means[0]:.1%} | {means[1]:.1%} | **{means[2]:.1%}** | |")
    return "\n".join(lines) + "\n\n" + strictly(found, scores, rules, chosen) + "\n\n" + budgets(found, scores, rules)


def strictly(
    found: list[Group],
    scores: npt.NDArray[np.float64],
    rules: npt.NDArray[np.bool_],
    chosen: dict[str, dict[str, float]],
) -> str:
    """The same for the profile `strict`, whose scores mean what they mean in `balanced`."""
    least = GuardPolicy.strict().injection_threshold
    logit = float(np.log(least / (1 - least)))
    at = [chosen[head]["threshold"] + logit / chosen[head]["slope"] for head in HEADS]
    shares = rates(found, scores, rules, (at[0], at[1]))
    worst, name = max((share, group.name) for share, group in zip(shares, found, strict=True) if not group.label)
    return (
        f"The profile `strict` ({least}) catches {macro(found, shares, 1):.1%} at {macro(found, shares, 0):.1%} false "
        f"alarms (macro), {worst:.1%} in the worst set (`{name}`)."
    )


def budgets(found: list[Group], scores: npt.NDArray[np.float64], rules: npt.NDArray[np.bool_]) -> str:
    """What more or fewer false alarms would buy."""
    lines = ["| macro false alarms allowed | caught (macro) | BIPIA caught |", "|--:|--:|--:|"]
    bipia = next(n for n, g in enumerate(found) if g.name == "bipia_train_embedded" and g.label)
    for budget in (0.003, 0.005, 0.01, 0.02, 0.05):
        at = []
        for head in range(len(HEADS)):
            for threshold in np.arange(-6, 10, 0.05):
                one = (threshold, 99.0) if head == 0 else (99.0, threshold)
                if macro(found, rates(found, scores, rules, one), 0, head) <= budget:
                    break
            at.append(float(threshold))
        shares = rates(found, scores, rules, (at[0], at[1]))
        lines.append(f"| {budget:.1%} | {macro(found, shares, 1):.1%} | {shares[bipia]:.1%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path)
    options = parser.parse_args()
    rows = [row for fold in data.FOLDS for row in data.rows(fold)]
    print(table(rows, np.load(options.scores)["scores"], by_rules(rows), json.loads(FILE.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
