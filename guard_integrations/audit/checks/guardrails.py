"""Mistral's server-side guardrails, switched on but without effect."""

import ast
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.model import Check, Example, Hit
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["GUARDRAIL_OFF"]


def _guardrail_off(file: SourceFile) -> Iterator[Hit]:
    module = file.python
    for node in module.nodes:
        if isinstance(node, ast.Dict):
            pairs = {module.constant(key): value for key, value in zip(node.keys, node.values, strict=True)}
            if "moderation_llm_v2" not in pairs and "moderation_llm_v1" not in pairs:
                continue
            if module.constant(pairs.get("block_on_error")) is not True:
                yield file.hit(node, "The guardrail lets everything pass when it fails: block_on_error is not True.")


GUARDRAIL_OFF: Final = Check(
    id="GI007",
    name="guardrail-off",
    severity=Severity.HIGH,
    title="A Mistral guardrail that does not block",
    rationale=(
        'A guardrail\'s `action` is "none" and its `block_on_error` false unless they are set: it then reports what it '
        "finds and stops nothing, and a failure of the classifier lets everything pass."
    ),
    remediation='Set block_on_error to true and action to "block", or use MistralGuardrail(), whose defaults do so.',
    keywords=("moderation_llm",),
    bad=(
        Example(
            files={
                "app.py": (
                    'client.chat.complete(model=m, messages=x, guardrails=[{"block_on_error": False, '
                    '"moderation_llm_v2": {"action": "block"}}])\n'
                )
            }
        ),
    ),
    good=(
        Example(
            files={
                "app.py": (
                    'client.chat.complete(model=m, messages=x, guardrails=[{"block_on_error": True, '
                    '"moderation_llm_v2": {"action": "block"}}])\n'
                )
            }
        ),
    ),
    inspect=_guardrail_off,
)
