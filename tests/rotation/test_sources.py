import asyncio
import contextlib
import os
import threading
import time

import pytest

from guard_integrations import (
    ApiKey,
    DotenvSource,
    EnvironmentSource,
    FileSource,
    GuardUnavailable,
    KeyRing,
    KeysExhausted,
    MissingKeyError,
)
from guard_integrations.core.events import EventKind
from guard_integrations.core.forks import keep_through_forks
from guard_integrations.core.rotation.auth import KeyRingAuth
from guard_integrations.core.rotation.keys import as_keys
from guard_integrations.core.rotation.refresh import LEAST_INTERVAL

A, B, C = ("k" + letter * 31 for letter in "abc")
URL = "http://127.0.0.1/v1/models"


def values(keys):
    return [key.secret.get_secret_value() for key in keys]


class Given:
    """A source whose keys a test sets; an exception in their place is raised."""

    interval = 60.0

    def __init__(self, *keys):
        self.keys = keys
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self) -> tuple[ApiKey, ...]:
        self.asked += 1
        self.gate.wait(5)
        if isinstance(self.keys, Exception):
            raise self.keys
        return as_keys(self.keys)


def settle(ring):
    flight = ring.refresher._flight
    if flight is not None:
        flight.result(5)


def test_a_dotenv_file_gives_keys_and_leaves_the_environment_alone(tmp_path):
    pytest.importorskip("dotenv")
    file = tmp_path / ".env"
    file.write_text(f'# keys\nexport MISTRAL_API_KEYS="prod:{A},{B}"\nOTHER=${{HOME}}\n')
    assert values(DotenvSource(path=file).fetch()) == [A, B]
    assert "MISTRAL_API_KEYS" not in os.environ
    with pytest.raises(MissingKeyError):
        DotenvSource(path=tmp_path / "none").fetch()


def test_a_folder_as_kubernetes_mounts_it_gives_the_keys_of_each_entry(tmp_path):
    for version, keys in (("one", (A, B)), ("two", (C,))):
        (tmp_path / f"..{version}").mkdir()
        for number, key in enumerate(keys):
            (tmp_path / f"..{version}" / f"key{number}").write_text(key + "\n")
    (tmp_path / "..data").symlink_to(tmp_path / "..one")
    for number in range(2):
        (tmp_path / f"key{number}").symlink_to(tmp_path / "..data" / f"key{number}")
    assert values(FileSource(path=tmp_path).fetch()) == [A, B]
    (tmp_path / "..next").symlink_to(tmp_path / "..two")
    (tmp_path / "..next").rename(tmp_path / "..data")
    assert values(FileSource(path=tmp_path).fetch()) == [C]


def test_a_file_that_cannot_be_read_says_so_without_its_path_or_content(tmp_path):
    (tmp_path / "keys").write_bytes(b"\xff\xfe" + A.encode())
    for path in (tmp_path / "none", tmp_path / "keys"):
        with pytest.raises(GuardUnavailable) as caught:
            FileSource(path=path).fetch()
        assert caught.value.__context__ is None
        assert A not in str(caught.value)
    (tmp_path / "keys").write_text("")
    with pytest.raises(MissingKeyError):
        FileSource(path=tmp_path / "keys").fetch()


def test_a_changed_file_is_picked_up_without_a_restart(tmp_path, library, seen):
    file = tmp_path / "keys"
    file.write_text(A)
    ring = KeyRing.from_source(FileSource(path=file, interval=0.0))
    used = []

    def wire(request):
        used.append(request.headers["Authorization"].removeprefix("Bearer "))
        return library.Response(200)

    with library.Client(auth=ring.auth(), transport=library.MockTransport(wire)) as client:
        client.get(URL)
        file.write_text(B)
        deadline = time.monotonic() + 5
        while used[-1] != B and time.monotonic() < deadline:
            client.get(URL)
            ring.refresher._asked_at -= LEAST_INTERVAL
            settle(ring)
    assert used[0] == A
    assert used[-1] == B
    assert EventKind.KEYS_REFRESHED in {event.kind for event in seen}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_when_all_keys_fail_their_source_is_asked_at_once_and_the_caller_sees_nothing(kind, library, clock):
    source = Given(A)
    ring = KeyRing.from_source(source, clock=clock)
    clock.now += LEAST_INTERVAL
    source.keys = (B,)
    auth = KeyRingAuth(ring, sleep=clock.sleep)
    transport = library.MockTransport(
        lambda request: library.Response(200 if request.headers["Authorization"].endswith(B) else 401)
    )
    if kind == "sync":
        with library.Client(auth=auth, transport=transport) as client:
            answer = client.get(URL)
    else:

        async def run():
            async with library.AsyncClient(auth=auth, transport=transport) as client:
                return await asyncio.gather(*(client.get(URL) for _ in range(8)))

        answer, *_ = asyncio.run(run())
    assert answer.status_code == 200
    assert source.asked == 2
    assert clock.slept == []


