import pytest
from li_nest import Events, Spans
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.mistralai import MistralAIEmbedding
from llama_index.llms.mistralai import MistralAI
from mistralai.client import Mistral

from guard_integrations import GuardPolicy
from guard_integrations.core.policy import Actions
from guard_integrations.llama_index import GuardedMistralAI


@pytest.fixture
def plain_llm(mistral_server):
    """The unguarded model."""
    return MistralAI(endpoint=mistral_server.url, api_key=mistral_server.key)


@pytest.fixture
def guarded(mistral_server):
    """Makes guarded models on the local server."""

    def make(**settings):
        return GuardedMistralAI(**{"endpoint": mistral_server.url, "keys": mistral_server.key, **settings})

    return make


@pytest.fixture
def lenient_llm(guarded):
    """A model that lets everything through, but streams as it should; the unguarded one repeats itself."""
    return guarded(policy=GuardPolicy(actions=dict.fromkeys(Actions.model_fields, "flag")), moderation="off")


@pytest.fixture
def embedding(mistral_server):
    made = MistralAIEmbedding(api_key=mistral_server.key)
    made._client = Mistral(api_key=mistral_server.key, server_url=mistral_server.url)  # it has no argument for it
    return made


@pytest.fixture
def index_of(embedding):
    """Makes an index of texts, or of documents, on the local server's embeddings."""

    def make(*documents):
        return VectorStoreIndex.from_documents(
            [document if isinstance(document, Document) else Document(text=document) for document in documents],
            embed_model=embedding,
            transformations=[SentenceSplitter(chunk_size=256, chunk_overlap=16)],
        )

    return make


@pytest.fixture
def seen():
    """Everything that handlers of events and spans are given."""
    dispatcher = get_dispatcher()
    events, spans = Events(), Spans()
    dispatcher.add_event_handler(events)
    dispatcher.add_span_handler(spans)
    yield lambda: [*events.seen, *spans.seen]
    dispatcher.event_handlers.remove(events)
    dispatcher.span_handlers.remove(spans)
