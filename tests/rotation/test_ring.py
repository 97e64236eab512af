import copy
import pickle

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from guard_integrations import ApiKey, KeyRing, KeysExhausted, Lease, MissingKeyError
from guard_integrations.core.events import EventKind
from guard_integrations.core.rotation.state import KeyState, Rest

A, B, C = ("k" + letter * 31 for letter in "abc")


def labels(ring, times):
    return [ring.lease().label for _ in range(times)]


def states(ring):
    return [each.state for each in ring.status()]


def test_the_current_key_is_sticky_and_changes_each_interval(clock):
    ring = KeyRing([A, B], rotation_interval=60, clock=clock)
    assert labels(ring, 3) == ["key-1"] * 3
    clock.now += 60
    assert labels(ring, 3) == ["key-2"] * 3
    clock.now += 60
    assert labels(ring, 1) == ["key-1"]


def test_rotate_changes_it_at_once(clock):
    ring = KeyRing([A, B], clock=clock)
    ring.rotate()
    assert labels(ring, 2) == ["key-2"] * 2


def test_a_refused_key_rests_and_is_proved_by_one_call_when_its_turn_comes(clock):
    ring = KeyRing([A, B], cooldown=30, clock=clock)
    ring.report_auth_failure(ring.lease())
    assert states(ring) == [KeyState.COOLING, KeyState.HEALTHY]
    assert ring.lease().label == "key-2"
    clock.now += 30
    assert states(ring) == [KeyState.PROBING, KeyState.HEALTHY]
    ring.rotate()
    probe = ring.lease()
    assert probe.label == "key-1"
    assert labels(ring, 2) == ["key-2"] * 2
    ring.report_success(probe)
    assert states(ring) == [KeyState.HEALTHY] * 2


def test_cooldowns_double_and_stop_at_the_longest(clock):
    ring = KeyRing([A], cooldown=30, max_cooldown=100, dead_after=10_000, clock=clock)
    rests = []
    for _ in range(4):
        ring.report_auth_failure(ring.lease())
        rests.append(ring.status()[0].ready_in)
        clock.now += rests[-1]
    assert rests == [30, 60, 100, 100]


def test_many_calls_that_fail_with_one_key_are_one_failure(clock):
    ring = KeyRing([A, B], cooldown=30, clock=clock)
    leases = [ring.lease() for _ in range(64)]
    for lease in leases:
        ring.report_auth_failure(lease)
    assert ring.status()[0].failures == 1
    assert ring.status()[0].ready_in == 30


def test_a_late_success_does_not_heal_a_key_that_failed_since(clock):
    ring = KeyRing([A, B], clock=clock)
    early = ring.lease()
    ring.report_auth_failure(ring.lease())
    ring.report_success(early)
    clock.now += 30
    assert states(ring)[0] is KeyState.PROBING


def test_a_key_that_fails_for_long_is_dead_and_tried_again_at_the_longest_cooldown(clock, seen):
    ring = KeyRing([A], cooldown=10, max_cooldown=500, dead_after=60, clock=clock)
    while states(ring)[0] is not KeyState.DEAD:
        clock.now += ring.status()[0].ready_in
        ring.report_auth_failure(ring.lease())
    with pytest.raises(KeysExhausted) as caught:
        ring.lease()
    assert caught.value.retry_after is None
    assert ring.status()[0].ready_in == 500
    clock.now += 500
    ring.report_success(ring.lease())
    assert states(ring) == [KeyState.HEALTHY]
    assert [event.kind for event in seen][-2:] == [EventKind.KEY_DIED, EventKind.KEY_HEALED]


def test_a_rate_limit_cools_the_workspace_and_an_auth_failure_only_the_key(clock):
    keys = [ApiKey(secret=SecretStr(A), workspace="one"), ApiKey(secret=SecretStr(B), workspace="one"), C]
    ring = KeyRing(keys, clock=clock)
    ring.report_rate_limit(ring.lease(), 5)
    assert states(ring) == [KeyState.COOLING, KeyState.COOLING, KeyState.HEALTHY]
    clock.now += 5
    ring.rotate()
    ring.report_auth_failure(ring.lease())
    assert KeyState.HEALTHY in states(ring)[:2]


def test_retry_after_is_capped_and_never_shortens(clock):
    ring = KeyRing([A], max_cooldown=100, clock=clock)
    lease = ring.lease()
    ring.report_rate_limit(lease, 1e9)
    assert ring.status()[0].ready_in == 100
    ring.report_rate_limit(lease, 1)
    assert ring.status()[0].ready_in == 100


