"""`guardrails` of a chat request: the input is judged before the model sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

from guard_integrations.testing.models import moderation
from guard_integrations.testing.models.conversation import Turn
from guard_integrations.testing.schemas import GuardrailConfig, ModerationConfig

__all__ = ["Verdict", "check"]

_Decisions = dict[str, dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome: the body of the 403, or None, and what a success carries in `guardrails`."""

    refusal: dict[str, object] | None
    results: list[dict[str, object]]


def check(guardrails: Sequence[GuardrailConfig], turns: Sequence[Turn], *, failing: bool) -> Verdict:
    """Judge the last turn in its context by each guardrail.

    `action` "block" refuses a violation, "none" only reports it. A failing guardrail refuses under `block_on_error` with
    code 3201 and passes the request otherwise, as the API does by default.
    """
    results: list[dict[str, object]] = []
    for guardrail in guardrails:
        if failing:
            if guardrail.block_on_error:
                body: dict[str, object] = {"message": "Guardrail could not be evaluated", "status": 403}
                return Verdict(refusal={"error": body, "code": 3201}, results=[])
            continue
        judged: dict[str, object] = {}
        blocked = False
        for name, config, model in (
            ("moderation_llm_v1", guardrail.moderation_llm_v1, "mistral-moderation-2411"),
            ("moderation_llm_v2", guardrail.moderation_llm_v2, "mistral-moderation-2603"),
        ):
            if config is None:
                continue
            decisions, violated = _decide(config, turns, model)
            judged[name] = {"decisions": decisions, "violated": violated, "action": config.action}
            blocked = blocked or (violated and config.action == "block")
        if blocked:
            error: dict[str, object] = {"message": "Content blocked by guardrail", "status": 403}
            return Verdict(refusal={"error": error, "guardrails": {"results": judged}}, results=[])
        results.append({"results": judged})
    return Verdict(refusal=None, results=results)


def _decide(config: ModerationConfig, turns: Sequence[Turn], model: str) -> tuple[_Decisions, bool]:
    custom = {name: limit for name, limit in (config.custom_category_thresholds or {}).items() if limit is not None}
    decisions: _Decisions = {}
    for name, score in moderation.moderate_chat(turns, config.model_name or model).items():
        if config.ignore_other_categories and name not in custom:
            continue
        limit = custom.get(name, moderation.THRESHOLD)
        decisions[name] = {"threshold": limit, "score": score, "violated": score >= limit}
    return decisions, any(decision["violated"] for decision in decisions.values())
