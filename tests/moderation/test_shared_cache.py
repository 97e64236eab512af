"""Over a real Redis, started for the test; what needs none comes first."""

import shutil
import socket
import subprocess
import time
from itertools import pairwise

import pytest

from guard_integrations.core import events
from guard_integrations.core.moderation import shared_cache
from guard_integrations.errors import PolicyError

KEY = "a key that all share"


def test_what_could_not_be_shared_is_refused(make, monkeypatch):
    monkeypatch.delenv("GUARD_INTEGRATIONS_HASH_KEY", raising=False)
    with pytest.raises(PolicyError, match="hash_key"):
        make(shared_cache="redis://127.0.0.1:1/0")
    monkeypatch.setattr(shared_cache, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"guard-integrations\[redis\]"):
        make(shared_cache="redis://127.0.0.1:1/0", hash_key=KEY)
    monkeypatch.setattr(shared_cache, "find_spec", lambda _: object())
    with pytest.raises(PolicyError, match="redis://"):
        make(shared_cache="http://127.0.0.1:1/0", hash_key=KEY)


class RedisServer:
    def __init__(self, folder):
        self.program = shutil.which("redis-server") or shutil.which("valkey-server")
        if self.program is None:
            pytest.skip("neither redis-server nor valkey-server is installed")
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = None

    def start(self, redis):
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen([self.program, *arguments], stdout=subprocess.DEVNULL)  # noqa: S603 - found by name
        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                else:
                    return

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def redis():
    return pytest.importorskip("redis", reason="the extra `redis` is not installed")


@pytest.fixture
def server(tmp_path, redis):
    made = RedisServer(tmp_path)
    made.start(redis)
    yield made
    made.kill()


@pytest.fixture
def client(server, redis):
    with redis.Redis.from_url(server.url) as made:
        yield made


def stored(client, count):
    deadline = time.monotonic() + 5
    while len(keys := client.keys("*")) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return keys


@pytest.mark.slow
def test_processes_share_answers_and_no_text(api, make, server, client):
    first = make(shared_cache=server.url, hash_key=KEY)
    assert not first.moderate("a text about selfharm").safe
    (name,) = stored(client, 1)
    assert b"selfharm" not in name
    assert b"a text" not in client.get(name)
    assert 0 < client.pttl(name) <= 300_000
    second = make(shared_cache=server.url, hash_key=KEY)
    assert not second.moderate("a text about selfharm").safe
    assert len(api.requests) == 1
    make(shared_cache=server.url, hash_key="another key").moderate("a text about selfharm")
    assert len(api.requests) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"x" * 200,
        b"\0" * 32 + b'{"categories": {"sexual": false}, "category_scores": {"sexual": 0.0}}',
    ],
)
def test_who_can_write_there_cannot_make_a_text_safe(api, make, server, client, forged):
    text = "a text about selfharm"
    make(shared_cache=server.url, hash_key=KEY).moderate(text)
    make(shared_cache=server.url, hash_key=KEY).moderate("a plain text")
    stored(client, 2)
    values = {name: client.get(name) for name in client.keys("*")}
    for name in values:
        client.set(name, forged)
    with make(shared_cache=server.url, hash_key=KEY) as moderator:
        assert not moderator.moderate(text).safe
    # The answer to another text is no answer to this one.
    for name in values:
        client.set(name, next(value for other, value in values.items() if other != name))
    assert not make(shared_cache=server.url, hash_key=KEY).moderate(text).safe
    assert len(api.requests) == 4


@pytest.mark.slow
def test_while_redis_is_away_the_classifier_is_asked(api, make, server, redis):
    now = [0.0]
    told = []
    events.add_observer(told.append)
    try:
        moderator = make(shared_cache=server.url, hash_key=KEY, clock=lambda: now[0], cache_size=0)
        assert moderator.moderate("one").safe
        server.kill()
        began = time.monotonic()
        for number in range(20):
            assert moderator.moderate(f"text {number}").safe
        assert time.monotonic() - began < 2
        assert kinds(told)[-1] == "shared-state-lost"
        server.start(redis)
        # A busy machine may miss the quarter of a second that Redis has, so one look may not be enough.
        for number in range(20):
            now[0] += 10.0
            assert moderator.moderate(f"again {number}").safe
            if kinds(told)[-1] == "shared-state-back":
                break
    finally:
        events.remove_observer(told.append)
    assert kinds(told)[-1] == "shared-state-back"
    assert all(before != after for before, after in pairwise(kinds(told)))


def kinds(told):
    return [event.kind.value for event in told if "shared" in event.kind.value]
