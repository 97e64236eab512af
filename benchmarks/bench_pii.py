r"""Personal data found, beside other libraries in the same run, on the evaluation set of `tests/pii`.

Character F1, share of the texts without personal data that are touched, microseconds a text. Libraries that are not
installed are named and left out. To have them all, without making them part of the project:

    uv run --no-project --with-editable . --with datafog --with presidio-analyzer --with langchain --with scrubadub \
        python benchmarks/bench_pii.py

Every peer looks for everything that it has without a model. Presidio runs on a blank pipeline of spaCy, in the text's
own language and in English, at the threshold that suits it best here; LangChain's detector of URLs is left out, since
an address of a page is no personal data.
"""

import importlib
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pii.corpus import Example, corpus
from pii.measure import Score, measured, ours

Detect = Callable[[str, str], Iterable[tuple[int, int]]]
"""Where the personal data stand in a text of a language."""


def langchain() -> dict[str, Detect]:
    """The detectors of PIIMiddleware."""
    module = importlib.import_module("langchain.agents.middleware._redaction")
    detectors = [getattr(module, f"detect_{kind}") for kind in ("email", "credit_card", "ip", "mac_address")]
    return {
        "langchain PIIMiddleware": lambda text, _: [
            (found["start"], found["end"]) for detect in detectors for found in detect(text)
        ]
    }


def datafog() -> dict[str, Detect]:
    """Its regular expressions, alone and with those of its locales."""
    scan = importlib.import_module("datafog.engine").scan

    def detect(text: str, locales: list[str] | None) -> list[tuple[int, int]]:
        return [(one.start, one.end) for one in scan(text, engine="regex", locales=locales).entities]

    return {"datafog": lambda text, _: detect(text, None), "datafog, locale de": lambda text, _: detect(text, ["de"])}


def scrubadub() -> dict[str, Detect]:
    """Its default detectors."""
    scrubber = importlib.import_module("scrubadub").Scrubber()
    return {"scrubadub": lambda text, _: [(one.beg, one.end) for one in scrubber.iter_filth(text)]}


def presidio() -> dict[str, Detect]:
    """All its pattern recognisers, at several thresholds."""
    analyzer = importlib.import_module("presidio_analyzer")
    spacy = importlib.import_module("spacy")
    engine_class: Any = importlib.import_module("presidio_analyzer.nlp_engine").SpacyNlpEngine
    languages = ["en", "fr", "de", "es", "it", "pl", "fi", "sv"]
    nlp = engine_class(models=[{"lang_code": one, "model_name": "blank"} for one in languages])
    nlp.nlp = {one: spacy.blank(one) for one in languages}
    registry = analyzer.RecognizerRegistry(supported_languages=languages)
    registry.load_predefined_recognizers(languages=languages)
    made = analyzer.AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=languages)

    def detect(text: str, language: str, threshold: float) -> list[tuple[int, int]]:
        wanted = {"en", language if language in languages else "en"}
        found = [one for each in wanted for one in made.analyze(text, language=each, score_threshold=threshold)]
        return [(one.start, one.end) for one in found if one.entity_type != "URL"]

    return {
        f"presidio, from {threshold}": lambda text, language, t=threshold: detect(text, language, t)
        for threshold in (0.3, 0.4, 0.5, 0.6)
    }


def score(detect: Detect, examples: list[Example]) -> tuple[Score, float]:
    """How well it finds, and the microseconds that a text takes it."""
    languages = {example.text: example.language for example in examples}
    # The first time, what is needed is made.
    for text, language in languages.items():
        detect(text, language)
    start = time.thread_time()
    for text, language in languages.items():
        detect(text, language)
    each = (time.thread_time() - start) / len(languages) * 1e6
    return measured(lambda text: detect(text, languages[text]), examples), each


def main() -> None:
    # Presidio's wants a list from the network, says that it cannot have it, and uses its own.
    logging.disable()
    examples = list(corpus(seed=1, each=2))
    held = [one for one in examples if one.split == "held"]
    find = ours()
    detectors: dict[str, Detect] = {"guard-integrations": lambda text, _: find(text)}
    missing: list[str] = []
    for load in (datafog, langchain, presidio, scrubadub):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                detectors |= load()
            except ImportError as error:
                missing.append(f"{load.__name__} ({error})")
    touched = sum(not one.spans for one in examples)
    print(f"{len(examples)} texts, {touched} of them without personal data; {len(held)} held back from tuning")
    print(f"{'':28}{'F1':>8}{'touched':>9}{'F1 held':>9}{'touched':>9}{'µs a text':>11}")
    for name, detect in detectors.items():
        whole, each = score(detect, examples)
        rest, _ = score(detect, held)
        print(
            f"{name:28}{whole.f1:>8.1%}{whole.touched_share:>9.1%}{rest.f1:>9.1%}{rest.touched_share:>9.1%}{each:>11.0f}"
        )
    if missing:
        print(f"not installed: {'; '.join(missing)}")


if __name__ == "__main__":
    main()
