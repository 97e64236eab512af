"""Mistral's own guardrails: what a chat request asks for, and what the answer says about it. Pure.

They run on the server and look at the input alone. The documentation contradicts itself on the form of the verdict
(a list or an object, and how deep), so the reader walks to whatever holds decisions, and takes numbers and
well-formed names from there; nothing else that the server wrote gets through.

Source: https://docs.mistral.ai/capabilities/guardrailing/, and the API's own specification.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from guard_integrations.core.choices import require_choice
from guard_integrations.core.moderation.decision import (
    CATEGORIES_2411,
    CATEGORIES_2603,
    SUBJECTS,
    Preset,
    check_thresholds,
    is_category_name,
    read_score,
)
from guard_integrations.errors import GuardBlocked, GuardUnavailable, PolicyError

__all__ = [
    "GuardrailVerdict",
    "MistralGuardrail",
    "guardrail_categories",
    "guardrail_refusal",
    "guardrails_payload",
    "read_guardrails",
]

GuardrailVerdict: TypeAlias = dict[str, object]
"""`name, violated, action`, the violated `categories`, and `scores` and `thresholds` by category; ready for JSON."""

COMPONENT = "guardrail"
BLOCK_RULE = "mistral-guardrail"
_FORBIDDEN = 403
_SERVER_ERROR_CODES = (3201, "3201")
_TAXONOMIES = {"2603": ("moderation_llm_v2", CATEGORIES_2603), "2411": ("moderation_llm_v1", CATEGORIES_2411)}
_NEVER = 1.0
"""A threshold that no score is above."""
_DEEPEST = 8
_ACTIONS = frozenset({"none", "pass", "block"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MistralGuardrail:
    """One guardrail for Mistral to run on the input of a chat request, with defaults that guard.

    The API's own defaults do not: there, `action` is "none" and `block_on_error` is false.

    Args:
        thresholds: by category, the score above which it is violated, 0 to 1; the server's own where none is given.
        block_on_error: whether a failure of the guardrail refuses the request.
        action: "block" refuses what violates it, "none" only reports it.
        preset: "harm-only" leaves `health, financial, law, pii` out, unless they have a threshold; "all" does not.
        only_thresholds: judges the categories in `thresholds` and no other.
        taxonomy: "2603" or "2411", for the model whose categories are meant.

    Raises:
        PolicyError: for a category that the taxonomy does not have, or a guardrail that judges nothing.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    block_on_error: bool = True
    action: Literal["block", "none"] = "block"
    preset: Preset = "harm-only"
    only_thresholds: bool = False
    taxonomy: Literal["2603", "2411"] = "2603"

    def __post_init__(self) -> None:
        require_choice("taxonomy", self.taxonomy, tuple(_TAXONOMIES))
        require_choice("action", self.action, ("block", "none"))
        require_choice("preset", self.preset, get_args(Preset))
        check_thresholds(self.thresholds, _TAXONOMIES[self.taxonomy][1])
        if self.only_thresholds and not self.thresholds:
            raise PolicyError("only_thresholds without thresholds judges nothing: name a threshold")

    def payload(self) -> dict[str, object]:
        """One element of `guardrails` in the body of a chat request."""
        # No default threshold is published, so a category cannot be kept by naming its own: it is left out instead,
        # by a threshold that nothing exceeds.
        spared = SUBJECTS if self.preset == "harm-only" and not self.only_thresholds else frozenset()
        thresholds = {**dict.fromkeys(sorted(spared), _NEVER), **self.thresholds}
        name, _ = _TAXONOMIES[self.taxonomy]
        config: dict[str, object] = {"action": self.action, "ignore_other_categories": self.only_thresholds}
        if thresholds:
            config["custom_category_thresholds"] = thresholds
        return {"block_on_error": self.block_on_error, name: config}


def guardrails_payload(given: MistralGuardrail | Sequence[MistralGuardrail] | None) -> list[dict[str, object]] | None:
    """`guardrails` in the body of a chat request; None sends none.

    Raises:
        PolicyError: for an empty sequence, which would look like a guard and be none.
    """
    if given is None:
        return None
    chosen = [given] if isinstance(given, MistralGuardrail) else list(given)
    if not chosen:
        raise PolicyError("an empty list of guardrails guards nothing: give None to send none")
    return [each.payload() for each in chosen]


