"""A query engine around a query engine: the question is guarded on the way in, the response on the way out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import RESPONSE_TYPE, Response, StreamingResponse
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle, QueryType

from guard_integrations.core.choices import require_choice
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.markup import Render
from guard_integrations.llama_index._questions import QuestionGuard
from guard_integrations.llama_index._responses import ResponseGuard
from guard_integrations.llama_index._spans import outside_spans

__all__ = ["GuardedQueryEngine"]


class GuardedQueryEngine(BaseQueryEngine):
    """Guards the question, the texts it is embedded by, the answer, its sources and their metadata.

    The question is scanned and filtered, never wrapped: it is also what is searched for. What the engine reads in
    between is guarded by node postprocessors, and what its model's events show by a `GuardedMistralAI`.

    Args:
        query_engine: any query engine, sync, async or streamed.
        policy: what is looked for and what is done about it.
        system_prompt: the model's instructions, which no answer may repeat.
        render: where the answer will be shown.
        vault: the conversation's pseudonyms: personal data becomes tokens on the way in, and values on the way out.
        on_block: `raise` a `GuardBlocked`, or answer the policy's `refusal`.

    Raises:
        GuardBlocked: from its methods, when a rule blocks and `on_block` is `raise`.

    Example:
        ```python
        from guard_integrations.llama_index import GuardedQueryEngine

        engine = GuardedQueryEngine(index.as_query_engine(llm=llm))
        engine.query("What does the refund policy say?")
        ```
    """

    def __init__(  # noqa: PLR0913 - one argument for each thing a reader decides
        self,
        query_engine: BaseQueryEngine,
        *,
        policy: GuardPolicy | None = None,
        system_prompt: str | None = None,
        render: Render = "markdown",
        vault: PseudonymVault | None = None,
        on_block: Literal["raise", "refuse"] = "raise",
    ) -> None:
        require_choice("on_block", on_block, ("raise", "refuse"))
        super().__init__(query_engine.callback_manager)
        policy = policy or GuardPolicy()
        self._query_engine = query_engine
        self._refusal = policy.refusal if on_block == "refuse" else None
        self._questions = QuestionGuard(policy, vault=vault, refuses=on_block == "refuse")
        self._answers = ResponseGuard(
            OutputSanitizer(policy, system_prompt=system_prompt, render=render, vault=vault),
            refusal=self._refusal,
        )

    @outside_spans
    def query(self, str_or_query_bundle: QueryType) -> RESPONSE_TYPE:
        """Answers a question.

        Raises:
            GuardBlocked: when a rule blocks the question or the answer and `on_block` is `raise`.
        """
        question = self._guard(str_or_query_bundle)
        return self._refuse() if question is None else super().query(question)

    @outside_spans
    async def aquery(self, str_or_query_bundle: QueryType) -> RESPONSE_TYPE:
        """The twin of `query`."""
        question = self._guard(str_or_query_bundle)
        return self._refuse() if question is None else await super().aquery(question)

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return self._answers.response(self._query_engine.query(query_bundle))

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return self._answers.response(await self._query_engine.aquery(query_bundle))

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """The nodes found for a question, made safe; none for a question that is refused.

        Raises:
            GuardBlocked: when a rule blocks the question or a node and `on_block` is `raise`.
        """
        question = self._guard(query_bundle)
        return [] if question is None else self._answers.nodes(self._query_engine.retrieve(question))

    @outside_spans
    def synthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """Answers a question from these nodes.

        Raises:
            GuardBlocked: when a rule blocks the question or the answer and `on_block` is `raise`.
        """
        question = self._guard(query_bundle)
        if question is None:
            return self._refuse()
        return self._answers.response(self._query_engine.synthesize(question, nodes, additional_source_nodes))

    @outside_spans
    async def asynthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """The twin of `synthesize`."""
        question = self._guard(query_bundle)
        if question is None:
            return self._refuse()
        return self._answers.response(await self._query_engine.asynthesize(question, nodes, additional_source_nodes))

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"query_engine": self._query_engine}

    def _guard(self, query: QueryType) -> QueryBundle | None:
        """The question made safe; None where it is blocked and a refusal is to be answered."""
        bundle = QueryBundle(query) if isinstance(query, str) else query
        searched = bundle.custom_embedding_strs
        given = [bundle.query_str, *(searched or ())]
        clean = self._questions.clean(given)
        if clean is None or clean == given:
            return None if clean is None else bundle
        # A vector made from the raw question would still find what the raw question asks for.
        return replace(bundle, query_str=clean[0], custom_embedding_strs=searched and clean[1:], embedding=None)

    def _refuse(self) -> RESPONSE_TYPE:
        refusal = str(self._refusal)
        synthesizer = getattr(self._query_engine, "_response_synthesizer", None)
        if getattr(synthesizer, "_streaming", False):
            return StreamingResponse(response_gen=(text for text in (refusal,)))
        return Response(refusal)
