"""What a file guards, by whatever library: this package, LangChain's middleware, NeMo, llm-guard and others.

A guard is recognised by the name it is imported under and used by; an import alone guards nothing.
"""

from typing import Final

from guard_integrations.audit.model import FileFacts, Guard, Language
from guard_integrations.audit.source import SourceFile

__all__ = ["facts_of", "guards_named"]

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
    "nemoguardrails.": _ALL | {Guard.NODES},
    "llm_guard.": frozenset({Guard.INPUT, Guard.OUTPUT}),
    "guardrails.": frozenset({Guard.INPUT, Guard.OUTPUT}),
    "langchain.agents.middleware.PIIMiddleware": frozenset({Guard.INPUT, Guard.OUTPUT}),
    "langchain.agents.middleware.HumanInTheLoopMiddleware": frozenset({Guard.TOOLS}),
}
_CLIENTS: Final = ("mistralai.", "langchain_mistralai.", "llama_index.llms.", "langchain.", "langchain_core.")

_PACKAGES: Final = ("@mistralai/", "@langchain/", "langchain", "@llamaindex/", "llamaindex", "@ai-sdk/mistral")


def guards_named(name: str) -> frozenset[Guard]:
    """What something guards, by its dotted name as imported."""
    if name.startswith(_OWN):
        for part in reversed(name.split(".")):
            if found := _GUARDS.get(part.removesuffix("()")):
                return found
        return frozenset()
    if name.endswith((".classifiers.moderate", ".classifiers.moderate_chat", ".classifiers.moderateChat")):
        return frozenset({Guard.MODERATION})
    return next((found for prefix, found in _OTHERS.items() if name.startswith(prefix)), frozenset())


def facts_of(file: SourceFile) -> FileFacts:
    """What a file adds to what is known of the project."""
    guards: frozenset[Guard] = frozenset()
    model = False
    if file.language is Language.PYTHON and "import" in file.text:
        module = file.python
        model = any(name.startswith(_CLIENTS) for name in module.imports.values())
        for call in module.calls:
            guards |= guards_named(module.name(call.func))
            if any(keyword.arg == "guardrails" for keyword in call.keywords):
                guards |= {Guard.MODERATION}
    elif file.language is Language.SCRIPT and ("import" in file.text or "require" in file.text):
        script = file.script
        model = any(name.startswith(_PACKAGES) for name in script.imports.values())
        for made in script.calls:
            guards |= guards_named(script.name(script.function(made)))
            if script.option(made, "guardrails") is not None:
                guards |= {Guard.MODERATION}
    return FileFacts(path=file.path, guards=guards, model=model)