def test_an_exhausted_ring_says_when_to_come_back(clock):
    ring = KeyRing([A, B], clock=clock)
    ring.report_rate_limit(ring.lease(), 7)
    ring.report_rate_limit(ring.lease(), 3)
    with pytest.raises(KeysExhausted) as caught:
        ring.lease()
    assert caught.value.retry_after == 3
    assert caught.value.__context__ is None


def test_no_key_at_all_names_the_variable():
    with pytest.raises(MissingKeyError, match="MISTRAL_API_KEY"):
        KeyRing.from_env()
    with pytest.raises(MissingKeyError, match="MISTRAL_API_KEY"):
        KeyRing([])


@pytest.mark.parametrize("bad", ["", "with space", "line\r\nX-Header: 1", "schlüssel"])
def test_a_key_that_does_not_fit_into_a_header_is_refused_without_showing_it(bad):
    with pytest.raises(MissingKeyError) as caught:
        KeyRing([A, bad])
    assert "Key 2" in str(caught.value)
    assert not bad or bad not in str(caught.value)


def test_the_environment_gives_several_keys_with_their_workspaces(monkeypatch, clock):
    monkeypatch.setenv("MISTRAL_API_KEYS", f"# prod\nprod:{A}, prod:{B}\n{C},{C}\n")
    ring = KeyRing.from_env(clock=clock)
    assert len(ring) == 3
    ring.report_rate_limit(ring.lease(), 5)
    assert [each.ready_in for each in ring.status()] == [5, 5, 0]
    monkeypatch.delenv("MISTRAL_API_KEYS")
    monkeypatch.setenv("MISTRAL_API_KEY", A)
    assert KeyRing.from_env().lease().secret.get_secret_value() == A


def test_a_ring_shows_labels_is_shared_by_copies_and_does_not_leave_the_process():
    class Holder(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        ring: KeyRing

    ring = KeyRing([A, B])
    lease = ring.lease()
    auth = ring.auth()
    for each in (ring, lease, auth):
        assert A not in repr(each) + str(each)
        assert copy.copy(each) is each
        assert copy.deepcopy(each) is each
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(each, protocol)
    assert Holder(ring=ring).model_copy(deep=True).ring is ring
    assert repr(ring) == "KeyRing(key-1, key-2)"
    assert isinstance(lease, Lease)


def test_learning_takes_over_what_others_know_and_no_more(clock):
    ring = KeyRing([A], cooldown=30, max_cooldown=100, clock=clock)
    key, workspace = ring.rests()
    ring.learn((Rest(subject=key.subject, seconds=1e9, times=2, dead=False), Rest(subject="else", seconds=5, times=1)))
    assert [(each.failures, each.ready_in) for each in ring.status()] == [(2, 100)]
    ring.learn((Rest(subject=key.subject, seconds=50, times=1, dead=True),))
    assert ring.status()[0].ready_in == 100
    ring.learn((Rest(subject=workspace.subject, seconds=0, times=1),))
    clock.now += 100
    ring.report_auth_failure(ring.lease())
    assert ring.status()[0].failures == 3


def test_a_failure_does_not_shorten_what_was_learned(clock):
    ring = KeyRing([A], cooldown=30, clock=clock)
    lease = ring.lease()
    ring.learn((Rest(subject=ring.rests()[0].subject, seconds=500, times=0),))
    ring.report_auth_failure(lease)
    assert ring.status()[0].ready_in == 500


def test_a_key_that_the_call_has_tried_comes_last(clock):
    ring = KeyRing([A, B], clock=clock)
    assert ring.take(tried={"key-1"}).label == "key-2"
    assert ring.take(tried={"key-1", "key-2"}).label == "key-1"
    ring.report_auth_failure(ring.lease())
    assert ring.take(tried={"key-2"}).label == "key-2"


def test_a_key_that_the_call_prefers_is_kept_past_a_rotation_but_not_past_a_failure(clock):
    ring = KeyRing([A, B], rotation_interval=60, clock=clock)
    clock.now += 60
    assert ring.take(prefer="key-1").label == "key-1"
    assert ring.lease().label == "key-2"
    ring.report_auth_failure(ring.take(prefer="key-1"))
    assert ring.take(prefer="key-1").label == "key-2"


def test_an_attempt_that_told_nothing_leaves_the_proof_to_the_next(clock):
    ring = KeyRing([A, B], cooldown=30, clock=clock)
    ring.report_auth_failure(ring.lease())
    assert ring.lease().label == "key-2"
    clock.now += 30
    ring.rotate()
    probe = ring.lease()
    ring.release(probe)
    assert ring.lease().label == "key-1"
