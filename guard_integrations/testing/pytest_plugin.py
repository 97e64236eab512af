"""The pytest fixture `mistral_server`, found by pytest when this package is installed.

One server runs for the whole session and is reset for each test, so a test costs no start. It keeps no connection open,
so that the frameworks' clients, which nothing closes, cause no ResourceWarning in a test.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard_integrations.testing.mistral_server import MistralServer

__all__ = ["mistral_server"]


@pytest.fixture(scope="session")
def _mistral_server_of_the_session() -> "Iterator[MistralServer]":
    from guard_integrations.testing.mistral_server import MistralServer  # noqa: PLC0415 - pytest loads this module always

    with MistralServer(keep_alive=False) as server:
        yield server


@pytest.fixture
def mistral_server(_mistral_server_of_the_session: "MistralServer") -> "MistralServer":
    """A local Mistral API with a fresh key (`.key`), no faults and an empty log; `.url`, `.base_url` say where."""
    _mistral_server_of_the_session.reset()
    return _mistral_server_of_the_session
