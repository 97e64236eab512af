"""Node postprocessors: what was retrieved is guarded before a model reads it.

List them last: a postprocessor that puts other text into a node undoes what stands before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.schema import BaseNode, NodeWithScore

from guard_integrations.core.findings import Action, Category, Finding, ScanResult
from guard_integrations.core.moderation import ModerationResult, Moderator
from guard_integrations.core.policy import Actions, Strategy
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.orders import sanitize_documents
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.errors import GuardUnavailable
from guard_integrations.llama_index._node_guard import (
    READ_BY_MODEL,
    GuardNodePostprocessor,
    TextGuardNodePostprocessor,
    Verdict,
    remembered,
)
from guard_integrations.llama_index._nodes import Modes, model_view, spotlighted, visible_keys
from guard_integrations.llama_index._spans import outside_spans
from guard_integrations.llama_index._values import rewrite_node

__all__ = ["InjectionGuardNodePostprocessor", "ModerationNodePostprocessor", "RedactionNodePostprocessor"]

_REDACTION: Final = Actions(
    injection=Action.FLAG,
    markup=Action.FLAG,
    leak=Action.FLAG,
    invisible=Action.FLAG,
    overflow=Action.FLAG,
    pii=Action.FILTER,
    secret=Action.FILTER,
)
_REDACTED: Final = frozenset({Category.PII, Category.SECRET})


class InjectionGuardNodePostprocessor(TextGuardNodePostprocessor):
    """Keeps planted instructions away from the model.

    The text is judged as the model reads it, metadata in front. Metadata that is hidden from the model is neither
    judged nor changed. Nodes are copied, never changed in place.

    Args:
        policy: what counts as an injection; its action for injections gives way to `on_injection`.
        on_injection: `drop` leaves a poisoned node out, and one that is too much to read, `filter` cuts the poisoned
            span and what follows it in its paragraph, which is the order that it announces (and leaves the node out
            when that is not enough), `flag` only reports, `block` refuses the whole request.
        spotlight: also puts the text, with the metadata that the model reads, between tags that it cannot forge.
        non_text: what happens to images, audio and video.
        annotate: writes into the metadata of each node that hit, which rules did, without content.

    Raises:
        GuardBlocked: when a node hit and `on_injection` is `block`.

    Example:
        ```python
        from guard_integrations.llama_index import InjectionGuardNodePostprocessor

        engine = index.as_query_engine(llm=llm, node_postprocessors=[InjectionGuardNodePostprocessor(on_injection="filter")])
        engine.query("What does the refund policy say?")
        ```
    """

    on_injection: Literal["drop", "filter", "flag", "block"] = "drop"
    spotlight: bool = False
    _sanitizer: InputSanitizer = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 - pydantic's signature
        """Compiles the policy once."""
        super().model_post_init(context)
        act = {"flag": Action.FLAG, "block": Action.BLOCK}.get(self.on_injection, Action.FILTER)
        actions = self.policy.actions.model_copy(update={"injection": act})
        self._sanitizer = InputSanitizer(self.policy.model_copy(update={"actions": actions}))

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this class by."""
        return "InjectionGuardNodePostprocessor"

    @outside_spans
    def _judge(self, nodes: Sequence[BaseNode], modes: Modes) -> Iterator[Verdict]:
        scans = self._scan(nodes, modes)
        if self.on_injection == "block":
            # Nothing is done about what comes after the node that is refused.
            stop = next((count for count, scan in enumerate(scans, 1) if scan.poisoned), len(scans))
            nodes, scans = nodes[:stop], scans[:stop]
        refused = self.on_injection in ("drop", "block")
        left_out = [scan.poisoned if refused else scan.unread and self.on_injection == "filter" for scan in scans]
        rewritten = self._rewrite(
            [node for node, scan, out in zip(nodes, scans, left_out, strict=True) if scan.changes and not out],
            modes,
        )
        # What is poisoned across the border of two fields is not to be cut out of either.
        again = iter([] if self.on_injection == "flag" else self._scan(rewritten, modes))
        clean = iter(rewritten)
        for node, scan, out in zip(nodes, scans, left_out, strict=True):
            kept: BaseNode | None = node
            action = "flagged" if scan.findings else "passed"
            if out:
                kept, action = None, "blocked" if self.on_injection == "block" else "dropped"
            elif scan.changes:
                kept, action = next(clean), "filtered"
                if self.on_injection != "flag" and next(again).poisoned:
                    kept, action = None, "dropped"
            if kept is not None and self.spotlight:
                kept = spotlighted(kept)
            yield Verdict(node=kept, findings=scan.findings, action=action)

    def _scan(self, nodes: Sequence[BaseNode], modes: Modes) -> list["_Scan"]:
        views = [list(model_view(node, modes)) for node in nodes]
        texts = list(dict.fromkeys(text for view in views for text in view))
        results = dict(zip(texts, self._sanitizer.scan_each(texts, stage="document"), strict=True))
        return [_Scan.of([results[text] for text in view]) for view in views]

    def _rewrite(self, nodes: Sequence[BaseNode], modes: Modes) -> list[BaseNode]:
        """Copies of the nodes without what the policy filters."""
        texts: dict[str, None] = {}

        def collect(text: str) -> str:
            texts[text] = None
            return text

        for node in nodes:
            rewrite_node(node, collect, keys=visible_keys(node, modes))
        cleaned = zip(texts, sanitize_documents(self._sanitizer, list(texts)), strict=True)
        clean = {text: done.text for text, done in cleaned}
        return [rewrite_node(node, clean.__getitem__, keys=visible_keys(node, modes)) for node in nodes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """What was found in a node.

    Args:
        poisoned: whether it gives orders, or is not to be read to its end.
        unread: whether it is too much to read, and the policy refuses that.
        findings: in all its texts.
        changes: whether the policy filters, or refuses, any of it.
    """

    poisoned: bool
    unread: bool
    findings: tuple[Finding, ...]
    changes: bool

    @classmethod
    def of(cls, results: Sequence[ScanResult]) -> "_Scan":
        findings = tuple(found for result in results for found in result.findings)
        unread = any(result.is_unread for result in results)
        return cls(
            poisoned=unread or any(result.is_injection for result in results),
            unread=unread,
            findings=findings,
            changes=any(found.action is not Action.FLAG for found in findings),
        )


class RedactionNodePostprocessor(TextGuardNodePostprocessor):
    """Takes personal data and secrets out of nodes, metadata included.

    Metadata that is hidden from the model stays as it is. Nodes are copied, never changed in place, and keep nothing
    of what was taken out: pseudonyms live in the vault.

    Args:
        policy: what is looked for, and how it is replaced; it is replaced whatever the policy's actions say.
        vault: where pseudonyms are kept; with one, personal data and secrets become its tokens, unless the policy's
            strategies say otherwise.
        non_text: what happens to images, audio and video.
        annotate: writes into the metadata of each node that hit, which rules did, without content.

    Raises:
        GuardBlocked: when a rule's strategy is `block`.
        GuardUnavailable: in another process than that of its vault.

    Example:
        ```python
        from guard_integrations.llama_index import RedactionNodePostprocessor

        engine = index.as_query_engine(llm=llm, node_postprocessors=[RedactionNodePostprocessor()])
        engine.query("What does the refund policy say?")
        ```
    """

    pseudonyms: str | None = None
    """Which vault's tokens are in its nodes, so that caches tell two of them apart."""
    _sanitizer: OutputSanitizer = PrivateAttr()
    _vaultless: bool = PrivateAttr(default=False)

    def __init__(self, *, vault: PseudonymVault | None = None, **settings: Any) -> None:  # noqa: ANN401 - pydantic validates them
        super().__init__(**settings)
        self._vaultless = vault is None and self.pseudonyms is not None
        if vault is not None:
            self.pseudonyms = vault.name
        named = dict.fromkeys(("pii", "secret"), Strategy.PSEUDONYMISE) if vault is not None else {}
        changes = {"actions": _REDACTION, "strategies": {**named, **self.policy.strategies}}
        self._sanitizer = OutputSanitizer(self.policy.model_copy(update=changes), render="text", vault=vault)

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this class by."""
        return "RedactionNodePostprocessor"

    @outside_spans
    def _judge(self, nodes: Sequence[BaseNode], modes: Modes) -> Iterator[Verdict]:
        if self._vaultless:
            raise GuardUnavailable("pii", "a PseudonymVault does not travel to another process: redact in its own")
        sanitize = remembered(lambda text: self._sanitizer.sanitize(text, restore=False))

        def judge(node: BaseNode) -> Verdict:
            findings: list[Finding] = []

            def redact(text: str) -> str:
                done = sanitize(text)
                findings.extend(found for found in done.findings if found.category in _REDACTED)
                return done.text

            copy = rewrite_node(node, redact, keys=visible_keys(node, modes))
            if not findings:
                return Verdict(node=node)
            return Verdict(node=copy, findings=tuple(findings), action="redacted")

        return map(judge, nodes)


class ModerationNodePostprocessor(GuardNodePostprocessor):
    """Has Mistral's moderation judge what the model would read, all nodes in one go.

    Args:
        policy: for its fingerprint, in events.
        moderator: who judges; one with the keys of the environment where none is given.
        on_flagged: `drop` leaves a flagged node out, `flag` only reports, `block` refuses the whole request.
        non_text: what happens to images, audio and video.
        annotate: writes into the metadata of each node that hit, which rules did, without content.

    Raises:
        MissingKeyError: when no moderator is given and the environment has no key.
        GuardBlocked: when a node is refused and `on_flagged` is `block`.
        GuardUnavailable: when a node could not be judged.

    Example:
        ```python
        from guard_integrations.llama_index import ModerationNodePostprocessor

        engine = index.as_query_engine(llm=llm, node_postprocessors=[ModerationNodePostprocessor()])
        engine.query("What does the refund policy say?")
        ```
    """

    on_flagged: Literal["drop", "flag", "block"] = "drop"
    judged_by: dict[str, Any] = Field(default_factory=dict, init=False)
    """The moderator's model and rules, so that caches tell two of them apart."""
    _moderator: Moderator = PrivateAttr()

    def __init__(self, *, moderator: Moderator | None = None, **settings: Any) -> None:  # noqa: ANN401 - pydantic validates them
        super().__init__(**settings)
        self._moderator = moderator or Moderator()
        rules = asdict(self._moderator.rules)
        self.judged_by = {
            "model": self._moderator.model,
            **{name: sorted(value) if isinstance(value, frozenset) else value for name, value in rules.items()},
        }

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this class by."""
        return "ModerationNodePostprocessor"

    @outside_spans
    def guard(self, nodes: Sequence[NodeWithScore], modes: Modes = READ_BY_MODEL) -> list[NodeWithScore]:
        """The nodes that moderation lets through.

        Raises:
            GuardBlocked: when a node is refused and `on_flagged` is `block`.
            GuardUnavailable: when a node could not be judged.
        """
        texts = self._texts(nodes, modes)
        return self._sort(nodes, self._judges().moderate(texts) if texts else [])

    @outside_spans
    async def aguard(self, nodes: Sequence[NodeWithScore], modes: Modes = READ_BY_MODEL) -> list[NodeWithScore]:
        """The twin of `guard`."""
        texts = self._texts(nodes, modes)
        return self._sort(nodes, await self._judges().amoderate(texts) if texts else [])

    def _texts(self, nodes: Sequence[NodeWithScore], modes: Modes) -> list[str]:
        return ["\n\n".join(model_view(node, modes)) for node in self.readable(nodes)]

    def _judges(self) -> Moderator:
        moderator: Moderator | None = getattr(self, "_moderator", None)
        if moderator is None:
            raise GuardUnavailable(
                "moderation", "a Moderator holds keys and does not travel to another process: make one there"
            )
        return moderator

    def _sort(self, nodes: Sequence[NodeWithScore], results: Sequence[ModerationResult]) -> list[NodeWithScore]:
        return self.gather(nodes, map(self._verdict, self.readable(nodes), results))

    def _verdict(self, node: BaseNode, result: ModerationResult) -> Verdict:
        if result.safe or self.on_flagged == "flag":
            return Verdict(node=node, findings=result.findings, action="flagged" if result.findings else "passed")
        action = "dropped" if self.on_flagged == "drop" else "blocked"
        return Verdict(node=None, findings=result.findings, action=action)
