"""What a node gives to read: its text, its metadata, and for whom."""

from collections.abc import Iterator, Mapping

from llama_index.core.schema import BaseNode, ImageNode, MetadataMode, Node, TextNode

from guard_integrations.core.sanitizer.wrapping import spotlight

__all__ = [
    "Modes", "carries_media",  "has_text", "model_view", "spotlighted", "visible_keys", "with_text",
]  # fmt: skip


Modes = tuple[MetadataMode, ...]
"""For whom a node is read: the model, the embedder, or both."""


def has_text(node: BaseNode) -> bool:
    """Whether a node carries text that a guard can read; an image without a caption, say, does not."""
    if isinstance(node, Node):
        return node.text_resource is not None and bool(node.text_resource.text)
    return isinstance(node, TextNode) and bool(node.text)


def carries_media(node: BaseNode) -> bool:
    """Whether a node carries an image, sound or film, or is of a kind that holds no text at all."""
    if isinstance(node, Node):
        return any((node.image_resource, node.audio_resource, node.video_resource))
    if isinstance(node, ImageNode):
        return any((node.image, node.image_path, node.image_url))
    return not isinstance(node, TextNode)


def visible_keys(node: BaseNode, modes: Modes = (MetadataMode.LLM,)) -> frozenset[str]:
    """Keys of the metadata that stand in what is read in any of these modes."""
    hidden: set[str] | None = None
    for mode in modes:
        excluded = {
            MetadataMode.LLM: node.excluded_llm_metadata_keys,
            MetadataMode.EMBED: node.excluded_embed_metadata_keys,
        }.get(mode, [])
        hidden = set(excluded) if hidden is None else hidden & set(excluded)
    return frozenset(node.metadata) - frozenset(hidden or ())


def model_view(node: BaseNode, modes: Modes = (MetadataMode.LLM,)) -> Iterator[str]:
    """All texts of a node as they are read in these modes, and the strings nested in its visible metadata.

    Metadata stands in front of the text in what a model reads, so an instruction may begin in the one and end in
    the other; a nested value is read as its `repr`, in which a line break is two characters. Hence both.
    """
    for mode in modes:
        yield node.get_content(metadata_mode=mode) if has_text(node) else node.get_metadata_str(mode)
    for key in sorted(visible_keys(node, modes)):
        value = node.metadata[key]
        if not isinstance(value, str):
            yield from strings_in(value)


def strings_in(value: object) -> Iterator[str]:
    """Every string in a nested value, keys of mappings included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings_in(key)
            yield from strings_in(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from strings_in(inner)


def spotlighted(node: BaseNode) -> BaseNode:
    """A copy whose text, with the metadata that the model reads put into it, stands between tags it cannot forge.

    The metadata stays where a reader finds it, hidden from the model from now on.
    """
    if not has_text(node):
        return node
    marked = spotlight(node.get_content(metadata_mode=MetadataMode.LLM))
    copy = node.model_copy(update={"excluded_llm_metadata_keys": list(node.metadata)})
    return with_text(copy, marked)


def with_text(copy: BaseNode, text: str) -> BaseNode:
    """Sets the text of a node that is already a copy, leaving all else about its text resource alone."""
    if isinstance(copy, Node) and copy.text_resource is not None:
        copy.text_resource = copy.text_resource.model_copy(update={"text": text})
    else:
        copy.set_content(text)
    return copy
