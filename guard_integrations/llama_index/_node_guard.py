"""What the guards of nodes share: copies instead of changes, media by policy, reports without content."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle

from guard_integrations.core.findings import Finding
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.reports import report, report_blocked
from guard_integrations.errors import GuardBlocked
from guard_integrations.llama_index._nodes import Modes, carries_media
from guard_integrations.llama_index._policy import PolicyField
from guard_integrations.llama_index._reports import annotate, report_nodes
from guard_integrations.llama_index._spans import outside_spans

__all__ = ["READ_BY_MODEL", "GuardNodePostprocessor", "NonText", "TextGuardNodePostprocessor", "Verdict", "remembered"]

READ_BY_MODEL: Modes = (MetadataMode.LLM,)

NonText: TypeAlias = Literal["pass", "drop", "block"]
"""What happens to images, audio and video, which no guard of text can read."""

_SHORT: Final = 256

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to become of one node.

    Args:
        node: what goes on; None where nothing does.
        findings: why.
        action: what was done: "passed", "flagged", "filtered", "redacted", "dropped" or "blocked".
    """

    node: BaseNode | None
    findings: tuple[Finding, ...] = ()
    action: str = "passed"


class GuardNodePostprocessor(BaseNodePostprocessor):
    """A guard of nodes.

    Args:
        policy: what is looked for.
        non_text: what happens to images, audio and video.
        annotate: writes into the metadata of each node that hit, which rules did, without content.
    """

    policy: PolicyField = Field(default_factory=GuardPolicy)
    non_text: NonText = "pass"
    annotate: bool = False

    @abstractmethod
    def guard(self, nodes: Sequence[NodeWithScore], modes: Modes = READ_BY_MODEL) -> list[NodeWithScore]:
        """The guarded nodes, as they are read in these modes.

        Raises:
            GuardBlocked: when a node is refused.
        """

    @abstractmethod
    async def aguard(self, nodes: Sequence[NodeWithScore], modes: Modes = READ_BY_MODEL) -> list[NodeWithScore]:
        """The twin of `guard`."""

    @outside_spans
    def _postprocess_nodes(
        self,
        nodes: list[NodeWithScore],
        query_bundle: QueryBundle | None = None,  # noqa: ARG002 - LlamaIndex's signature
    ) -> list[NodeWithScore]:
        return self.guard(nodes)

    @outside_spans
    async def _apostprocess_nodes(
        self,
        nodes: list[NodeWithScore],
        query_bundle: QueryBundle | None = None,  # noqa: ARG002 - as above
    ) -> list[NodeWithScore]:
        return await self.aguard(nodes)

    def readable(self, nodes: Sequence[NodeWithScore]) -> list[BaseNode]:
        """The nodes that are judged by what they say, and not by policy for being an image, audio or video."""
        return [scored.node for scored in nodes if self._media(scored.node) is None]

    def gather(self, nodes: Sequence[NodeWithScore], verdicts: Iterator[Verdict]) -> list[NodeWithScore]:
        """Does as the verdicts on the readable nodes say, keeps scores and order, reports once.

        Raises:
            GuardBlocked: when a node is refused.
        """
        kept: list[NodeWithScore] = []
        findings: list[Finding] = []
        changed = 0
        for scored in nodes:
            verdict = self._media(scored.node) or next(verdicts)
            findings += verdict.findings
            if verdict.action == "blocked":
                refusal = _refusal(verdict)
                report_blocked(refusal, "document", self.policy)
                raise refusal
            node = verdict.node
            if node is None:
                continue
            changed += node is not scored.node
            if self.annotate and verdict.findings:
                node = annotate(node.model_copy(), verdict.action, verdict.findings)
            kept.append(scored if node is scored.node else scored.model_copy(update={"node": node}))
        report("document", findings, self.policy)
        dropped = len(nodes) - len(kept)
        report_nodes(self.class_name(), findings, received=len(nodes), changed=changed, dropped=dropped)
        return kept

    def _media(self, node: BaseNode) -> Verdict | None:
        if self.non_text == "pass" or not carries_media(node):
            return None
        return Verdict(node=None, action="dropped" if self.non_text == "drop" else "blocked")


class TextGuardNodePostprocessor(GuardNodePostprocessor):
    """A guard that reads texts and waits for nothing."""

    @outside_spans
    def guard(self, nodes: Sequence[NodeWithScore], modes: Modes = READ_BY_MODEL) -> list[NodeWithScore]:
        """The guarded nodes, as they are read in these modes.

        Raises:
            GuardBlocked: when a node is refused.
        """
        return self.gather(nodes, self._judge(self.readable(nodes), modes))

    @outside_spans
    async def aguard(self, nodes: Sequence[NodeWithScore], modes: Modes = READ_BY_MODEL) -> list[NodeWithScore]:
        """The twin of `guard`, in a thread: it waits for nothing, but computes."""
        return await asyncio.to_thread(self.guard, nodes, modes)

    @abstractmethod
    def _judge(self, nodes: Sequence[BaseNode], modes: Modes) -> Iterator[Verdict]:
        """What is to become of each of these nodes, in their order."""


def remembered(read: Callable[[str], _Read]) -> Callable[[str], _Read]:
    """The same reading, done once for each short text: nodes of one document share their metadata."""
    known: dict[str, _Read] = {}

    def reading(text: str) -> _Read:
        if len(text) > _SHORT:
            return read(text)
        if text not in known:
            known[text] = read(text)
        return known[text]

    return reading


def _refusal(verdict: Verdict) -> GuardBlocked:
    found = verdict.findings
    return GuardBlocked(
        stage="document",
        rules=tuple(dict.fromkeys(one.rule for one in found)) or ("non-text",),
        categories=tuple(dict.fromkeys(one.category.value for one in found)),
        scores={one.category.value: max(o.score for o in found if o.category is one.category) for one in found},
    )
