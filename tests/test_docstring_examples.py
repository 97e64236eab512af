"""Each public class of the adapters shows how it is used, and what it shows runs against the local server."""

import inspect
import re
from textwrap import dedent

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_mistralai import ChatMistralAI
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.instrumentation import get_dispatcher

import guard_integrations.langchain as for_langchain
import guard_integrations.llama_index as for_llama_index
from guard_integrations.llama_index import GuardedMistralAI

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
CASES = [
    pytest.param(module, name, id=f"{module.__name__.rpartition('.')[2]}-{name}")
    for module in (for_langchain, for_llama_index)
    for name in module.__all__
]


def search(query: str) -> str:
    """Searches."""
    return f"nothing about {query}"


@pytest.fixture
def names(mistral_server, monkeypatch, tmp_path):
    """What the examples take for given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MISTRAL_API_KEY", mistral_server.key)
    monkeypatch.setenv("MISTRAL_BASE_URL", mistral_server.base_url)
    monkeypatch.setenv("MISTRAL_ENDPOINT", mistral_server.url)
    dispatcher = get_dispatcher()
    before = list(dispatcher.event_handlers), list(dispatcher.span_handlers)
    documents = [Document(text="Refunds are given within thirty days.")]
    given = {"documents": documents, "search": search}

    def fill(module):
        if module is for_langchain:
            from langchain_core.embeddings import DeterministicFakeEmbedding  # noqa: PLC0415 - for these alone

            prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
            store = InMemoryVectorStore(DeterministicFakeEmbedding(size=4))
            return {**given, "prompt": prompt, "llm": ChatMistralAI(), "vector_store": store}
        index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=4), transformations=[])
        return {**given, "llm": GuardedMistralAI(), "index": index}

    yield fill
    dispatcher.event_handlers, dispatcher.span_handlers = before


@pytest.mark.parametrize(("module", "name"), CASES)
def test_a_public_class_shows_how_it_is_used_and_that_runs(module, name, names):
    blocks = BLOCK.findall(inspect.getdoc(getattr(module, name)) or "")
    assert blocks, "no example"
    for block in blocks:
        scope = names(module)
        exec(compile(dedent(block), name, "exec"), scope)  # noqa: S102 - our own docstrings
        assert name in scope
