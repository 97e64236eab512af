"""What a file guards, by whatever library: this package, LangChain's middleware, NeMo, llm-guard and others.

A guard is recognised by the name it is imported under and used by; an import alone guards nothing.
"""

import re
from typing import Final

from guard_integrations.audit.model import Guard

__all__ = ["guards_named"]

_ALL: Final = frozenset({Guard.INPUT, Guard.OUTPUT, Guard.MODERATION})
_OWN: Final = "guard_integrations."
_GUARDS: Final[dict[str, frozenset[Guard]]] = {
    "InputSanitizer": frozenset({Guard.INPUT}),
    "OutputSanitizer": frozenset({Guard.OUTPUT}),
    "build_safe_messages": frozenset({Guard.INPUT}),
    "Moderator": frozenset({Guard.MODERATION}),
    "MistralGuardrail": frozenset({Guard.MODERATION}),
    "KeyRing": frozenset({Guard.ROTATION}),
    "RequestRecord": frozenset({Guard.LOGGING}),
    "RunnableInputGuard": frozenset({Guard.INPUT}),
    "RunnableOutputSanitizer": frozenset({Guard.OUTPUT}),
    "RunnableModerationGuard": frozenset({Guard.MODERATION}),
    "GuardedChatMistralAI": _ALL | {Guard.ROTATION},
    "GuardMiddleware": _ALL | {Guard.TOOLS},
    "MetadataCallbackHandler": frozenset({Guard.LOGGING}),
    "DocumentGuard": frozenset({Guard.NODES}),
    "GuardedMistralAI": _ALL | {Guard.ROTATION},
    "GuardedQueryEngine": _ALL | {Guard.NODES},
    "GuardedChatEngine": _ALL | {Guard.NODES},
    "GuardedTool": frozenset({Guard.TOOLS}),
    "InjectionGuardNodePostprocessor": frozenset({Guard.NODES}),
    "RedactionNodePostprocessor": frozenset({Guard.NODES}),
    "ModerationNodePostprocessor": frozenset({Guard.NODES}),
    "MetadataEventHandler": frozenset({Guard.LOGGING}),
    "MetadataSpanHandler": frozenset({Guard.LOGGING}),
}
_OTHERS: Final[dict[str, frozenset[Guard]]] = {
    "nemoguardrails.": _ALL | {Guard.NODES, Guard.TOOLS},
    "llm_guard.": _ALL,
    "guardrails.": _ALL,
    "lakera": _ALL,
    "rebuff.": frozenset({Guard.INPUT}),
    "langchain.agents.middleware.PIIMiddleware": frozenset({Guard.INPUT, Guard.OUTPUT}),
    "langchain.agents.middleware.HumanInTheLoopMiddleware": frozenset({Guard.TOOLS}),
    "langchain_openai.middleware.OpenAIModerationMiddleware": _ALL,
    "langchain.piiMiddleware": frozenset({Guard.INPUT, Guard.OUTPUT}),
    "langchain.piiRedactionMiddleware": frozenset({Guard.INPUT, Guard.OUTPUT}),
    "langchain.humanInTheLoopMiddleware": frozenset({Guard.TOOLS}),
    "langchain.openAIModerationMiddleware": _ALL,
    "llama_index.core.postprocessor.PIINodePostprocessor": frozenset({Guard.NODES}),
    "llama_index.core.postprocessor.NERPIINodePostprocessor": frozenset({Guard.NODES}),
    "llama_index.postprocessor.presidio.": frozenset({Guard.NODES}),
}
_MODERATES: Final = re.compile(r"\.classifiers\.moderate\w*$|\.moderations\.create$|OpenAIModerationChain")


def guards_named(name: str) -> frozenset[Guard]:
    """What something guards, by its dotted name as imported."""
    if name.startswith(_OWN):
        for part in reversed(name.split(".")):
            if found := _GUARDS.get(part.removesuffix("()")):
                return found
        return frozenset()
    if _MODERATES.search(name):
        return frozenset({Guard.MODERATION})
    return next((found for prefix, found in _OTHERS.items() if name.startswith(prefix)), frozenset())
