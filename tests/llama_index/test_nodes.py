"""Reading and copying nodes."""

import copy
import pickle
from enum import Enum
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.response.schema import Response
from llama_index.core.llms import ImageBlock
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from pydantic import BaseModel

from guard_integrations.llama_index._nodes import carries_media, has_text, model_view, visible_keys
from guard_integrations.llama_index._values import rewrite_node, rewrite_value

texts = st.text(max_size=40)
metadata = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.recursive(
        texts | st.integers() | st.none() | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def strings(value):
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [s for pair in value.items() for one in pair for s in strings(one)]
    if isinstance(value, list):
        return [s for one in value for s in strings(one)]
    return []


@given(text=texts, about=metadata, kind=st.sampled_from([TextNode, Document]))
def test_every_string_is_rewritten_in_a_copy_and_the_node_stays(text, about, kind):
    node = kind(text=text, metadata=about)
    before = copy.deepcopy(node)
    done = rewrite_node(node, lambda _: "#")
    assert node == before
    assert type(done) is kind
    assert done.node_id == node.node_id
    assert done.get_content() == ("#" if text else "")
    assert set(strings(done.metadata)) <= {"#"}


@given(text=texts, about=metadata)
def test_a_rewrite_that_changes_nothing_gives_an_equal_node(text, about):
    node = TextNode(text=text, metadata=about, embedding=[0.5])
    assert rewrite_node(node, str) == node


def test_only_the_named_keys_are_rewritten_in_relations_too():
    source = RelatedNodeInfo(node_id="doc", metadata={"seen": "a", "hidden": "b"})
    node = TextNode(
        text="t",
        metadata={"seen": "a", "hidden": "b"},
        excluded_llm_metadata_keys=["hidden"],
        relationships={NodeRelationship.SOURCE: source, NodeRelationship.CHILD: [source]},
    )
    done = rewrite_node(node, str.upper, keys=visible_keys(node))
    expected = {"SEEN": "A", "hidden": "b"}
    assert done.metadata == done.source_node.metadata == done.child_nodes[0].metadata == expected
    assert done.source_node.node_id == "doc"


def test_a_key_that_is_hidden_stays_hidden_under_its_new_name():
    node = TextNode(text="t", metadata={"a": "x", "b": "y"})
    node.excluded_llm_metadata_keys, node.excluded_embed_metadata_keys = ["a"], ["a", "b"]
    done = rewrite_node(node, str.upper)
    assert done.get_content(MetadataMode.LLM) == node.get_content(MetadataMode.LLM).upper()
    assert done.get_content(MetadataMode.EMBED) == "T"
    assert node.excluded_llm_metadata_keys == ["a"]
    assert rewrite_node(node, str.upper, keys=frozenset({"b"})).excluded_embed_metadata_keys == ["a", "B"]


def test_what_a_node_puts_between_its_texts_is_rewritten():
    node = TextNode(text="t", metadata={"a": "x"}, text_template="{metadata_str} secret {content}")
    done = rewrite_node(node, lambda text: text.replace("secret", "#"))
    assert done.get_content(MetadataMode.LLM) == "a: x # t"
    assert rewrite_node(TextNode(text="t"), str.upper).text_template == TextNode().text_template


def test_a_node_inside_a_node_is_rewritten():
    assert rewrite_node(IndexNode(text="a", index_id="i", obj=TextNode(text="b")), str.upper).obj.text == "B"


def test_a_text_resource_keeps_all_but_its_text():
    node = Node(text_resource=MediaResource(text="a", mimetype="text/markdown", embeddings={"dense": [1.0]}))
    done = rewrite_node(node, str.upper)
    assert (done.text_resource.text, done.text_resource.mimetype) == ("A", "text/markdown")
    assert done.text_resource.embeddings == {"dense": [1.0]}
    assert node.text_resource.text == "a"


def test_what_a_model_reads_is_metadata_in_front_and_nested_strings_as_they_are():
    node = TextNode(text="body", metadata={"a": {"k": ["x\ny"]}, "b": "z"}, excluded_llm_metadata_keys=["b"])
    assert list(model_view(node)) == ["a: {'k': ['x\\ny']}\n\nbody", "k", "x\ny"]
    assert "z" in "".join(model_view(node, (MetadataMode.LLM, MetadataMode.EMBED)))


def test_keys_hidden_in_every_mode_are_hidden():
    node = TextNode(metadata={"a": 1, "b": 2, "c": 3})
    node.excluded_llm_metadata_keys, node.excluded_embed_metadata_keys = ["a", "b"], ["b", "c"]
    assert visible_keys(node) == {"c"}
    assert visible_keys(node, (MetadataMode.LLM, MetadataMode.EMBED)) == {"a", "c"}


def test_media_are_known():
    assert carries_media(ImageNode(image="aGk="))
    assert carries_media(Node(image_resource=MediaResource(data=b"hi")))
    assert not carries_media(TextNode(text="a"))
    assert not has_text(ImageNode(image="aGk="))
    assert not has_text(Node())


class Colour(str, Enum):  # noqa: UP042 - as LlamaIndex writes them
    RED = "red"


class Person(BaseModel):
    name: str
    colour: Colour = Colour.RED
    friends: list["Person"] = []


class Opaque:
    def __str__(self):
        return "opaque"


def test_values_of_every_shape_keep_their_kind():
    node = NodeWithScore(node=TextNode(text="n"), score=0.25)
    value = {"p": Person(name="a", friends=[Person(name="b")]), "r": Response("r", [node]), "t": ("x", 1), "s": {"y"}}
    done = rewrite_value(value, str.upper)
    assert done["P"].name == "A"
    assert done["P"].friends[0].name == "B"
    assert done["P"].colour is Colour.RED
    assert done["R"].response == "R"
    assert done["R"].source_nodes[0].node.text == "N"
    assert done["R"].source_nodes[0].score == 0.25
    assert (done["T"], done["S"]) == (("X", 1), {"Y"})
    assert value["p"].name == "a"
    assert node.node.text == "n"


def test_bytes_and_paths_that_are_text_are_rewritten():
    value = {"b": b"abc", "a": bytearray(b"abc"), "p": PurePosixPath("/home/jane"), "i": b"\xff\xd8\xff"}
    done = rewrite_value(value, lambda text: text.replace("b", "#").replace("jane", "#"))
    assert done == {"#": b"a#c", "a": bytearray(b"a#c"), "p": PurePosixPath("/home/#"), "i": b"\xff\xd8\xff"}
    assert type(done["a"]) is bytearray


def test_images_in_blocks_stay_as_they_are():
    block = ImageBlock(image=b"\x89PNG\r\n", image_mimetype="image/png")
    assert rewrite_value([block], str.upper)[0].image == block.image


def test_what_cannot_be_looked_into_becomes_its_clean_text():
    assert rewrite_value([Opaque()], str.upper) == ["OPAQUE"]


def test_copies_pickle():
    done = rewrite_node(TextNode(text="a", metadata={"b": "c"}), str.upper)
    assert pickle.loads(pickle.dumps(done)) == done  # noqa: S301 - our own bytes
