"""What is known about Mistral's moderation models, and where they are asked."""

import os
import warnings

__all__ = ["DEFAULT_MODEL", "api_base_url", "piece_limit", "warn_of_alias"]

DEFAULT_MODEL = "mistral-moderation-2603"
DEFAULT_BASE_URL = "https://api.mistral.ai/v1"
BASE_URL_VARIABLE = "MISTRAL_BASE_URL"

_CONTEXT = {"mistral-moderation-2603": 128_000, "mistral-moderation-2411": 8_000}
_LEAST_CONTEXT = 8_000
_MARGIN = 256
"""Tokens left to the classifier's own prompt."""
_POINTS_AT = {"mistral-moderation-latest": "mistral-moderation-2411, which is retired and has 8,000 tokens of context"}
_warned: set[str] = set()


def piece_limit(model: str) -> int:
    """The longest text, in bytes of UTF-8, that a model is sure to read whole; the least known for other models."""
    return _CONTEXT.get(model, _LEAST_CONTEXT) - _MARGIN


def warn_of_alias(model: str) -> None:
    """Warns, once in a process, that a name which ends in `-latest` means whatever its owner says today."""
    if not model.endswith("-latest") or model in _warned:
        return
    _warned.add(model)
    target = _POINTS_AT.get(model, "a model that its owner may change at any time")
    warnings.warn(
        f"{model} points at {target}; its categories and scores are not those of {DEFAULT_MODEL}: name that instead.",
        UserWarning,
        stacklevel=3,
    )


def api_base_url(given: str | None) -> str:
    """The API's address, ending in `/v1`: what is given, else MISTRAL_BASE_URL, else Mistral's own."""
    url = (given or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL).rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"
