"""Documents on their way to the model: what was written into them by others must not instruct it."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentTransformer, Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.base import RunnableSerializable
from pydantic import ConfigDict, Field, PrivateAttr

from guard_integrations.core.findings import Action, Finding, Sanitized
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.orders import sanitize_documents
from guard_integrations.core.sanitizer.wrapping import spotlight
from guard_integrations.langchain._metadata import METADATA_KEY, guard_metadata
from guard_integrations.langchain._structure import with_parts

__all__ = ["DocumentGuard", "OnInjection"]

OnInjection: TypeAlias = Literal["drop", "filter", "flag", "block"]
_Content: TypeAlias = tuple[str, dict[str, Any]]
"""A document's text, and its metadata."""


class DocumentGuard(RunnableSerializable[Sequence[Document], list[Document]], BaseDocumentTransformer):
    """Makes retrieved documents safe, text and metadata alike: `retriever | DocumentGuard()`, or `.retriever(…)`.

    Ids, metadata and order are kept. A document in which something was found says so under `guard_integrations` in
    its metadata: rules, counts and the policy's fingerprint, no content.

    Args:
        policy: what to look for and what to do about it.
        on_injection: "drop" leaves out a document that carries an injection, or is too much to read, "filter" takes
            the injection out, with the order that follows it in its paragraph, "flag" only says so, "block" refuses.
        spotlight: puts each text into a tag that it cannot forge, so that the prompt can say where it ends.

    Raises:
        GuardBlocked: when the policy refuses a document.

    Example:
        ```python
        from guard_integrations.langchain import DocumentGuard

        safe = DocumentGuard(on_injection="drop").retriever(vector_store.as_retriever())
        ```
    """

    policy: GuardPolicy = Field(default_factory=GuardPolicy, repr=False)
    on_injection: OnInjection = "filter"
    spotlight: bool = False

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    _made: tuple[tuple[Any, ...], InputSanitizer, str] | None = PrivateAttr(default=None)

    def __getstate__(self) -> dict[Any, Any]:
        """Without what was compiled: it is made anew where it is needed."""
        return {**super().__getstate__(), "__pydantic_private__": {"_made": None}}

    def transform_documents(self, documents: Sequence[Document], **kwargs: Any) -> list[Document]:
        """Copies of the documents, made safe."""
        sanitizer, fingerprint = self._sanitizer()
        if self.on_injection == "drop":
            documents = _without_poisoned(sanitizer, documents)
        contents = [_content(document) for document in documents]
        texts = _texts(contents)
        clean = dict(zip(texts, sanitize_documents(sanitizer, texts), strict=True))
        return [self._safe(*each, clean, fingerprint) for each in zip(documents, contents, strict=True)]

    async def atransform_documents(self, documents: Sequence[Document], **kwargs: Any) -> list[Document]:
        """Copies of the documents, made safe."""
        return self.transform_documents(documents)

    def invoke(
        self,
        input: Sequence[Document],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Copies of the documents, made safe."""
        return self._call_with_config(self.transform_documents, input, config)

    def retriever(self, retriever: BaseRetriever) -> BaseRetriever:
        """The same retriever with this guard behind it; callbacks and traces see the safe documents alone."""
        return _GuardedRetriever(retriever=retriever, guard=self)

    def _safe(self, document: Document, content: _Content, clean: dict[str, Sanitized], fingerprint: str) -> Document:
        findings: list[Finding] = []

        def take(text: str) -> str:
            findings.extend(clean[text].findings)
            return clean[text].text

        text, metadata = _rewritten(content, take)
        if findings:
            metadata = {**metadata, METADATA_KEY: guard_metadata(findings, policy=fingerprint)}
        return document.model_copy(
            update={"page_content": spotlight(text) if self.spotlight else text, "metadata": metadata}
        )

    def _sanitizer(self) -> tuple[InputSanitizer, str]:
        # A copy with another policy carries this attribute over: what was made is for these settings only.
        settings = (self.policy, self.on_injection)
        if self._made is None or any(one is not other for one, other in zip(self._made[0], settings, strict=True)):
            action = Action.FILTER if self.on_injection == "drop" else Action(self.on_injection)
            actions = self.policy.actions.model_copy(update={"injection": action})
            policy = self.policy.model_copy(update={"actions": actions})
            self._made = (settings, InputSanitizer(policy), policy.fingerprint)
        return self._made[1], self._made[2]


class _GuardedRetriever(BaseRetriever):
    retriever: BaseRetriever
    guard: DocumentGuard

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        # Without callbacks: the inner run would report the documents as they were.
        return self.guard.transform_documents(self.retriever.invoke(query, {"callbacks": []}))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return self.guard.transform_documents(await self.retriever.ainvoke(query, {"callbacks": []}))


def _without_poisoned(sanitizer: InputSanitizer, documents: Sequence[Document]) -> list[Document]:
    """The documents that give no orders and can be read to their end."""
    found = [_texts((document.page_content, document.metadata)) for document in documents]
    texts = _texts(found)
    scans = dict(zip(texts, sanitizer.scan_each(texts, "document"), strict=True))
    poisoned = {text for text, scan in scans.items() if scan.is_injection or scan.is_unread}
    return [document for document, own in zip(documents, found, strict=True) if poisoned.isdisjoint(own)]


def _content(document: Document) -> _Content:
    """What is guarded of a document."""
    return document.page_content, {key: value for key, value in document.metadata.items() if key != METADATA_KEY}


def _texts(value: object) -> list[str]:
    """All texts in a value, each once."""
    found: dict[str, None] = {}

    def collect(text: str) -> str:
        found[text] = None
        return text

    _rewritten(value, collect)
    return list(found)


def _rewritten(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of a value in which each text is changed."""
    return change(value) if isinstance(value, str) else with_parts(value, lambda _, part: _rewritten(part, change))
