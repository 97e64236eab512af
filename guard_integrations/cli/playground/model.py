"""The model's raw answer to one question, piece by piece. Nothing guards it: the page shows what the guard does."""

import json
from collections.abc import AsyncIterator

import httpx

from guard_integrations.core.rotation.ring import KeyRing

__all__ = ["Model"]

PIECE = 4
"""Characters of a piece: about what a token has."""


class Model:
    """A Mistral model over HTTP.

    Args:
        ring: the keys.
        base_url: the API, with its `/v1`.
        name: the model's name.
    """

    def __init__(self, ring: KeyRing, base_url: str, *, name: str) -> None:
        self._client = httpx.AsyncClient(auth=ring.auth(), base_url=base_url, timeout=120)
        self._name = name

    async def answer(self, system: str, question: str) -> AsyncIterator[str]:
        """The answer in pieces of a few characters.

        Raises:
            httpx.HTTPError: the server refused, or cannot be reached.
            KeysExhausted: no key can be used.
        """
        messages = [{"role": "user", "content": question}]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        body = {"model": self._name, "messages": messages, "stream": True}
        async with self._client.stream("POST", "chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                for choice in json.loads(line.removeprefix("data: ")).get("choices", ()):
                    content = choice["delta"].get("content")
                    if isinstance(content, str):
                        for start in range(0, len(content), PIECE):
                            yield content[start : start + PIECE]

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
