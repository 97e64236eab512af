"""The HTTP clients of a guarded model: its key ring in their auth, its hooks at their answers."""

import ssl
from functools import cache
from typing import TypedDict

import httpx

from guard_integrations.core.moderation.verdict_hooks import VERDICT_HOOKS, VERDICT_HOOKS_ASYNC
from guard_integrations.core.rotation.ring import KeyRing
from guard_integrations.langchain._connections import connections
from guard_integrations.langchain._over_http import HOOKS, HOOKS_ASYNC

__all__ = ["async_client", "client"]


class _Settings(TypedDict):
    headers: dict[str, str]
    timeout: float
    auth: httpx.Auth | None
    verify: ssl.SSLContext


def client(keys: KeyRing | None, timeout: float) -> httpx.Client:
    """A blocking client.

    Args:
        keys: where its keys come from; None for none.
        timeout: seconds for each step of a call.
    """
    return httpx.Client(event_hooks={"response": [*VERDICT_HOOKS["response"], *HOOKS]}, **_settings(keys, timeout))


def async_client(keys: KeyRing | None, timeout: float) -> httpx.AsyncClient:
    """The same for asyncio."""
    return httpx.AsyncClient(
        event_hooks={"response": [*VERDICT_HOOKS_ASYNC["response"], *HOOKS_ASYNC]},
        transport=connections(_ssl_context()),
        **_settings(keys, timeout),
    )


def _settings(keys: KeyRing | None, timeout: float) -> _Settings:
    return {
        "headers": {"Content-Type": "application/json", "Accept": "application/json"},
        "timeout": timeout,
        "auth": keys.auth() if keys else None,
        "verify": _ssl_context(),
    }


@cache
def _ssl_context() -> ssl.SSLContext:
    # Reading the certificates takes longer than everything else that makes a client.
    return httpx.create_ssl_context()
