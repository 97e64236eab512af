"""Which column of a file holds the texts: the one with a usual name, else the one with the longest texts."""

import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from guard_integrations.scan.files import Unreadable
from guard_integrations.scan.messages import pieces_of, said, stores_messages

__all__ = ["Column", "delimiter_of", "json_column", "parquet_column", "text_column"]

_USUAL: Final = (
    *("messages", "conversation", "conversations"),
    *("text", "content", "body", "message", "prompt", "document", "page_content", "completion", "answer"),
)
_SAMPLE: Final = 100


class Column(NamedTuple):
    """The column of texts.

    Args:
        name: its name.
        messages: whether it holds conversations: lists of messages.
    """

    name: str
    messages: bool


def text_column(path: str, values: Mapping[str, Iterable[object]], wanted: str | None = None) -> Column:
    """The column of texts or of conversations.

    Args:
        path: of the file, for the message.
        values: some of the values of each column.
        wanted: the one that was asked for.

    Raises:
        Unreadable: none of them holds texts.
    """
    if wanted is not None:
        return Column(wanted, said(values.get(wanted, ())))
    lengths: dict[str, float] = {}
    for name, some in values.items():
        known = [value for value in some if value is not None]
        messages = said(known)
        read = [pieces for value in known if (pieces := pieces_of(value, messages=messages))]
        if read or all(value == "" for value in known):
            lengths[name] = sum(len(piece.text) for pieces in read for piece in pieces) / max(1, len(read))
    lower = {name.lower(): name for name in reversed(lengths)}
    usual = next((lower[name] for name in _USUAL if name in lower), None)
    if usual is None and not lengths:
        raise Unreadable(f"{path}: no column holds texts; name one with --column")
    chosen = usual or max(lengths, key=lambda name: lengths[name])
    return Column(chosen, said(values[chosen]))


def json_column(path: str, lines: Iterable[bytes], wanted: str | None = None) -> Column:
    """The field of texts in JSON lines; for the rest see `text_column`."""
    values: dict[str, list[object]] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            for name, value in row.items():
                values.setdefault(name, []).append(value)
    return text_column(path, values, wanted)


def parquet_column(path: str, stored: parquet.ParquetFile, wanted: str | None) -> Column:
    """The column of texts in a Parquet file, the one asked for if it is one.

    Raises:
        Unreadable: there is none, or what was asked for is none.
    """
    kinds = {field.name: field.type for field in stored.schema_arrow}
    texts = [name for name, kind in kinds.items() if _is_text(kind) or stores_messages(kind)]
    if wanted is not None:
        if wanted not in texts:
            raise Unreadable(f"{path}: there is no column {wanted!r} of texts")
        texts = [wanted]
    some = next(stored.iter_batches(batch_size=_SAMPLE, columns=texts), None) if texts else None
    values = {name: [] if some is None else _sampled(some[name]) for name in texts}
    chosen = text_column(path, values, wanted)
    return Column(chosen.name, chosen.messages or stores_messages(kinds[chosen.name]))


def _sampled(column: pa.Array) -> list[object]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [""]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def delimiter_of(header: str) -> str:
    """What parts the columns of a CSV file: of the usual characters the one that its header has most of."""
    return max(",;\t|", key=header.count)
