"""What is found and what is flagged for nothing: injection, personal data, secrets, markup."""

import gzip
import json
import re
import statistics
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import nh3
from markup.judges import active, rendered_active
from pii.corpus import corpus
from pii.measure import measured, ours

from guard_integrations import InputSanitizer, OutputSanitizer
from training import data

from .peers import INJECTION, OURS, PERSONAL_DATA, SECRETS, Detect, Flags, installed, nemo_yara
from .table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

CARD = Path(__file__).parents[2] / "docs" / "model-card.md"
SAMPLE = 60
"""Texts of a set and label at most: some peers take 20 ms each."""
FOUND, FOR_NOTHING = "caught", "flagged for nothing"


def injection() -> Table:
    """Recall and false alarms, the mean over the sets."""
    chance = Random(1)  # noqa: S311 - a sample
    groups: dict[tuple[str, int], list[data.Row]] = defaultdict(list)
    for fold in data.FOLDS:
        for row in data.rows(fold):
            groups[row.set, row.label].append(row)
    samples = {key: chance.sample(rows, min(SAMPLE, len(rows))) for key, rows in groups.items()}
    guard = InputSanitizer()
    scanners: dict[str, Flags] = {
        f"{OURS}, as shipped": lambda text, stage: guard.scan(text, stage).is_injection,  # type: ignore[arg-type]
        **installed(INJECTION),
    }
    rows: list[tuple[str, float, float, float]] = [_left_out()]
    for name, flags in scanners.items():
        rates: dict[int, list[float]] = {0: [], 1: []}
        for (_, label), texts in samples.items():
            rates[label].append(statistics.mean(flags(row.text, row.stage) for row in texts))
        rows.append((name, statistics.mean(rates[1]), statistics.mean(rates[0]), max(rates[0])))
    percent = [Column(name=name, format=".1%") for name in (FOUND, FOR_NOTHING, "worst set")]
    return Table(
        title="Prompt injection",
        note=f"The development data, at most {SAMPLE} texts of a set and label; means over sets. Our model was trained "
        "on these sets: the fair row is the first, from the model card, where each source is left out of the training "
        "that it is measured with. What the others were trained on is not known.",
        columns=(Column(name="scanner"), *percent),
        rows=tuple(rows),
    )


def _left_out() -> tuple[str, float, float, float]:
    """What the model card says of sources that the model had not seen: mean recall, mean and highest false alarms."""
    card = CARD.read_text(encoding="utf-8")
    caught, flagged = (
        float(share) for share in re.findall(r"^\| \*\*macro\*\* .*\*\*([\d.]+)%\*\*", card, re.MULTILINE)
    )
    benign = card.split("**false alarms**")[1].split("**macro**")[0]
    worst = max(float(share) for share in re.findall(r"([\d.]+)% \| [^|]+ \|$", benign, re.MULTILINE))
    return f"{OURS}, each source left out", caught / 100, flagged / 100, worst / 100


def personal_data() -> Table:
    """Character F1 and texts touched for nothing."""
    examples = list(corpus(seed=1, each=2))
    held = [one for one in examples if one.split == "held"]
    languages = {one.text: one.language for one in examples}
    find = ours()
    detectors: dict[str, Detect] = {OURS: lambda text, _: find(text), **installed(PERSONAL_DATA)}
    rows = []
    for name, detect in detectors.items():
        whole, rest = (
            measured(lambda text, detect=detect: detect(text, languages[text]), part) for part in (examples, held)
        )
        rows.append((name, rest.f1, rest.touched_share, whole.f1, whole.touched_share))
    harmless = sum(not one.spans for one in examples)
    return Table(
        title="Personal data",
        note=f"Our own set (`tests/pii`): {len(examples)} texts in eight languages with valid check digits, {harmless} "
        f"of them with nothing personal in them; {len(held)} were held back from tuning. F1 counts characters. Peers "
        "look for all that they have without a model for names; LangChain's detector of URLs is left out.",
        columns=(
            Column(name="library"),
            Column(name="F1, held back", format=".1%"),
            Column(name="touched for nothing, held back", format=".1%"),
            Column(name="F1, all", format=".1%"),
            Column(name="touched for nothing, all", format=".1%"),
        ),
        rows=tuple(rows),
    )


def secrets() -> Table:
    """Examples and counterexamples of other scanners' rules."""
    sanitizer = OutputSanitizer(render="text")

    def found(text: str, _: str) -> bool:
        return any(finding.category == "secret" for finding in sanitizer.sanitize(text).findings)

    scanners: dict[str, Flags] = {OURS: found, **installed(SECRETS)}
    sets = {path.name.removesuffix(".jsonl.gz"): _rows(path) for path in sorted(data.folder().glob("secrets_*"))}
    rows = []
    for name, flags in scanners.items():
        shares: dict[int, list[float]] = {0: [], 1: []}
        for texts in sets.values():
            for label, part in shares.items():
                flagged = [flags(row["text"], "output") for row in texts if int(row["label"]) == label]
                part.extend([statistics.mean(flagged)] if flagged else [])
        rows.append((name, *shares[1], statistics.mean(shares[0]) if shares[0] else "none"))
    names = [name.removeprefix("secrets_").split("_")[0] for name in sets]
    return Table(
        title="Secrets",
        note="The examples that come with three scanners' rules. Ours looks for the formats that matter to people who "
        "use language models, not for every service there is.",
        columns=(
            Column(name="scanner"),
            *(Column(name=f"found, {name}", format=".1%") for name in names),
            Column(name="counterexamples flagged", format=".1%"),
        ),
        rows=tuple(rows),
    )


def markup() -> Table:
    """Active payloads that are left, and documents that are changed."""
    attacks = [row["text"] for path in sorted(data.folder().glob("xss_*")) for row in _rows(path)]
    links = [row["text"] for path in sorted(data.folder().glob("markdown_exfil_*")) for row in _rows(path)]
    documents = [row["text"] for row in _rows(data.folder() / "benign_docs_tech_dev.jsonl.gz")]
    page, chat = OutputSanitizer(render="html"), OutputSanitizer()
    yara = installed({"nemoguardrails (YARA)": nemo_yara})
    cleaners: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
        "nothing": (str, str),
        OURS: (lambda text: page.sanitize(text).text, lambda text: chat.sanitize(text).text),
        **{name: (clean, clean) for name, clean in installed({"nh3": lambda: nh3.clean}).items()},
        **{
            name: (lambda text, f=flags: "" if f(text, "") else text,) * 2  # type: ignore[misc] # one for both
            for name, flags in yara.items()
        },
    }
    rows = []
    for name, (html, markdown) in cleaners.items():
        rows.append(
            (
                name,
                sum(bool(active(html(text).encode("utf-8", "replace").decode())) for text in attacks),
                sum(bool(rendered_active(markdown(text))) for text in links),
                statistics.mean(markdown(text) != text for text in documents),
            )
        )
    return Table(
        title="Markup",
        note=f"{len(attacks)} XSS payloads put into a page, judged by an HTML5 parser: what runs, loads "
        f"by itself or links with data to a foreign host; {len(links)} Markdown answers that do the same, judged as six "
        f"Markdown renderers show them; {len(documents)} technical documents in Markdown, many with badges, which load "
        "from hosts that nobody has listed, or with examples of personal data. What YARA flags is counted as taken out.",
        columns=(
            Column(name="cleaner"),
            Column(name="payloads left active", format="d"),
            Column(name="exfiltration links left", format="d"),
            Column(name="documents changed", format=".1%"),
        ),
        rows=tuple(rows),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
