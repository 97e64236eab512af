"""Two HTTP libraries, one test: `library` is httpx, then httpx2."""

import os

import pytest
from redis_server import RedisServer

from guard_integrations.core import events


class Clock:
    """Seconds that move only when somebody sleeps."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["httpx", "httpx2"])
def library(request):
    return pytest.importorskip(request.param, reason=f"{request.param} is not installed")


@pytest.fixture
def seen():
    """The events of one test."""
    found = []
    events.add_observer(found.append)
    yield found
    events.remove_observer(found.append)


@pytest.fixture(autouse=True)
def _no_keys_in_the_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("MISTRAL_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    pytest.importorskip("redis", reason="the extra `redis` is not installed; make check installs it")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()