def test_a_source_that_hangs_does_not_hold_up_a_call_longer_than_it_may_wait(library):
    source = Given(A)
    ring = KeyRing.from_source(source, max_wait=0.1)
    ring.refresher._asked_at -= 100
    source.gate.clear()
    transport = library.MockTransport(lambda request: library.Response(401))
    with library.Client(auth=ring.auth(), transport=transport) as client, pytest.raises(KeysExhausted):
        client.get(URL)
    source.gate.set()
    settle(ring)


def test_a_source_that_fails_leaves_the_keys_and_says_so_once(clock, seen):
    source = Given(A)
    ring = KeyRing.from_source(source, clock=clock)
    source.keys = RuntimeError(A)
    for _ in range(3):
        clock.now += 60
        ring.refresher.touch()
        settle(ring)
    assert source.asked == 4
    assert ring.lease().secret.get_secret_value() == A
    assert [(event.kind, event.error) for event in seen] == [(EventKind.SOURCE_FAILED, "RuntimeError")]


def test_a_source_that_cannot_be_asked_at_the_start_is_an_error():
    source = Given()
    with pytest.raises(MissingKeyError):
        KeyRing.from_source(source)


def test_the_environment_is_not_asked_again(clock, monkeypatch):
    monkeypatch.setenv("MISTRAL_API_KEY", A)
    assert values(EnvironmentSource().fetch()) == [A]
    ring = KeyRing.from_env(clock=clock)
    clock.now += 1e9
    ring.refresher.touch()
    assert ring.refresher._flight is None


def test_old_and_new_keys_overlap(clock):
    ring = KeyRing([A], overlap=300, clock=clock)
    old = ring.lease()
    assert ring.replace([B])
    assert [(each.label, each.retired) for each in ring.status()] == [("key-2", False), ("key-1", True)]
    new = ring.lease()
    assert new.label == "key-2"
    ring.report_auth_failure(new)
    assert ring.lease().label == "key-1"
    ring.report_success(old)
    clock.now += 300
    assert [each.label for each in ring.status()] == ["key-2"]


def test_a_retired_key_that_is_refused_is_gone(clock):
    ring = KeyRing([A], clock=clock)
    old = ring.lease()
    ring.replace([B])
    ring.report_auth_failure(old)
    assert [each.label for each in ring.status()] == ["key-2"]


def test_a_key_that_stays_keeps_what_is_known_of_it(clock):
    ring = KeyRing([A, B], clock=clock)
    ring.report_auth_failure(ring.lease())
    assert ring.replace([C, A])
    assert not ring.replace([C, A])
    assert [(each.label, each.failures, each.retired) for each in ring.status()] == [
        ("key-3", 0, False),
        ("key-1", 1, False),
        ("key-2", 0, True),
    ]
    assert ring.replace([B, A])
    with pytest.raises(MissingKeyError):
        ring.replace([])
    assert [each.retired for each in ring.status()] == [False, False, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_in_the_middle_of_everything_leaves_the_child_a_ring_that_works(clock):
    ring = KeyRing.from_source(Given(A), clock=clock)
    with ring._lock, ring.refresher._lock:
        child = os.fork()
        if child == 0:
            try:
                ring.lease()
                clock.now += 100
                ring.refresher.touch()
                settle(ring)
                os._exit(0)
            finally:
                os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


class SharedThroughForks:
    """A shared state that asks its ring, as soon as there is a child, what it knows."""

    def __init__(self):
        self.ring = None
        keep_through_forks(self)

    def attach(self, ring):
        self.ring = ring

    def after_fork(self):
        if self.ring._lock.locked():
            os._exit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_in_a_forked_child_a_ring_is_free_before_the_state_that_it_shares_asks_it(clock):
    rings = [KeyRing([A], shared=SharedThroughForks(), clock=clock) for _ in range(8)]
    with contextlib.ExitStack() as held:
        for ring in rings:
            held.enter_context(ring._lock)
        child = os.fork()
        if child == 0:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_whoever_needs_a_refresh_shares_the_one_under_way(clock):
    source = Given(A)
    ring = KeyRing.from_source(source, clock=clock)
    source.gate.clear()
    clock.now += LEAST_INTERVAL
    first = ring.refresher.refresh()
    clock.now += LEAST_INTERVAL
    assert ring.refresher.refresh() is first
    source.gate.set()
    assert first.result(5) is False
    assert source.asked == 2


def test_what_has_no_key_is_named(tmp_path):
    pytest.importorskip("dotenv")
    file = tmp_path / "keys.env"
    with pytest.raises(MissingKeyError, match=r"there is no .*keys\.env"):
        DotenvSource(path=file).fetch()
    file.write_text("OTHER=1")
    with pytest.raises(MissingKeyError, match=r"keys\.env does not set MISTRAL_API_KEY"):
        DotenvSource(path=file).fetch()
    file.write_text("# no key")
    with pytest.raises(MissingKeyError, match=r"one a line into .*keys\.env"):
        FileSource(path=file).fetch()


def test_a_setting_that_a_ring_does_not_have_is_refused_before_the_source_is_asked(monkeypatch):
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    monkeypatch.delenv("MISTRAL_API_KEYS", raising=False)
    with pytest.raises(TypeError, match="no setting dotenv"):
        KeyRing.from_env(dotenv=".env")
