"""The ring against a model that remembers everything, by hypothesis' stateful testing; and under threads and asyncio."""

import asyncio
import random
import threading
import time
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from pydantic import SecretStr

from guard_integrations import ApiKey, KeyRing, Lease
from guard_integrations.core.rotation.state import KeyState, Rest

COOLDOWN, MOST, INTERVAL, OVERLAP = 30.0, 400.0, 600.0, 120.0
KEYS = [f"k{number}" + "x" * 20 for number in range(8)]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class RingMachine(RuleBasedStateMachine):
    """The model: by key, until when nobody may use it, according to nothing but the reports."""

    leases = Bundle("leases")

    @initialize(
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True),
        workspaces=st.lists(st.sampled_from([None, "one", "two"]), min_size=8, max_size=8),
    )
    def start(self, keys, workspaces):
        self.clock = Clock()
        self.workspace = {key: space or key for key, space in zip(KEYS, workspaces, strict=True)}
        self.named = {key: space for key, space in zip(KEYS, workspaces, strict=True) if space}
        self.barred = {}  # key or workspace -> time
        self.given = keys
        self.gone = {}  # key -> when it may be forgotten
        self.ring = KeyRing(
            self._as_keys(keys),
            clock=self.clock,
            cooldown=COOLDOWN,
            max_cooldown=MOST,
            dead_after=900,
            rotation_interval=INTERVAL,
            overlap=OVERLAP,
        )

    def _as_keys(self, keys):
        return [ApiKey(secret=SecretStr(key), workspace=self.named.get(key)) for key in keys]

    def _bar(self, who, seconds):
        self.barred[who] = max(self.barred.get(who, -inf), self.clock.now + seconds)

    def _free_at(self, key):
        return max(self.barred.get(("key", key), -inf), self.barred.get(("space", self.workspace[key]), -inf))

    @rule(target=leases)
    def lease(self):
        lease = self.ring.take()
        if not isinstance(lease, Lease):
            self.check_exhausted(lease)
            return multiple()
        key = lease.secret.get_secret_value()
        assert self._free_at(key) <= self.clock.now, "a cooling key was given"
        assert key in self.given or self.gone[key] > self.clock.now, "a key that is gone was given"
        return lease

    def check_exhausted(self, retry_after):
        assert all(each.ready_in > 0 for each in self.ring.status()), "a ready key was kept back"
        if retry_after is None:
            return
        assert 0 < retry_after <= MOST + 1e-6
        # Whoever waits that long gets a key, if nobody reports anything meanwhile.
        before = self.clock.now
        self.clock.now += retry_after + 1e-6
        assert isinstance(self.ring.take(), Lease)
        self.clock.now = before

    @rule(lease=consumes(leases))
    def succeed(self, lease):
        self.ring.report_success(lease)

    @rule(lease=consumes(leases))
    def fail(self, lease):
        key = lease.secret.get_secret_value()
        before = {each.label: each.failures for each in self.ring.status()}
        self.ring.report_auth_failure(lease)
        after = {each.label: each.failures for each in self.ring.status()}
        if lease.label in after and after[lease.label] > before[lease.label]:
            assert after[lease.label] == before[lease.label] + 1
            self._bar(("key", key), min(MOST, COOLDOWN * 2 ** before[lease.label]))
        if key in self.gone and lease.label not in after:
            self.gone[key] = -inf

    @rule(lease=consumes(leases), seconds=st.one_of(st.none(), st.floats(0, 1000)))
    def throttle(self, lease, seconds):
        key = lease.secret.get_secret_value()
        known = any(each.label == lease.label for each in self.ring.status())
        self.ring.report_rate_limit(lease, seconds)
        if known and seconds is not None:
            self._bar(("space", self.workspace[key]), min(seconds, MOST))

    @rule(lease=consumes(leases))
    def release(self, lease):
        self.ring.release(lease)

    @rule(lease=leases)
    def suspect(self, lease):
        self.ring.move_on(lease)

    @rule()
    def rotate(self):
        self.ring.rotate()

    @rule(seconds=st.one_of(st.floats(0, 40), st.sampled_from([INTERVAL, MOST, OVERLAP])))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True))
    def replace(self, keys):
        for key in set(self.given) - set(keys):
            self.gone[key] = self.clock.now + OVERLAP
        self.gone = {key: until for key, until in self.gone.items() if key not in keys and until > self.clock.now}
        self.given = keys
        known = {*keys, *self.gone}
        spaces = {self.workspace[key] for key in known}
        # What nobody gives any more is forgotten, and new when it comes again.
        self.barred = {
            (kind, who): until
            for (kind, who), until in self.barred.items()
            if who in (known if kind == "key" else spaces)
        }
        self.ring.replace(self._as_keys(keys))

    @rule(number=st.integers(0, 11), seconds=st.floats(0.001, 1000), times=st.integers(1, 5), dead=st.booleans())
    def learn(self, number, seconds, times, dead):
        rests = self.ring.rests()
        subject = rests[number % len(rests)].subject
        self.ring.learn((Rest(subject=subject, seconds=seconds, times=times, dead=dead),))
        for key in self.ring._keys:
            secret = key.secret.get_secret_value()
            if subject == key.fingerprint:
                self._bar(("key", secret), min(seconds, MOST))
            if subject == key.workspace.fingerprint:
                self._bar(("space", self.workspace[secret]), min(seconds, MOST))

    @invariant()
    def no_key_is_lost(self):
        if hasattr(self, "ring"):
            present = [each for each in self.ring.status() if not each.retired]
            assert len(present) == len(self.given)
            assert sum(each.current for each in self.ring.status()) == 1

    @invariant()
    def cooldowns_never_shorten(self):
        if hasattr(self, "ring"):
            for key in self.ring._keys:
                if key.retires_at > self.clock.now:
                    secret = key.secret.get_secret_value()
                    assert key.ready_at() >= self._free_at(secret) or self._free_at(secret) <= self.clock.now
                    assert key.ready_at() <= self.clock.now + MOST + 1e-6

    @invariant()
    def no_rest_outlasts_its_end(self):
        if hasattr(self, "ring"):
            for each in self.ring.status():
                assert (each.ready_in > 0) == (each.state in {KeyState.COOLING, KeyState.DEAD})


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


