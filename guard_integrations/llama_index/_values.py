"""Copies of nodes, and of values of any shape, with every string in them rewritten. Nothing is changed in place."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Final, TypeVar
from uuid import UUID

from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.bridge.pydantic import AnyUrl, BaseModel
from llama_index.core.schema import BaseNode, IndexNode, MetadataMode, RelatedNodeInfo
from llama_index.core.tools.types import ToolOutput

from guard_integrations.llama_index._nodes import has_text, with_text

__all__ = ["Rewrite", "rewrite_node", "rewrite_tool_output", "rewrite_value"]

Rewrite = Callable[[str], str]
"""Text in, safe text out."""

_Value = TypeVar("_Value")

_HOLD_NO_TEXT: Final = (
    type(None), bool, int, float, complex, Enum, date, time, timedelta, Decimal, UUID, type,
)  # fmt: skip
_TEMPLATES: Final = ("text_template", "metadata_template", "metadata_separator")
"""Fields of a node that stand in what is read of it, between its text and its metadata."""


def rewrite_value(value: _Value, rewrite: Rewrite) -> _Value:
    """A copy of a value with every string in it rewritten.

    Mappings, sequences, dataclasses, models, nodes and responses keep their kind, a streamed response becomes a whole
    one. An object of any other class cannot be looked into: its rewritten `str` takes its place.
    """
    done: object
    if isinstance(value, _HOLD_NO_TEXT):
        done = value
    elif isinstance(value, str | bytes | bytearray | PurePath):
        done = _rewrite_text(value, rewrite)
    elif isinstance(value, BaseNode):
        done = rewrite_node(value, rewrite)
    elif isinstance(value, StreamingResponse | AsyncStreamingResponse):
        done = rewrite_value(Response(value.response_txt, value.source_nodes, value.metadata), rewrite)
    elif isinstance(value, BaseModel):
        fields_of = {name: getattr(value, name) for name in (*type(value).model_fields, *(value.model_extra or {}))}
        # Bytes in a field of a model are an image or a sound, in an encoding that would pass for text.
        update = {name: rewrite_value(each, rewrite) for name, each in fields_of.items() if not isinstance(each, bytes)}
        done = value.model_copy(update=update)
    elif isinstance(value, Mapping):
        done = {rewrite_value(key, rewrite): rewrite_value(inner, rewrite) for key, inner in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        kind = list if isinstance(value, tuple) and hasattr(value, "_fields") else type(value)
        done = kind(rewrite_value(inner, rewrite) for inner in value)
    elif is_dataclass(value) and not isinstance(value, type):
        done = replace(value, **{one.name: rewrite_value(getattr(value, one.name), rewrite) for one in fields(value)})
    else:
        text = str(value)
        clean = rewrite(text)
        # A URL is all text: one that is clean may stay what it was.
        done = value if isinstance(value, AnyUrl) and clean == text else clean
    return done  # type: ignore[return-value] # each branch but the last keeps the kind of what came in


def _rewrite_text(value: str | bytes | bytearray | PurePath, rewrite: Rewrite) -> object:
    """A text rewritten, as what it was: a string, a path, or bytes. Bytes that are no text stay as they are."""
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, PurePath):
        return type(value)(rewrite(str(value)))
    try:
        return type(value)(rewrite(value.decode()).encode())
    except UnicodeDecodeError:
        return value


def rewrite_node(node: BaseNode, rewrite: Rewrite, *, keys: frozenset[str] | None = None) -> BaseNode:
    """A copy of a node with its text and metadata rewritten; ids, relations, embedding and class stay.

    Args:
        node: stays as it is.
        rewrite: called once for each string.
        keys: metadata keys to rewrite, here and in what the node's relations repeat of it; all where None.
    """

    def cleaned(metadata: dict[str, object]) -> dict[str, object]:
        return {
            (rewrite(key) if keys is None or key in keys else key): (
                rewrite_value(value, rewrite) if keys is None or key in keys else value
            )
            for key, value in metadata.items()
        }

    def related(info: RelatedNodeInfo) -> RelatedNodeInfo:
        return info.model_copy(update={"metadata": cleaned(info.metadata)}) if info.metadata else info

    relations = {
        kind: [related(one) for one in info] if isinstance(info, list) else related(info)
        for kind, info in node.relationships.items()
    }
    update: dict[str, object] = {"metadata": cleaned(node.metadata), "relationships": relations}
    for name in ("excluded_llm_metadata_keys", "excluded_embed_metadata_keys"):
        # A key that is hidden stays hidden under its new name.
        hidden = getattr(node, name)
        update[name] = [rewrite(key) if keys is None or key in keys else key for key in hidden]
    update |= {name: rewrite(text) for name in _TEMPLATES if (text := _own(node, name)) is not None}
    copy = node.model_copy(update=update)
    if isinstance(copy, IndexNode) and isinstance(copy.obj, BaseNode):
        copy.obj = rewrite_node(copy.obj, rewrite, keys=keys)
    if has_text(node):
        return with_text(copy, rewrite(node.get_content(metadata_mode=MetadataMode.NONE)))
    return copy


def _own(node: BaseNode, name: str) -> str | None:
    """What a node has in a field of its own; None where it is as its class has it."""
    field = type(node).model_fields.get(name)
    own = getattr(node, name, None)
    return own if field is not None and isinstance(own, str) and own != field.default else None


def rewrite_tool_output(output: ToolOutput, rewrite: Rewrite) -> ToolOutput:
    """A copy of what a tool gave, with every text in it rewritten; an exception it keeps is left behind."""
    return ToolOutput(
        tool_name=output.tool_name,
        blocks=rewrite_value(output.blocks, rewrite),
        raw_input=rewrite_value(output.raw_input, rewrite),
        raw_output=rewrite_value(output.raw_output, rewrite),
        is_error=output.is_error,
    )
