"""Fits the injection model, for each source once without it; `training.release` does all of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import SGDClassifier

from guard_integrations.core.scanner.classifier import BUCKETS, HEADS, PER_TOKEN, SMOOTH, bags
from guard_integrations.core.scanner.injection import SAME_WORDS
from guard_integrations.core.scanner.normalise import views
from training import corpus, data
from training.corpus import IGNORED, SEED, Example

STEP = 0.02
"""What one step of a stored weight is worth."""
ALPHA = 1e-6
"""Weight of the penalty on large weights."""
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

    def fit(self, head: int, left_out: str | None) -> tuple[npt.NDArray[np.float32], float]:
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
                loss="log_loss",
                alpha=ALPHA,
                max_iter=EPOCHS if last else FIRST_EPOCHS,
                tol=None,
                average=True,
                random_state=SEED,
            )
            model.fit(self.windows.features[rows], truth, sample_weight=weight)
            weights, bias = model.coef_[0].astype(np.float32), float(model.intercept_[0])
            if not last:
                scores = self.windows.features[found] @ weights
                top = highest(scores, owner[found], len(self.examples))
                chosen = found[scores >= top[owner[found]] - 0.5]
        return weights, bias


ATTACKS, WRITTEN, EPOCHS = 12_000.0, 1.4, 7
FIRST_EPOCHS = 2
"""Enough to tell which windows of an attack look most like one."""


def examples_of(ordinary_text: Path, documents: int = 14_000, written: int = 8_000) -> list[Example]:
    """All there is to learn from, the development data first."""
    ordinary = corpus.packages(ordinary_text, documents + 3000)
    carriers = [text for text in ordinary[:3000] if len(text) > 200]
    return [
        *corpus.development(),
        *corpus.own(carriers, written),
        *(Example(text=t, labels=(0, 0), fold="packages", set="packages") for t in ordinary[3000:]),
        *corpus.frames(written),
    ]


def left_out_scores(trainer: Trainer, rows: list[data.Row]) -> npt.NDArray[np.float64]:
    """The highest score of each text of the development data, as read by a model that has not seen its source.

    Decodings are read as well, as `InjectionScanner` does. A head is not fitted for a fold that has no text for it.
    """
    decoded = [
        (number, Example(text=view.text, labels=(IGNORED, IGNORED), fold=row.fold, set=row.set))
        for number, row in enumerate(rows)
        for view in views(row.text).items[1:]
        if not view.name.endswith(SAME_WORDS)
    ]
    more = windows([example for _, example in decoded])
    more_owner = np.array([number for number, _ in decoded])[more.owner]
    folds = np.array([row.fold for row in rows])
    scores = np.full((len(rows), len(HEADS)), -99.0)
    for fold in data.FOLDS:
        read = np.flatnonzero(trainer.folds[trainer.windows.owner] == fold)
        read_more = np.flatnonzero(folds[more_owner] == fold)
        stages = {row.stage for row in rows if row.fold == fold}
        if any(row.set in data.BOTH for row in rows if row.fold == fold):
            stages |= {"input", "document"}
        for head, name in enumerate(HEADS):
            if name not in stages:
                continue
            weights, bias = trainer.fit(head, fold)
            found = np.concatenate([trainer.windows.features[read] @ weights, more.features[read_more] @ weights])
            owner = np.concatenate([trainer.windows.owner[read], more_owner[read_more]])
            scores[folds == fold, head] = highest(found + bias, owner, len(rows))[folds == fold]
        print(f"left out {fold}", flush=True)
    return scores


def write_weights(trainer: Trainer, thresholds: dict[str, dict[str, float]], out: Path) -> None:
    """Fits both heads to everything and writes what the package loads."""
    fitted = [trainer.fit(head, None) for head in range(len(HEADS))]
    scale = np.full(len(HEADS), STEP)
    np.savez_compressed(
        out,
        weights=np.round(np.stack([weights for weights, _ in fitted], axis=1) / scale).astype(np.int16),
        scale=scale,
        bias=np.array([bias for _, bias in fitted]),
        threshold=np.array([thresholds[head]["threshold"] for head in HEADS]),
        slope=np.array([thresholds[head]["slope"] for head in HEADS]),
    )