class Party:
    """Threads and tasks that use one ring and report at random."""

    def __init__(self):
        self.ring = KeyRing(KEYS[:5], cooldown=0.002, max_cooldown=0.01, rotation_interval=0.003, dead_after=1e9)
        self.wrong = []
        self.until = time.monotonic() + 0.5

    def step(self, chance):
        started = time.monotonic()
        before = {each.label: each.ready_in for each in self.ring.status()}
        lease = self.ring.take()
        if not isinstance(lease, Lease):
            return
        if before[lease.label] > time.monotonic() - started + 0.0005:
            self.wrong.append(lease.label)
        roll = chance.random()
        if roll < 0.2:
            self.ring.report_auth_failure(lease)
        elif roll < 0.3:
            self.ring.report_rate_limit(lease, 0.001)
        elif roll < 0.9:
            self.ring.report_success(lease)

    def in_a_thread(self, seed):
        chance = random.Random(seed)  # noqa: S311 - a test's dice
        while time.monotonic() < self.until:
            self.step(chance)

    async def in_a_task(self, seed):
        chance = random.Random(seed)  # noqa: S311 - a test's dice
        while time.monotonic() < self.until:
            self.step(chance)
            await asyncio.sleep(0)

    async def in_tasks(self):
        await asyncio.gather(*(self.in_a_task(seed) for seed in range(100, 120)))


def test_threads_and_tasks_together_never_hang_and_never_get_a_cooling_key():
    party = Party()
    threads = [threading.Thread(target=party.in_a_thread, args=(seed,), daemon=True) for seed in range(8)]
    threads.append(threading.Thread(target=lambda: asyncio.run(party.in_tasks()), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert party.wrong == []
