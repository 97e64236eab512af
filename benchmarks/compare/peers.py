"""The peers, each at its defaults, as functions of a text. None of them becomes part of the project."""

import importlib
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

Flags = Callable[[str, str], bool]
"""Whether a text that stands at a stage is flagged."""
Detect = Callable[[str, str], Iterable[tuple[int, int]]]
"""Where the personal data stand in a text of a language."""
Made = TypeVar("Made")

OURS = "guard-integrations"
LANGUAGES = ["en", "fr", "de", "es", "it", "pl", "fi", "sv"]

missing: dict[str, str] = {}
"""Peers that could not be had, and why."""


def installed(makers: dict[str, Callable[[], Made]]) -> dict[str, Made]:
    """What could be made, under names with versions; a name begins with its package. The others become `missing`."""
    found: dict[str, Made] = {}
    for name, make in makers.items():
        package, _, rest = name.partition(" ")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[f"{package} {version(package)} {rest}".strip()] = make()
        except (ImportError, PackageNotFoundError) as error:
            missing[package] = type(error).__name__
    return found


# -- prompt injection --------------------------------------------------------------------------------------------------


def stackone() -> Flags:
    """Both tiers, its own model included."""
    defense = importlib.import_module("stackone_defender").create_prompt_defense(block_high_risk=True)
    return lambda text, _: not defense.defend_tool_result(text, "read_file").allowed


def forcefield() -> Flags:
    """The default sensitivity."""
    guard = importlib.import_module("forcefield").Guard()
    return lambda text, _: bool(guard.scan(text).blocked)


def zn_gate() -> Flags:
    """The rules that it ships."""
    evaluate = importlib.import_module("zn_gate").evaluate
    return lambda text, _: evaluate(text).verdict != "allow"


def nemo_yara() -> Flags:
    """The YARA rules of its injection rail: SQL, templates, code and markup, not orders to a model."""
    yara = importlib.import_module("yara")
    rules = Path(importlib.import_module("nemoguardrails.library.injection_detection").__file__ or "").parent
    compiled = yara.compile(filepaths={file.stem: str(file) for file in sorted(rules.glob("yara_rules/*.yara"))})
    return lambda text, _: bool(compiled.match(data=text))


INJECTION: dict[str, Callable[[], Flags]] = {
    "stackone-defender": stackone,
    "forcefield": forcefield,
    "zn-gate": zn_gate,
    "nemoguardrails (YARA)": nemo_yara,
}


# -- personal data -----------------------------------------------------------------------------------------------------


def langchain() -> Detect:
    """The detectors of PIIMiddleware but that of URLs: the address of a page is no personal data."""
    module = importlib.import_module("langchain.agents.middleware._redaction")
    detectors = [getattr(module, f"detect_{kind}") for kind in ("email", "credit_card", "ip", "mac_address")]
    return lambda text, _: [(one["start"], one["end"]) for detect in detectors for one in detect(text)]


def datafog() -> Detect:
    """Its regular expressions, with those of its locale."""
    scan = importlib.import_module("datafog.engine").scan
    return lambda text, _: [(one.start, one.end) for one in scan(text, engine="regex", locales=["de"]).entities]


def scrubadub() -> Detect:
    """Its default detectors."""
    scrubber = importlib.import_module("scrubadub").Scrubber()
    return lambda text, _: [(one.beg, one.end) for one in scrubber.iter_filth(text)]


def presidio() -> Detect:
    """All its pattern recognisers on a blank pipeline of spaCy, in the text's language and in English, from 0.4.

    That threshold suits it best here.
    """
    analyzer = importlib.import_module("presidio_analyzer")
    spacy = importlib.import_module("spacy")
    engine_class: Any = importlib.import_module("presidio_analyzer.nlp_engine").SpacyNlpEngine
    nlp = engine_class(models=[{"lang_code": one, "model_name": "blank"} for one in LANGUAGES])
    nlp.nlp = {one: spacy.blank(one) for one in LANGUAGES}
    registry = analyzer.RecognizerRegistry(supported_languages=LANGUAGES)
    registry.load_predefined_recognizers(languages=LANGUAGES)
    made = analyzer.AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=LANGUAGES)

    def detect(text: str, language: str) -> list[tuple[int, int]]:
        wanted = {"en", language if language in LANGUAGES else "en"}
        found = [one for each in sorted(wanted) for one in made.analyze(text, language=each, score_threshold=0.4)]
        return [(one.start, one.end) for one in found if one.entity_type != "URL"]

    return detect


def euredact() -> Detect:
    """The rules of all its countries."""
    redact = importlib.import_module("euredact").redact
    return lambda text, _: [(one.start, one.end) for one in redact(text, cache=False).detections]


def argus() -> Detect:
    """Its regular expressions in the Latin languages that it has."""
    redact = importlib.import_module("argus_redact").redact
    languages = ["en", "de", "uk", "br"]
    return lambda text, _: [
        (one["start"], one["end"]) for one in redact(text, lang=languages, detailed=True)[2]["entities"]
    ]


PERSONAL_DATA: dict[str, Callable[[], Detect]] = {
    "langchain (PIIMiddleware)": langchain,
    "presidio-analyzer": presidio,
    "datafog": datafog,
    "euredact": euredact,
    "argus-redact": argus,
    "scrubadub": scrubadub,
}


# -- secrets -----------------------------------------------------------------------------------------------------------


def detect_secrets() -> Flags:
    """All its plug-ins, line by line."""
    settings = importlib.import_module("detect_secrets.settings")
    scan_line = importlib.import_module("detect_secrets.core.scan").scan_line

    def flags(text: str, _: str) -> bool:
        with settings.default_settings():
            return any(True for line in text.splitlines() for _ in scan_line(line))

    return flags


SECRETS: dict[str, Callable[[], Flags]] = {"detect-secrets": detect_secrets, "zn-gate": zn_gate}
