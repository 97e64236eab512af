"""Makes everything of the injection model that is shipped, or said of it, in one run.

    python -m training.release benign.jsonl.gz

In this order: the scores of each source by a model that has not seen it; the thresholds, chosen by false alarms on
them; the weights, fitted to everything; and the figures in `docs/model-card.md`, which are of exactly that
configuration: the same features, seed, examples, rules and thresholds. `benign.jsonl.gz` is what `training.benign`
wrote. Needs the development data, and scikit-learn beside the package; five minutes of one core.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np

from training import data, measure
from training.train import Trainer, examples_of, left_out_scores, write_weights

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "guard_integrations" / "core" / "scanner" / "weights" / "injection.npz"
CARD = ROOT / "docs" / "model-card.md"
BEGIN, END = "<!-- figures: written by training.release -->", "<!-- end of the figures -->"


def write_card(figures: str, trainer: Trainer) -> None:
    before, _, rest = CARD.read_text(encoding="utf-8").partition(BEGIN)
    said = (
        f"Weights: SHA-256 `{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}`, {WEIGHTS.stat().st_size:,} bytes, "
        f"fitted to {len(trainer.examples):,} texts in {trainer.windows.features.shape[0]:,} windows."
    )
    after = rest.partition(END)[2]
    CARD.write_text(f"{before}{BEGIN}\n{said}\n\n{figures}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ordinary", type=Path)
    parser.add_argument("--scores", type=Path, help="where the scores of the left-out sources are kept as well (npz)")
    options = parser.parse_args()
    began = time.monotonic()
    rows = [row for fold in data.FOLDS for row in data.rows(fold)]
    trainer = Trainer(examples_of(options.ordinary))
    print(f"{trainer.windows.features.shape[0]} windows, {time.monotonic() - began:.0f} s", flush=True)
    scores = left_out_scores(trainer, rows)
    if options.scores:
        np.savez(options.scores, scores=scores)
    rules = measure.by_rules(rows)
    chosen = measure.choose(rows, scores, rules)
    measure.FILE.write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")
    write_weights(trainer, chosen, WEIGHTS)
    write_card(measure.table(rows, scores, rules, chosen), trainer)
    print(f"done, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
