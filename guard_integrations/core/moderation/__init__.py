"""Mistral's moderation: the decision, the client that asks for it, and Mistral's own guardrails."""

from guard_integrations.core.moderation.client import Message, Moderator
from guard_integrations.core.moderation.decision import ModerationResult, ModerationRules, Preset
from guard_integrations.core.moderation.guardrail import (
    GuardrailVerdict,
    MistralGuardrail,
    guardrail_refusal,
    guardrails_payload,
    read_guardrails,
)

__all__ = [
    "GuardrailVerdict",
    "Message",
    "MistralGuardrail",
    "ModerationResult",
    "ModerationRules",
    "Moderator",
    "Preset",
    "guardrail_refusal",
    "guardrails_payload",
    "read_guardrails",
]
