"""What a guard of nodes says about what it did: in events, and in the node where that is asked for."""

from collections import Counter
from collections.abc import Iterable

from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.schema import BaseNode
from llama_index_instrumentation import get_dispatcher

from guard_integrations.core.findings import Finding

__all__ = ["ANNOTATION", "GuardedNodesEvent", "annotate", "report_nodes"]

ANNOTATION = "guard"
"""Key under which a node's metadata says what was done to it, where that was asked for."""

_dispatcher = get_dispatcher(__name__)


class GuardedNodesEvent(BaseEvent):
    """What a guard did to a list of nodes: counts and names, no content.

    Args:
        guard: class name of the guard.
        received: how many nodes came in.
        changed: how many of those that went on were changed.
        dropped: how many did not go on.
        rules: how many findings each rule had.
    """

    guard: str
    received: int
    changed: int
    dropped: int
    rules: dict[str, int]

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this event by."""
        return "GuardedNodesEvent"


def report_nodes(guard: str, findings: Iterable[Finding], *, received: int, changed: int, dropped: int) -> None:
    """Tells LlamaIndex's own handlers what was done to nodes."""
    rules = Counter(finding.rule for finding in findings)
    _dispatcher.event(
        GuardedNodesEvent(guard=guard, received=received, changed=changed, dropped=dropped, rules=dict(rules))
    )


def annotate(copy: BaseNode, action: str, findings: Iterable[Finding]) -> BaseNode:
    """Writes into a node, that is already a copy, which rules hit; hidden from the model and from the embedder."""
    copy.metadata = {
        **copy.metadata,
        ANNOTATION: {"action": action, "rules": sorted({finding.rule for finding in findings})},
    }
    copy.excluded_llm_metadata_keys = [*{*copy.excluded_llm_metadata_keys, ANNOTATION}]
    copy.excluded_embed_metadata_keys = [*{*copy.excluded_embed_metadata_keys, ANNOTATION}]
    return copy
