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
from guard_integrations.core.moderation.release import Judge, abeside, ahold, arelease, beside, hold, release
from guard_integrations.core.moderation.windows import StreamMode, gate_for

__all__ = [
    "GuardrailVerdict",
    "Judge",
    "Message",
    "MistralGuardrail",
    "ModerationResult",
    "ModerationRules",
    "Moderator",
    "Preset",
    "StreamMode",
    "abeside",
    "ahold",
    "arelease",
    "beside",
    "gate_for",
    "guardrail_refusal",
    "guardrails_payload",
    "hold",
    "read_guardrails",
    "release",
]
