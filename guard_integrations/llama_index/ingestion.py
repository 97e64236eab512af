"""The guards of nodes at ingestion, before anything is embedded or stored."""

from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import Field, SerializeAsAny
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, TransformComponent

from guard_integrations.llama_index._node_guard import GuardNodePostprocessor
from guard_integrations.llama_index._nodes import Modes
from guard_integrations.llama_index._spans import outside_spans
from guard_integrations.llama_index.postprocessors import (
    InjectionGuardNodePostprocessor,
    RedactionNodePostprocessor,
)

__all__ = ["GuardTransformComponent"]

_STORED: Modes = (MetadataMode.LLM, MetadataMode.EMBED)


def _default_guards() -> list[GuardNodePostprocessor]:
    return [InjectionGuardNodePostprocessor(), RedactionNodePostprocessor()]


class GuardTransformComponent(TransformComponent):
    """Runs guards of nodes as a step of an ingestion pipeline.

    Metadata is guarded where the model or the embedder reads it. The guards and their policies are fields, so a
    pipeline's cache tells two policies apart. It pickles, so a pipeline may run it in several processes.

    Args:
        guards: run one after the other; planted instructions are dropped and personal data is redacted where none
            is named.

    Raises:
        GuardBlocked: when a guard refuses a document.

    Example:
        ```python
        from guard_integrations.llama_index import GuardTransformComponent
        from llama_index.core.ingestion import IngestionPipeline

        nodes = IngestionPipeline(transformations=[GuardTransformComponent()]).run(documents=documents)
        ```
    """

    guards: list[SerializeAsAny[GuardNodePostprocessor]] = Field(default_factory=_default_guards, min_length=1)

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this class by."""
        return "GuardTransformComponent"

    @outside_spans
    def __call__(self, nodes: Sequence[BaseNode], **_: Any) -> Sequence[BaseNode]:  # noqa: ANN401 - LlamaIndex passes options on
        """The guarded nodes."""
        scored = [NodeWithScore(node=node) for node in nodes]
        for guard in self.guards:
            scored = guard.guard(scored, _STORED)
        return [each.node for each in scored]

    @outside_spans
    async def acall(self, nodes: Sequence[BaseNode], **_: Any) -> Sequence[BaseNode]:  # noqa: ANN401 - as above
        """The twin of calling it."""
        scored = [NodeWithScore(node=node) for node in nodes]
        for guard in self.guards:
            scored = await guard.aguard(scored, _STORED)
        return [each.node for each in scored]
