"""What the local server received."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["ReceivedRequest", "RequestLog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request. The repr shows neither body nor headers.

    Args:
        method: such as "POST".
        path: such as "/v1/chat/completions".
        key: the label of the key it came with; None if the server knows no such key.
        time: when it came, in seconds of `time.monotonic`.
        headers: names in lower case, without `authorization`.
        content: the body as it came.
    """

    method: str
    path: str
    key: str | None
    time: float
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def body(self) -> object:
        """The body, parsed; None where there was none or where it is not JSON."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None


class RequestLog:
    """The requests in the order they came, thread-safe. Iterates over a copy, so the server may go on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[ReceivedRequest] = []

    def append(self, entry: ReceivedRequest) -> None:
        """Note one request."""
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def to(self, path: str) -> list[ReceivedRequest]:
        """The requests to one path, such as "/v1/moderations"."""
        return [entry for entry in self if entry.path == path]

    def __iter__(self) -> Iterator[ReceivedRequest]:
        with self._lock:
            return iter(self._entries.copy())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> ReceivedRequest:
        return self._entries[index]

    def __repr__(self) -> str:
        return f"<RequestLog of {len(self)} requests>"
