"""Trains the injection model, leaves every source out once to measure it, and writes the weights.

    python -m training.train --packages benign.jsonl.gz --out guard_integrations/core/scanner/weights/injection.npz

Needs scikit-learn beside the package itself; one core, about half an hour with `--scores`. The seed is in `corpus.SEED`.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import SGDClassifier

from guard_integrations.core.scanner.classifier import BUCKETS, HEADS, PER_TOKEN, SMOOTH, bags
from training import corpus, data
from training.corpus import IGNORED, SEED, Example

STEP = 0.02
"""What one step of a stored weight is worth."""
CAP = 30_000
"""Characters of a text that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of many texts: features, the text they are of, and their places."""

    features: sparse.csr_matrix
    owner: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int64]


def windows(examples: list[Example]) -> Windows:
    columns, values, rows, owner, spans = [], [], [0], [], []
    for number, example in enumerate(examples):
        read = bags(example.text[:CAP])
        for span, (first, last) in zip(read.spans, read.tokens, strict=True):
            ids = read.ids[first:last].ravel()
            columns.append(ids.astype(np.int32))
            values.append(np.full(len(ids), 1 / np.sqrt((last - first) * PER_TOKEN + SMOOTH), dtype=np.float32))
            rows.append(rows[-1] + len(ids))
            owner.append(number)
            spans.append(span)
    matrix = sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), np.array(rows)), shape=(len(rows) - 1, BUCKETS)
    )
    matrix.sum_duplicates()
    return Windows(features=matrix, owner=np.array(owner), spans=np.array(spans))


def highest(scores: npt.NDArray[np.float64], owner: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    top = np.full(count, -99.0)
    np.maximum.at(top, owner, scores)
    return top


class Trainer:
    """Fits a head: windows of benign texts are benign; of an attack, those that look most like one are the attack."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples
        self.windows = windows(examples)
        self.folds = np.array([example.fold for example in examples])
        self.sets = np.array([example.set for example in examples])
        self.labels = np.array([example.labels for example in examples])
        spans = np.array([example.span or (-1, -1) for example in examples])[self.windows.owner]
        overlap = np.minimum(self.windows.spans[:, 1], spans[:, 1]) - np.maximum(self.windows.spans[:, 0], spans[:, 0])
        self.known = spans[:, 0] >= 0
        self.inside = self.known & (overlap > 0.5 * (spans[:, 1] - spans[:, 0]))
        self.outside = self.known & (overlap <= 0)

    def fit(self, head: int, left_out: str | None, alpha: float = 2e-6) -> tuple[npt.NDArray[np.float32], float]:
        owner = self.windows.owner
        usable = (self.folds != left_out) & ~np.isin(self.sets, list(data.UNTRAINED))
        label = self.labels[owner, head].copy()
        label[self.outside] = 0
        label[self.known & ~self.inside & ~self.outside] = IGNORED
        label[~usable[owner]] = IGNORED
        mine = (np.isin(self.folds, ["own", "packages"]) & (self.sets != corpus.LONG))[owner]
        benign = np.flatnonzero(label == 0)
        written = np.flatnonzero((label == 1) & mine)
        found = np.flatnonzero((label == 1) & ~mine)
        sizes = {name: np.sqrt(max(1, np.sum(self.sets == name))) for name in set(self.sets)}
        chosen = found
        weights, bias = np.zeros(BUCKETS, dtype=np.float32), 0.0
        for last in (False, True):
            share = np.bincount(owner[chosen], minlength=len(self.examples))
            attack = np.array([1 / (sizes[self.sets[o]] * share[o]) for o in owner[chosen]])
            attack *= ATTACKS / attack.sum()
            rows = np.concatenate([benign, written, chosen])
            truth = np.concatenate([np.zeros(len(benign)), np.ones(len(rows) - len(benign))])
            weight = np.concatenate(
                [
                    np.where(self.folds[owner[benign]] == "packages", 0.7, 1.0),
                    np.full(len(written), WRITTEN),
                    attack,
                ]
            )
            model = SGDClassifier(
                loss="log_loss", alpha=alpha, max_iter=EPOCHS, tol=None, average=True, random_state=SEED
            )
            model.fit(self.windows.features[rows], truth, sample_weight=weight)
            weights, bias = model.coef_[0].astype(np.float32), float(model.intercept_[0])
            if not last:
                scores = self.windows.features[found] @ weights
                top = highest(scores, owner[found], len(self.examples))
                chosen = found[scores >= top[owner[found]] - 0.5]
        return weights, bias


ATTACKS, WRITTEN, EPOCHS = 12_000.0, 0.3, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--scores", type=Path, help="where the scores of the left-out sources go (npz)")
    parser.add_argument("--out", type=Path, help="where the weights go")
    parser.add_argument("--documents", type=int, default=14_000)
    parser.add_argument("--own", type=int, default=8_000)
    parser.add_argument("--alpha", type=float, default=2e-6)
    options = parser.parse_args()
    began = time.monotonic()
    ordinary = corpus.packages(options.packages, options.documents + 3000)
    carriers = [text for text in ordinary[:3000] if len(text) > 200]
    examples = list(corpus.development())
    measured = len(examples)
    examples += corpus.own(carriers, options.own)
    examples += [Example(text=t, labels=(0, 0), fold="packages", set="packages") for t in ordinary[3000:]]
    trainer = Trainer(examples)
    print(
        f"{len(examples)} texts, {trainer.windows.features.shape[0]} windows, {time.monotonic() - began:.0f} s",
        flush=True,
    )
    if options.scores:
        scores = np.full((measured, len(HEADS)), -99.0)
        for fold in data.FOLDS:
            rows = np.flatnonzero(trainer.folds[trainer.windows.owner] == fold)
            for head in range(len(HEADS)):
                weights, bias = trainer.fit(head, fold, options.alpha)
                top = highest(trainer.windows.features[rows] @ weights + bias, trainer.windows.owner[rows], measured)
                scores[trainer.folds[:measured] == fold, head] = top[trainer.folds[:measured] == fold]
            print(f"left out {fold}, {time.monotonic() - began:.0f} s", flush=True)
        np.savez(options.scores, scores=scores)
    if options.out:
        fitted = [trainer.fit(head, None, options.alpha) for head in range(len(HEADS))]
        stacked = np.stack([weights for weights, _ in fitted], axis=1)
        scale = np.full(len(HEADS), STEP)
        thresholds = json.loads((Path(__file__).parent / "thresholds.json").read_text(encoding="utf-8"))
        options.out.parent.mkdir(exist_ok=True)
        np.savez_compressed(
            options.out,
            weights=np.round(stacked / scale).astype(np.int16),
            scale=scale,
            bias=np.array([bias for _, bias in fitted]),
            threshold=np.array([thresholds[head]["threshold"] for head in HEADS]),
            slope=np.array([thresholds[head]["slope"] for head in HEADS]),
        )
        print(f"wrote {options.out}, {options.out.stat().st_size} bytes, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
