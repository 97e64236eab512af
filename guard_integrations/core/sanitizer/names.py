"""Names of people and places through Presidio, over the spaCy models that a policy names. Needs the extra `presidio`."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, cast

from guard_integrations.core.policy import GuardPolicy, Strategy
from guard_integrations.core.sanitizer.redaction import treatments
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.detector import Clearing
from guard_integrations.core.scanner.name_rules import NAME_RULES
from guard_integrations.core.scanner.names import Analyzer, NameDetector
from guard_integrations.core.scanner.wordwise import Wordwise
from guard_integrations.errors import PolicyError

__all__ = ["name_detectors"]

_UNASKED: Final = (
    *("CARDINAL", "EVENT", "FAC", "LANGUAGE", "LAW", "MONEY", "ORDINAL", "PERCENT", "PRODUCT", "QUANTITY"),
    *("WORK_OF_ART", "MISC"),
)
"""Kinds that spaCy's models know and Presidio does not: it would log a warning for each."""


def name_detectors(
    policy: GuardPolicy,
    analyzer: Analyzer | None = None,
    *,
    vault: PseudonymVault | None = None,
    default: Strategy | None = None,
) -> tuple[Clearing, ...]:
    """What looks for names, where the policy asks for it; none where it does not.

    Args:
        policy: names the models, and what is done with a name.
        analyzer: an analyzer to use instead of one over the policy's models.
        vault: where pseudonyms are kept.
        default: the strategy where the policy names none.

    Raises:
        ImportError: the policy names models, and the extra `presidio` is not installed.
        PolicyError: a model that the policy names is not installed.
    """
    rules = [rule for rule in NAME_RULES if rule.id not in policy.disabled_rules]
    if not rules or (analyzer is None and not policy.name_models):
        return ()
    treated = treatments(policy, rules, vault=vault, default=default)
    looking = NameDetector(analyzer or _analyzer(policy.name_models), treated, allowed=frozenset(policy.allow))
    return (Wordwise(looking),)


def _analyzer(models: Mapping[str, str]) -> Analyzer:
    return _loaded(tuple(sorted(models.items())))


@lru_cache(maxsize=4)
def _loaded(models: tuple[tuple[str, str], ...]) -> Analyzer:
    """An analyzer over these models, by language; once for all that share them, since loading takes seconds."""
    missing = False
    try:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # noqa: PLC0415 - an extra
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine  # noqa: PLC0415 - an extra
        from spacy.util import is_package  # noqa: PLC0415 - an extra
    except ImportError:
        missing = True
    if missing:
        raise ImportError("name_models need an extra: pip install 'guard-integrations[presidio]'")
    # Presidio would download what is not there.
    for _, model in models:
        if not (is_package(model) or Path(model).is_dir()):
            raise PolicyError(f"name_models: the spaCy model {model!r} is missing: python -m spacy download {model}")
    languages = [language for language, _ in models]
    engine = SpacyNlpEngine(
        models=[{"lang_code": language, "model_name": model} for language, model in models],
        ner_model_configuration=NerModelConfiguration(labels_to_ignore=_UNASKED),
    )
    engine.load()
    # Its many other recognisers are left out: rules do their work.
    registry = RecognizerRegistry(supported_languages=languages)
    registry.add_nlp_recognizer(engine)
    return cast("Analyzer", AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=languages))
