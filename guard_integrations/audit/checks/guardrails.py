"""Mistral's server-side guardrails, switched on but without effect."""

import ast
from collections.abc import Iterator
from typing import Final

from ast_grep_py import SgNode

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import Check, Hit, Language
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["GUARDRAIL_OFF"]

_CLASSIFIERS: Final = frozenset({"moderation_llm_v1", "moderation_llm_v2", "moderationLlmV1", "moderationLlmV2"})
_OPEN: Final = "The guardrail lets everything pass when it fails: block_on_error is not true."
_IDLE: Final = 'The guardrail finds and does not block: its action is not "block".'


def _in_python(file: SourceFile) -> Iterator[Hit]:
    for node in file.python.nodes:
        if not isinstance(node, ast.Dict) or None in node.keys:
            continue
        pairs = _pairs(file, node)
        classifier = next((pairs[key][1] for key in pairs if key in _CLASSIFIERS), None)
        if classifier is None:
            continue
        yield from _unless(file, node, pairs.get("block_on_error"), off=False, message=_OPEN)
        inner = file.python.resolve(classifier)
        if isinstance(inner, ast.Dict) and None not in inner.keys:
            yield from _unless(file, inner, _pairs(file, inner).get("action"), off="none", message=_IDLE)


def _pairs(file: SourceFile, node: ast.Dict) -> dict[object, tuple[ast.expr, ast.expr]]:
    """Keys and values of a dictionary, by what the keys are."""
    pairs = zip(node.keys, node.values, strict=True)
    return {file.python.constant(key): (key, value) for key, value in pairs if key is not None}


def _unless(
    file: SourceFile, owner: ast.Dict, pair: tuple[ast.expr, ast.expr] | None, *, off: object, message: str
) -> Iterator[Hit]:
    """A hit where a setting is left out, or off."""
    if pair is None:
        yield file.hit(owner, message)
    elif file.python.constant(pair[1]) == off:
        yield file.hit((file.hit(pair[0], "").start, file.hit(pair[1], "").end), message)


def _in_script(file: SourceFile) -> Iterator[Hit]:
    module = file.script
    for node in module.all("object"):
        classifier = next((found for key in sorted(_CLASSIFIERS) if (found := module.property(node, key))), None)
        if classifier is None or node.find(kind="spread_element"):
            continue
        on_error = module.property(node, "blockOnError") or module.property(node, "block_on_error")
        if on_error is None or module.constant(on_error) == "false":
            yield file.hit(_with_key(on_error) or node, _OPEN)
        action = module.property(classifier, "action")
        known = module.resolve(classifier).kind() == "object"
        if known and (action is None or module.constant(action) == "none"):
            yield file.hit(_with_key(action) or classifier, _IDLE)


def _with_key(value: SgNode | None) -> SgNode | None:
    above = value.parent() if value is not None else None
    return above if above is not None and above.kind() == "pair" else value


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
