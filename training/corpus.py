"""Everything the model is trained on, as examples with a label for each head."""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training import data, documents, personas, variants
from training.abroad import MORE
from training.grammar import ACTIONS, DISCUSSION, READERS, SYMBOLS, USERS, expand
from training.languages import LANGUAGES

SEED = 20261123
IGNORED = -1
LONG = "own_long"
"""The set of our own attacks in which, as in the development data's, it is not known which sentence is the attack."""

_QUESTIONS = frozenset(
    {"benign_dolly", "benign_oasst2", "benign_ultrachat", "benign_triviaqa", "benign_instructions_small"}
)
_DOCUMENTS_TOO = frozenset({"benign_docs_tech_dev", "benign_mmlu"})
_FOREIGN = [
    {name: [*texts, *MORE[language].get(name, [])] for name, texts in symbols.items()}
    for language, symbols in LANGUAGES.items()
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A text to learn from.

    Args:
        text: the text.
        labels: for the input head and the document head: 1, 0 or `IGNORED`.
        fold: the fold of the development data, or "own" or "packages".
        set: its set there.
        span: the attack's place, where it is known: windows elsewhere are benign.
    """

    text: str
    labels: tuple[int, int]
    fold: str
    set: str
    span: tuple[int, int] | None = None


def development() -> Iterator[Example]:
    """The development data, the sets that are measured only included."""
    for fold in data.FOLDS:
        for row in data.rows(fold):
            document = row.label
            if row.label == 0 and row.stage == "input" and row.set not in _DOCUMENTS_TOO:
                # A question stands in many an ordinary document; what else users ask says nothing about documents.
                document = 0 if row.set in _QUESTIONS and row.text.rstrip().endswith("?") else IGNORED
            given = row.label if row.stage == "input" or not row.label or data.is_direct(row) else IGNORED
            yield Example(text=row.text, labels=(given, document), fold=fold, set=row.set)


def packages(path: Path, count: int) -> list[str]:
    """A sample of the ordinary text that `training.benign` gathered."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    random.Random(SEED).shuffle(texts)
    return texts[:count]


def own(carriers: list[str], count: int) -> Iterator[Example]:
    """Attacks of our own, bare and planted at every position of ordinary documents, and their benign twins."""
    chooser = random.Random(SEED + 1)
    tables = [("direct", SYMBOLS, "<direct>", (1, 1)), ("planted", ACTIONS, "<planted>", (0, 1))]
    tables += [("direct", variants.DIRECT, "<s>", (1, 1)), ("planted", variants.TO_READERS, "<s>", (0, 1))]
    twins = [(READERS, (0, 0)), (USERS, (0, IGNORED)), (DISCUSSION, (0, 0))]
    twins += [(variants.ASKED, (0, IGNORED)), (variants.SAID, (0, 0))]
    for _ in range(count):
        for name, symbols, start, labels in tables:
            yield Example(text=expand(start, symbols, chooser), labels=labels, fold="own", set=f"own_{name}")
    for _ in range(count // 3):
        for symbols, labels in twins:
            yield Example(text=expand("<s>", symbols, chooser), labels=labels, fold="own", set="own_twins")
    for symbols in _FOREIGN:
        for _ in range(count // 9):
            yield Example(text=expand("<direct>", symbols, chooser), labels=(1, 1), fold="own", set="own_direct")
            yield Example(text=expand("<planted>", symbols, chooser), labels=(0, 1), fold="own", set="own_planted")
            yield Example(text=expand("<ordinary>", symbols, chooser), labels=(0, IGNORED), fold="own", set="own_twins")
    yield from _long(chooser, count)
    yield from _letters(chooser, carriers, count)
    everything = [(SYMBOLS, "<direct>", (1, 1)), (ACTIONS, "<planted>", (0, 1))]
    everything += [(variants.DIRECT, "<s>", (1, 1)), (variants.TO_READERS, "<s>", (0, 1))]
    foreign = [(symbols, start, labels) for symbols in _FOREIGN for _, _, start, labels in tables[:2]]
    for _ in range(count // 2):
        symbols, start, labels = chooser.choice(everything if chooser.random() < 0.75 else foreign)
        carrier = chooser.choice(carriers)[:1500]
        if chooser.random() < 0.3:
            carrier = _record(chooser, carrier)
        order = expand(start, symbols, chooser)
        breaks = [0, len(carrier), *(i + 1 for i, c in enumerate(carrier) if c in "\n'" or carrier[i : i + 2] == ". ")]
        cut = chooser.choice(breaks)
        glue = chooser.choice([" ", "\n", "\n\n"])
        text = carrier[:cut] + glue + order + glue + carrier[cut:]
        yield Example(text=text, labels=labels, fold="own", set="own_carried", span=(cut, cut + len(order) + len(glue)))
        if chooser.random() < 0.5:
            yield Example(text=carrier, labels=(0, 0), fold="own", set="own_twins")


def _long(chooser: random.Random, count: int) -> Iterator[Example]:
    """Jailbreaks of many sentences, which keep to one name, and ordinary role plays and task prompts."""
    for _ in range(count // 3):
        named = {**personas.JAILBREAKS, "name": [chooser.choice(personas.JAILBREAKS["name"])]}
        yield Example(text=expand("<s>", named, chooser), labels=(1, 1), fold="own", set=LONG)
        text = expand("<s>", personas.ORDINARY, chooser)
        yield Example(text=text, labels=(0, IGNORED), fold="own", set="own_twins")


def frames(count: int) -> Iterator[Example]:
    """Prompts of frameworks, answers of models, and questions about policies: all benign in a user's turn."""
    chooser = random.Random(SEED + 2)
    for _ in range(count // 2):
        text = expand("<s>", personas.FRAMES, chooser)
        yield Example(text=text, labels=(0, IGNORED), fold="own", set="own_twins")


def _letters(chooser: random.Random, carriers: list[str], count: int) -> Iterator[Example]:
    """Letters, notices, records and manuals, each as it is or with an order to an assistant in it."""
    starts = [("<asked>", (0, 1)), ("<shaped>", (IGNORED, 1))]
    for _ in range(count):
        start, labels = chooser.choice(starts)
        order = expand(start, documents.PLANTED, chooser)
        yield Example(text=order, labels=labels, fold="own", set="own_planted")
        parts = [expand("<s>", documents.ORDINARY, chooser) for _ in range(chooser.choice((1, 1, 2, 3)))]
        if chooser.random() < 0.4:
            parts.insert(chooser.randrange(len(parts) + 1), chooser.choice(carriers)[: chooser.randint(100, 900)])
        body = chooser.choice((" ", "\n", "\n\n")).join(parts)
        if chooser.random() < 0.5:
            # The order is all there is to a value of a record, or it stands in one.
            alone = chooser.random() < 0.5
            before, after = _record(chooser, body, "\0").split("\0", 1)
            body = body.replace("\n", "\\n") if before.startswith("{") else body
            text, glue = (before, "") if alone else (before + body, chooser.choice((" ", "\n")))
            poisoned = text + glue + order + after
            plain = before + body + after
        else:
            breaks = [
                0,
                len(body),
                *(i + 1 for i, c in enumerate(body) if c == "\n" or body[i : i + 2] in {". ", "? "}),
            ]
            cut = chooser.choice(breaks)
            glue, after = chooser.choice(("\n", " ", "\n\n")), body[cut:]
            text, plain = body[:cut], body
            poisoned = text + glue + order + glue + after
        span = (len(text), len(text) + len(glue) + len(order))
        yield Example(text=poisoned, labels=labels, fold="own", set="own_carried", span=span)
        yield Example(text=plain, labels=(0, 0), fold="own", set="own_twins")


def _record(chooser: random.Random, text: str, body: str | None = None) -> str:
    """A tool's result made of an ordinary text; `body` is one of its values, as it is."""
    words = text.split()

    def take(least: int, most: int) -> str:
        at = chooser.randrange(max(1, len(words) - most))
        return " ".join(words[at : at + chooser.randint(least, most)])

    fields = [
        "id",
        "title",
        "name",
        "body",
        "description",
        "status",
        "content",
        "from",
        "to",
        "date",
        "rating",
        "notes",
        "url",
        "price",
        "snippet",
        "sender",
        "subject",
        "reviews",
        "address",
    ]
    values = {
        name: chooser.choice(
            [take(1, 4), take(4, 25), str(chooser.randint(1, 99999)), "true", "2024-05-1" + str(chooser.randint(0, 9))]
        )
        for name in chooser.sample(fields, chooser.randint(3, 8))
    }
    if body is not None:
        values[chooser.choice(("body", "content", "description", "notes", "title", "message", "comment"))] = body
    shape = chooser.random()
    if shape < 0.35:
        return str({"result": [values]}).replace("\\x00", "\0")
    if shape < 0.6:
        return json.dumps(values, ensure_ascii=False).replace("\\u0000", "\0")
    if shape < 0.85:
        return "\n".join(f"{name}: {value}" for name, value in values.items())
    return " | ".join(values) + "\n" + " | ".join(values.values())
