"""`GuardTransformComponent` in ingestion pipelines."""

import asyncio
import pickle
from importlib.resources import files

import pytest
from li_samples import DOCUMENTS, EMAIL, POISON
from llama_index.core import Document
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import MetadataMode, NodeRelationship, TextNode

from guard_integrations import GuardPolicy, GuardUnavailable, PseudonymVault
from guard_integrations.llama_index import (
    GuardTransformComponent,
    InjectionGuardNodePostprocessor,
    RedactionNodePostprocessor,
)

MAIL = Document(text=f"Write to {EMAIL}.", metadata={"owner": EMAIL}, id_="mail")


def pipeline(*guards, **settings):
    guard = GuardTransformComponent(guards=list(guards)) if guards else GuardTransformComponent()
    return IngestionPipeline(transformations=[SentenceSplitter(chunk_size=128, chunk_overlap=0), guard], **settings)


async def test_poisoned_documents_are_dropped_and_personal_data_redacted():
    documents = [*(Document(text=text) for text in DOCUMENTS), Document(text=POISON), MAIL]
    for nodes in (pipeline().run(documents=documents), await pipeline().arun(documents=documents)):
        assert len(nodes) == len(DOCUMENTS) + 1
        assert EMAIL not in "".join(node.model_dump_json() for node in nodes)
        assert nodes[-1].relationships[NodeRelationship.SOURCE].node_id == "mail"


async def test_calling_and_awaiting_do_the_same():
    guard = GuardTransformComponent()
    nodes = [TextNode(text=text, id_=text) for text in (*DOCUMENTS, POISON)]
    assert list(guard(nodes)) == list(await guard.acall(nodes)) == nodes[:-1]


def test_what_only_the_embedder_reads_is_guarded():
    node = TextNode(text="fine", metadata={"to-model": EMAIL, "to-embedder": EMAIL, "to-nobody": EMAIL})
    node.excluded_llm_metadata_keys = ["to-embedder", "to-nobody"]
    node.excluded_embed_metadata_keys = ["to-model", "to-nobody"]
    (done,) = GuardTransformComponent()([node])
    assert EMAIL not in done.get_content(MetadataMode.EMBED) + done.get_content(MetadataMode.LLM)
    assert done.metadata["to-nobody"] == EMAIL


def test_the_cache_tells_policies_and_settings_apart_and_serves_again():
    guards = [
        GuardTransformComponent(guards=[InjectionGuardNodePostprocessor(**settings)])
        for settings in (
            {},
            {"on_injection": "filter"},
            {"policy": GuardPolicy.strict()},
            {"policy": GuardPolicy(hash_key="one")},
            {"policy": GuardPolicy(hash_key="two")},
            {"policy": GuardPolicy(allowed_hosts=frozenset("abcdefg"))},
        )
    ]
    nodes = [TextNode(text="fine")]
    hashes = [get_transformation_hash(nodes, guard) for guard in guards]
    assert len(set(hashes)) == len(guards)
    assert hashes == [get_transformation_hash(nodes, guard) for guard in guards]
    lenient = pipeline(InjectionGuardNodePostprocessor(on_injection="flag"))
    assert len(lenient.run(documents=[Document(text=POISON)])) == 1
    assert pipeline(InjectionGuardNodePostprocessor(), cache=lenient.cache).run(documents=[Document(text=POISON)]) == []


def test_the_cache_tells_vaults_apart():
    """A token of one vault, served from the cache to the owner of another, would never become a value again."""
    one, two = PseudonymVault(), PseudonymVault()
    cache = None
    for vault in (one, two, None):
        again = pipeline(RedactionNodePostprocessor(vault=vault), cache=cache)
        cache = again.cache
        (node,) = again.run(documents=[Document(text=f"Write to {EMAIL}.")])
        assert EMAIL not in node.text
        assert (vault.restore(node.text) if vault else node.text) in {f"Write to {EMAIL}.", "Write to [EMAIL]."}
        assert ("[EMAIL]" in node.text) is (vault is None)


def test_a_vault_does_not_travel_and_is_not_silently_done_without():
    guard = GuardTransformComponent(guards=[RedactionNodePostprocessor(vault=PseudonymVault())])
    elsewhere = pickle.loads(pickle.dumps(guard))  # noqa: S301 - our own bytes
    with pytest.raises(GuardUnavailable, match="PseudonymVault"):
        elsewhere([TextNode(text=EMAIL)])


def test_components_come_back_from_what_they_serialise_to():
    guard = RedactionNodePostprocessor(policy=GuardPolicy.strict(allowed_hosts=frozenset({"a.example"})))
    again = RedactionNodePostprocessor.from_dict(guard.to_dict())
    assert again.policy == guard.policy


@pytest.mark.slow
async def test_parallel_workers_do_the_same(monkeypatch):
    # A splitter that is unpickled in a worker looks its encoding up anew, on the network where it is not told of a copy.
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(files("llama_index.core") / "_static" / "tiktoken_cache"))
    documents = [Document(text=text, id_=str(i)) for i, text in enumerate([*DOCUMENTS, POISON, EMAIL] * 4)]
    alone = [node.text for node in pipeline(disable_cache=True).run(documents=documents)]
    together = await asyncio.to_thread(pipeline(disable_cache=True).run, documents=documents, num_workers=2)
    assert sorted(node.text for node in together) == sorted(alone)
