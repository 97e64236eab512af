"""What the model really said, kept at the wire for `/raw`: the guards stand above it."""

import json
from collections.abc import Iterator
from contextlib import closing

import httpx

__all__ = ["Wiretap"]


class Wiretap(httpx.BaseTransport):
    """A transport that keeps the body of the last chat completion it has passed on, in memory alone.

    Args:
        inner: what really sends.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self._body: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Passes a request on; its answer's body is kept as it goes by."""
        response = self._inner.handle_request(request)
        if isinstance(response.stream, httpx.SyncByteStream):
            self._body = []
            response.stream = _Kept(response.stream, self._body)
        return response

    def close(self) -> None:
        """Closes what really sends."""
        self._inner.close()

    def forget(self) -> None:
        """Keeps nothing any more."""
        self._body = []

    @property
    def text(self) -> str:
        """What the model said, of a stream of server-sent events; empty where there was none."""
        lines = b"".join(self._body).decode(errors="replace").splitlines()
        return "".join(_said(line.removeprefix("data: ")) for line in lines if line.startswith("data: {"))


class _Kept(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, body: list[bytes]) -> None:
        self._stream = stream
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        with closing(self._stream):
            for part in self._stream:
                self._body.append(part)
                yield part

    def close(self) -> None:
        self._stream.close()


def _said(frame: str) -> str:
    try:
        content = json.loads(frame)["choices"][0]["delta"]["content"]
    except (ValueError, LookupError, TypeError):
        return ""
    if isinstance(content, list):
        return "".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return content if isinstance(content, str) else ""
