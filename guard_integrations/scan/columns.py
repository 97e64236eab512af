"""Which column of a file holds the texts: the one with a usual name, else the one with the longest texts."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

import pyarrow as pa
from pyarrow import parquet

from guard_integrations.scan.files import Unreadable

__all__ = ["delimiter_of", "json_column", "parquet_column", "text_column"]

_USUAL: Final = ("text", "content", "body", "message", "prompt", "document", "page_content", "completion", "answer")
_SAMPLE: Final = 100


def text_column(path: str, values: Mapping[str, Iterable[object]]) -> str:
    """The column of texts.

    Args:
        path: of the file, for the message.
        values: some of the values of each column.

    Raises:
        Unreadable: none of them holds texts.
    """
    lengths: dict[str, float] = {}
    for name, some in values.items():
        known = [value for value in some if value is not None]
        texts = [value for value in known if isinstance(value, str)]
        if texts or not known:
            lengths[name] = sum(map(len, texts)) / max(1, len(texts))
    lower = {name.lower(): name for name in reversed(lengths)}
    for name in _USUAL:
        if name in lower:
            return lower[name]
    if not lengths:
        raise Unreadable(f"{path}: no column holds texts; name one with --column")
    return max(lengths, key=lambda name: lengths[name])


def json_column(path: str, lines: Iterable[bytes]) -> str:
    """The field of texts in JSON lines; for the rest see `text_column`."""
    values: dict[str, list[object]] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            for name, value in row.items():
                values.setdefault(name, []).append(value)
    return text_column(path, values)


def parquet_column(path: str, stored: parquet.ParquetFile, column: str | None) -> str:
    """The column of texts in a Parquet file, the one asked for if it is one.

    Raises:
        Unreadable: there is none, or what was asked for is none.
    """
    texts = [field.name for field in stored.schema_arrow if _is_text(field.type)]
    if column is not None:
        if column not in texts:
            raise Unreadable(f"{path}: there is no column {column!r} of texts")
        return column
    if len(texts) == 1:
        return str(texts[0])
    some = next(stored.iter_batches(batch_size=_SAMPLE, columns=texts), None) if texts else None
    return text_column(path, {} if some is None else {name: some[name].to_pylist() for name in texts})


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def delimiter_of(header: str) -> str:
    """What parts the columns of a CSV file: of the usual characters the one that its header has most of."""
    return max(",;\t|", key=header.count)