def read_guardrails(body: object) -> list[GuardrailVerdict]:
    """What the guardrails said, from the body of a chat answer (or its `guardrails`); empty where they said nothing."""
    return [_verdict(name, found) for name, found in _decided(body, "", _DEEPEST)]


def guardrail_categories(body: bytes) -> tuple[str, ...]:
    """The categories that were violated, from the body of a chat answer; none where it is not one."""
    answer = _parsed(body)
    said = answer.get("guardrails") if isinstance(answer, Mapping) else None
    violated = {
        category
        for _, found in _decided(said, "", _DEEPEST)
        for category, decision in _decisions(found)
        if decision.get("violated") is True
    }
    return tuple(sorted(violated))


def guardrail_refusal(status: int, body: bytes | str | Mapping[str, object]) -> GuardBlocked | GuardUnavailable | None:
    """The error to raise, outside of any `except`, for an answer that a guardrail refused; None for any other answer.

    A block is `GuardBlocked` with the violated categories and their scores. A guardrail that failed on the server
    under `block_on_error` is `GuardUnavailable`.
    """
    answer = _parsed(body)
    if status != _FORBIDDEN or not isinstance(answer, Mapping):
        return None
    error = answer.get("error")
    places = [answer, error] if isinstance(error, Mapping) else [answer]
    if any(place.get("code") in _SERVER_ERROR_CODES for place in places):
        return GuardUnavailable(
            COMPONENT, "Mistral's guardrail failed, and block_on_error refused the request: try again", status=status
        )
    verdicts = read_guardrails(answer)
    said_so = any("guardrail" in str(place.get("message", "")).lower() or "guardrails" in place for place in places)
    if not verdicts and not said_so:
        return None
    scores: dict[str, float] = {}
    for _, found in _decided(answer, "", _DEEPEST):
        for category, decision in _decisions(found):
            score = read_score(decision.get("score"))
            if decision.get("violated") is True:
                scores[category] = max(score or 0.0, scores.get(category, 0.0))
    return GuardBlocked(stage="input", rules=(BLOCK_RULE,), categories=tuple(sorted(scores)), scores=scores)


def _parsed(body: bytes | str | Mapping[str, object]) -> object:
    if isinstance(body, Mapping):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _decided(part: object, name: str, depth: int) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every object that holds decisions, with the name it goes by."""
    if isinstance(part, Mapping):
        if isinstance(part.get("decisions"), Mapping | list):
            yield name, part
        elif depth:
            for key, value in part.items():
                yield from _decided(value, str(key), depth - 1)
    elif isinstance(part, list) and depth:
        for value in part:
            yield from _decided(value, name, depth - 1)


def _verdict(name: str, found: Mapping[str, object]) -> GuardrailVerdict:
    decisions = list(_decisions(found))
    violated = sorted({category for category, decision in decisions if decision.get("violated") is True})
    action = found.get("action")
    return {
        "name": name if is_category_name(name) else "guardrail",
        "violated": bool(violated) or found.get("violated") is True,
        "action": action if isinstance(action, str) and action in _ACTIONS else "none",
        "categories": violated,
        "scores": _numbers(decisions, "score"),
        "thresholds": _numbers(decisions, "threshold"),
    }


def _decisions(found: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    decisions = found["decisions"]
    pairs = (
        decisions.items()
        if isinstance(decisions, Mapping)
        else ((each.get("category"), each) for each in decisions if isinstance(each, Mapping))
        if isinstance(decisions, list)
        else ()
    )
    for category, decision in pairs:
        if is_category_name(category) and isinstance(decision, Mapping):
            yield category, decision


def _numbers(decisions: Sequence[tuple[str, Mapping[str, object]]], side: str) -> dict[str, float]:
    read = {category: read_score(decision.get(side)) for category, decision in decisions}
    return {category: number for category, number in read.items() if number is not None}
