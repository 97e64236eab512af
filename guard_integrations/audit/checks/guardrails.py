"""Mistral's server-side guardrails, switched on but without effect."""

import ast
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Hit, Language
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["GUARDRAIL_OFF"]

_CLASSIFIERS: Final = frozenset({"moderation_llm_v1", "moderation_llm_v2", "moderationLlmV1", "moderationLlmV2"})
_OPEN: Final = "The guardrail lets everything pass when it fails: block_on_error is not true."
_IDLE: Final = 'The guardrail finds and does not block: its action is not "block".'


def _in_python(file: SourceFile) -> Iterator[Hit]:
    module = file.python
    for node in module.nodes:
        if not isinstance(node, ast.Dict):
            continue
        pairs = {module.constant(key): value for key, value in zip(node.keys, node.values, strict=True)}
        classifier = next((pairs[key] for key in pairs if key in _CLASSIFIERS), None)
        if classifier is None or None in node.keys:
            continue
        on_error = pairs.get("block_on_error")
        if on_error is None or module.constant(on_error) is False:
            yield file.hit(on_error or node, _OPEN)
        inner = module.resolve(classifier)
        if isinstance(inner, ast.Dict) and None not in inner.keys:
            actions = {module.constant(key): value for key, value in zip(inner.keys, inner.values, strict=True)}
            action = actions.get("action")
            if action is None or module.constant(action) == "none":
                yield file.hit(action or inner, _IDLE)


def _in_script(file: SourceFile) -> Iterator[Hit]:
    module = file.script
    for node in module.all("object"):
        classifier = next((found for key in sorted(_CLASSIFIERS) if (found := module.property(node, key))), None)
        if classifier is None or node.find(kind="spread_element"):
            continue
        on_error = module.property(node, "blockOnError") or module.property(node, "block_on_error")
        if on_error is None or module.constant(on_error) == "false":
            yield file.hit(on_error or node, _OPEN)
        action = module.property(classifier, "action")
        known = module.resolve(classifier).kind() == "object"
        if known and (action is None or module.constant(action) == "none"):
            yield file.hit(action or classifier, _IDLE)


def _guardrail_off(file: SourceFile) -> Iterator[Hit]:
    return _in_python(file) if file.language is Language.PYTHON else _in_script(file)


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
    keywords=("moderation_llm", "moderationllm"),
    languages=frozenset({Language.PYTHON, Language.SCRIPT}),
    bad=(
        python('G = [{"block_on_error": False, "moderation_llm_v2": {"action": "block"}}]\n'),
        python('G = [{"moderation_llm_v2": {"action": "block"}}]\n'),
        python('G = [{"block_on_error": True, "moderation_llm_v2": {"action": "none"}}]\n'),
        python(
            'G = [{"block_on_error": True, "moderation_llm_v2": {"custom_category_thresholds": {"sexual": 0.1}}}]\n'
        ),
        script('const g = [{ blockOnError: false, moderationLlmV2: { action: "block" } }];\n'),
        script('const g = [{ blockOnError: true, moderationLlmV2: { action: "none" } }];\n'),
    ),
    good=(
        python('G = [{"block_on_error": True, "moderation_llm_v2": {"action": "block"}}]\n'),
        python('G = [{**defaults, "moderation_llm_v2": {"action": "block"}}]\n'),
        script('const g = [{ blockOnError: true, moderationLlmV2: { action: "block" } }];\n'),
    ),
    inspect=_guardrail_off,
)
