"""Over a real Redis, started for the test."""

import os
import time

import pytest
from redis_server import eventually

from guard_integrations import KeyRing, RedisRingState
from guard_integrations.core.events import EventKind
from guard_integrations.core.rotation.state import KeyState

redis = pytest.importorskip("redis", reason="the extra `redis` is not installed; make check installs it")

pytestmark = pytest.mark.slow  # a server runs

A, B = ("k" + letter * 31 for letter in "ab")


@pytest.fixture
def join(redis_server):
    """Makes rings that share: each stands for a process."""
    states = []

    def make(*keys, **settings):
        state = RedisRingState(redis_server.url)
        states.append(state)
        return KeyRing(keys, shared=state, **settings)

    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    yield make
    for state in states:
        state.close()
        state._thread.join(5)
        state._redis.close()
    client.close()


def state_of(ring):
    return [each.state for each in ring.status()]


def test_what_one_process_learns_all_know_soon(join):
    one, other = join(A, B), join(B, A)
    time.sleep(0.1)
    one.report_auth_failure(one.lease())
    eventually(lambda: state_of(other) == [KeyState.HEALTHY, KeyState.COOLING])
    assert other.status()[1].ready_in == pytest.approx(one.status()[0].ready_in, abs=0.2)
    one.report_rate_limit(one.lease(), 5)
    eventually(lambda: state_of(other) == [KeyState.COOLING, KeyState.COOLING])


def test_a_process_that_comes_later_is_told(join):
    one = join(A, dead_after=0.0, cooldown=0.01)
    for _ in range(3):
        eventually(lambda: not state_of(one)[0].value.startswith("cool"))
        one.report_auth_failure(one.lease())
    late = join(A)
    eventually(lambda: state_of(late) == [KeyState.DEAD])
    assert state_of(one) == [KeyState.DEAD]


def test_a_cooldown_is_never_shortened_by_another_process(join):
    one, other = join(A), join(A)
    one.report_rate_limit(one.lease(), 100)
    other.report_rate_limit(other.lease(), 2)
    for ring in (one, other):
        eventually(lambda ring=ring: ring.status()[0].ready_in > 90)
    third = join(A)
    eventually(lambda: third.status()[0].ready_in > 90)


def test_only_fingerprints_reach_redis(join, redis_server):
    told = []
    with redis.Redis.from_url(redis_server.url) as client, client.monitor() as monitor:
        ring = join(A, B)
        ring.report_auth_failure(ring.lease())
        ring.report_rate_limit(ring.lease(), 5)
        while not any("eval" in line.lower() for line in told) or len(told) < 30:
            told.append(monitor.next_command()["command"])
        stored = [name.decode() for name in client.scan_iter()]
    assert len(stored) == 2
    assert all(len(name.rpartition(":")[2]) == 64 for name in stored)
    for line in told:
        assert A not in line
        assert B not in line


def test_without_redis_each_goes_on_alone_and_says_so_once(redis_server, join, seen):
    one, other = join(A, B), join(A, B)
    redis_server.kill()
    try:
        one.report_auth_failure(one.lease())
        eventually(lambda: sum(event.kind is EventKind.SHARED_STATE_LOST for event in seen) == 2)
        assert one.lease().label == "key-2"
        assert other.lease().label == "key-1"
        time.sleep(1.0)
    finally:
        redis_server.start()
    eventually(lambda: state_of(other) == [KeyState.COOLING, KeyState.HEALTHY])
    # A ring's state may reach the other before it has said itself that Redis is back.
    eventually(lambda: sum(event.kind is EventKind.SHARED_STATE_BACK for event in seen) >= 2)
    kinds = [event.kind for event in seen]
    assert kinds.count(EventKind.SHARED_STATE_LOST) == 2
    assert kinds.count(EventKind.SHARED_STATE_BACK) == 2


def test_odd_values_in_redis_do_no_harm(join, redis_server):
    ring = join(A)
    (key, workspace) = ring.rests()
    with redis.Redis.from_url(redis_server.url) as client:
        client.set(f"guard-integrations:keys:{key.subject}", b"\xff not a number", px=60_000)
        client.set(f"guard-integrations:keys:{workspace.subject}", "9" * 500 + ":7", px=10**12)
    eventually(lambda: ring.status()[0].ready_in > 3000)
    assert ring.status()[0].ready_in <= 3600


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_stays_in_step(join):
    ring = join(A, B)
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        try:
            eventually(lambda: state_of(ring)[0] is KeyState.COOLING)
            os._exit(0)
        finally:
            os._exit(1)
    ring.report_auth_failure(ring.lease())
    assert os.waitpid(child, 0)[1] == 0


def test_the_thread_ends_with_its_state(redis_server):
    state = RedisRingState(redis_server.url)
    ring = KeyRing([A], shared=state)
    thread = state._thread
    client = state._redis
    assert thread.is_alive()
    assert repr(state) == "RedisRingState()"
    del state, ring
    thread.join(5)
    assert not thread.is_alive()
    client.close()
