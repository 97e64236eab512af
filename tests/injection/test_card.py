"""The model card speaks of the weights that ship, and of no others."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np

from guard_integrations.core.scanner.classifier import HEADS

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "guard_integrations" / "core" / "scanner" / "weights" / "injection.npz"
CARD = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
CHOSEN = json.loads((ROOT / "training" / "thresholds.json").read_text(encoding="utf-8"))


def test_the_thresholds_on_the_card_are_the_shipped_ones():
    with np.load(WEIGHTS) as stored:
        shipped = stored["threshold"].round(6).tolist()
        slopes = stored["slope"].round(6).tolist()
    said = re.search(r"^thresholds (\S+) \(input\), (\S+) \(document\)$", CARD, re.MULTILINE)
    assert [float(one) for one in said.groups()] == shipped
    assert [CHOSEN[head]["threshold"] for head in HEADS] == shipped
    assert [CHOSEN[head]["slope"] for head in HEADS] == slopes


def test_the_card_names_the_shipped_weights():
    data = WEIGHTS.read_bytes()
    assert hashlib.sha256(data).hexdigest() in CARD
    assert f"{len(data):,} bytes" in CARD
    assert len(data) <= 3_000_000


def test_the_figures_on_the_card_are_those_that_are_promised():
    caught, alarms = re.findall(r"^\| \*\*macro\*\* .*\*\*(\S+)%\*\*", CARD, re.MULTILINE)
    assert float(caught) >= 75
    assert float(alarms) <= 1
    rates = re.findall(
        r"^\| (\S+) \| \S+ \| \d+ \|(?: \S+% \|){2} (\S+)% \|", CARD.partition("**false alarms**")[2], re.MULTILINE
    )
    assert len(rates) > 15
    assert all(float(rate) <= 3 for _, rate in rates)
