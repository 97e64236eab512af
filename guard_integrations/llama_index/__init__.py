"""Guards for LlamaIndex: nodes, query engines, chat engines, tools, ingestion, instrumentation, and the model."""

from importlib.util import find_spec

if find_spec("llama_index") is None:
    raise ModuleNotFoundError(
        "guard_integrations.llama_index needs an extra: pip install 'guard-integrations[llama-index]'",
        name="llama_index",
    )

from guard_integrations.llama_index.chat_engine import GuardedChatEngine
from guard_integrations.llama_index.ingestion import GuardTransformComponent
from guard_integrations.llama_index.instrumentation import MetadataEventHandler, MetadataSpanHandler
from guard_integrations.llama_index.llms import GuardedMistralAI
from guard_integrations.llama_index.postprocessors import (
    InjectionGuardNodePostprocessor,
    ModerationNodePostprocessor,
    RedactionNodePostprocessor,
)
from guard_integrations.llama_index.query_engine import GuardedQueryEngine
from guard_integrations.llama_index.tools import GuardedTool

__all__ = [
    "GuardTransformComponent",
    "GuardedChatEngine",
    "GuardedMistralAI",
    "GuardedQueryEngine",
    "GuardedTool",
    "InjectionGuardNodePostprocessor",
    "MetadataEventHandler",
    "MetadataSpanHandler",
    "ModerationNodePostprocessor",
    "RedactionNodePostprocessor",
]
