"""Thousands of requests over keys that are revoked, throttled, slowed and healed under their feet.

    python tests/rotation/chaos.py --requests 10000

One of the keys always works; which one changes. Whatever befalls the others, no caller may see it, and no key may be
used while the ring has it rest. Half the callers are threads with `httpx`, half are tasks with `httpx2`, every third
request is a stream. `--redis` adds processes that share what they know over a Redis, killed and started in between.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from contextvars import ContextVar

import httpx

from guard_integrations import KeyRing, Lease, RedisRingState
from guard_integrations.core.events import EventKind, add_observer
from guard_integrations.testing import Fault, KeyState, MistralServer

try:
    import httpx2
except ImportError:
    httpx2 = httpx

TRAIL = ContextVar("TRAIL", default=None)
"""What the call under way has been through: shown of those that fail."""
QUESTION = {"model": "mistral-small-latest", "messages": [{"role": "user", "content": "Say hello."}]}
SETTINGS = {"cooldown": 0.5, "max_cooldown": 2.0, "max_wait": 10.0, "rotation_interval": 1.0, "dead_after": 4.0}
TROUBLES = (KeyState.REVOKED, KeyState.EXPIRED, KeyState.OUT_OF_QUOTA, KeyState.FORBIDDEN, KeyState.RATE_LIMITED)


class WatchedRing(KeyRing):
    """A ring that takes notes of its own: when it was told of a failure, and what it gave out meanwhile."""

    def __init__(self, *args, **settings):
        self.rests = defaultdict(list)
        self.broken = []
        self.given = 0
        super().__init__(*args, **settings)

    def take(self, **wishes):
        before = time.monotonic()
        taken = super().take(**wishes)
        after = time.monotonic()
        if isinstance(taken, Lease):
            self.given += 1
            if any(begun <= before and after < ends for begun, ends in self.rests[taken.label][-8:]):
                self.broken.append(taken.label)
        return taken

    def _note(self):
        before = time.monotonic()
        for each in self.status():
            if each.ready_in > 0:
                self.rests[each.label].append((time.monotonic(), before + each.ready_in))

    def learn(self, rests):
        super().learn(rests)
        self._note()

    def report_auth_failure(self, lease):
        super().report_auth_failure(lease)
        self._note()

    def report_rate_limit(self, lease, retry_after=None):
        super().report_rate_limit(lease, retry_after)
        self._note()


class Crowd:
    """Callers that make so many requests between them, so many at a time, and keep what went wrong."""

    def __init__(self, ring, base_url, *, requests, at_once):
        self.ring = ring
        self.url = f"{base_url}/chat/completions"
        self.tickets = iter(range(requests))
        self.lock = threading.Lock()
        self.at_once = at_once
        self.wrong = Counter()
        self.seconds = []
        self.slow = []

    def ticket(self):
        with self.lock:
            return next(self.tickets, None)

    def note(self, started, problem):
        seconds = time.monotonic() - started
        self.seconds.append(seconds)
        if seconds > SETTINGS["max_wait"]:
            self.slow.append(f"{seconds:.1f} s: {' '.join(TRAIL.get())}")
        if problem:
            self.wrong[f"{problem} after {seconds:.1f} s: {' '.join(TRAIL.get())}"] += 1

    def sync_caller(self, client):
        while (ticket := self.ticket()) is not None:
            started, problem = time.monotonic(), None
            TRAIL.set([])
            try:
                if ticket % 3:
                    problem = judge(client.post(self.url, json=QUESTION))
                else:
                    with client.stream("POST", self.url, json={**QUESTION, "stream": True}) as answer:
                        problem = judge_stream(answer, list(answer.iter_lines()))
            except Exception as error:  # noqa: BLE001 - whatever a caller would see is the result
                problem = repr(error)
            self.note(started, problem)

    async def async_caller(self, client):
        while (ticket := self.ticket()) is not None:
            started, problem = time.monotonic(), None
            TRAIL.set([])
            try:
                if ticket % 3:
                    problem = judge(await client.post(self.url, json=QUESTION))
                else:
                    async with client.stream("POST", self.url, json={**QUESTION, "stream": True}) as answer:
                        problem = judge_stream(answer, [line async for line in answer.aiter_lines()])
            except Exception as error:  # noqa: BLE001 - as above
                problem = repr(error)
            self.note(started, problem)

    async def async_callers(self, number):
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(auth=self.ring.auth(), timeout=30, limits=limits) as client:
            await asyncio.gather(*(self.async_caller(client) for _ in range(number)))

    @staticmethod
    def take_note(event):
        trail = TRAIL.get()
        if trail is not None and event.kind is EventKind.RETRIED:
            trail.append(f"{event.status} {event.key}")

    def run(self):
        add_observer(self.take_note)
        half = self.at_once // 2
        with httpx.Client(auth=self.ring.auth(), timeout=30, limits=httpx.Limits(max_connections=None)) as client:
            threads = [threading.Thread(target=self.sync_caller, args=(client,)) for _ in range(half)]
            threads.append(threading.Thread(target=lambda: asyncio.run(self.async_callers(self.at_once - half))))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return {
            "requests": len(self.seconds),
            "failures": sum(self.wrong.values()),
            "wrong": dict(self.wrong.most_common(5)),
            "used_while_cooling": len(self.ring.broken),
            "leases": self.ring.given,
            "slow": self.slow[:5],
            "slowest_seconds": round(max(self.seconds), 3),
        }


def judge(answer):
    if answer.status_code != 200:
        return f"HTTP {answer.status_code}"
    return None if answer.json()["choices"][0]["message"]["content"] else "no answer"


def judge_stream(answer, lines):
    if answer.status_code != 200:
        return f"HTTP {answer.status_code}"
    return None if [line for line in lines if line][-1] == "data: [DONE]" else "a stream without its end"


class Monkey(threading.Thread):
    """Leaves one key alone, another one each two seconds, and does what it likes to the others."""

    def __init__(self, server, secrets, seed):
        super().__init__(daemon=True)
        self.server, self.secrets = server, secrets
        self.chance = random.Random(seed)  # noqa: S311 - a test's dice
        self.over = threading.Event()
        self.deeds = Counter()

    def run(self):
        while not self.over.is_set():
            spared = self.chance.choice(self.secrets)
            self.server.keys.set(spared, state=KeyState.VALID, latency=0.0)
            victims = [secret for secret in self.secrets if secret != spared]
            # One a phase: a call is sent again three times within 3.5 s, and must not meet four of them.
            self.server.faults.clear()
            self.server.faults.add(
                Fault(status=self.chance.choice([500, 502, 503, 504]), skip=self.chance.randrange(200))
            )
            until = time.monotonic() + 2.0
            while time.monotonic() < until and not self.over.wait(self.chance.uniform(0.01, 0.1)):
                self.strike(self.chance.choice(victims))

    def strike(self, victim):
        deed = self.chance.choice(["trouble", "trouble", "heal", "slow"])
        self.deeds[deed] += 1
        if deed == "trouble":
            retry_after = self.chance.choice([0.05, 0.3, 1, None])
            self.server.keys.set(victim, state=self.chance.choice(TROUBLES), retry_after=retry_after)
        elif deed == "heal":
            self.server.keys.set(victim, state=KeyState.VALID, latency=0.0)
        else:
            self.server.keys.set(victim, latency=self.chance.uniform(0.0, 0.1))

    def stop(self):
        self.over.set()
        self.join()


def run(*, requests, at_once=64, seed=0):
    """One process; the report, as a dictionary."""
    with MistralServer() as server:
        server.keys.clear()
        secrets = [server.keys.add() for _ in range(5)]
        monkey = Monkey(server, secrets, seed)
        ring = WatchedRing(secrets, **SETTINGS)
        monkey.start()
        try:
            report = Crowd(ring, server.base_url, requests=requests, at_once=at_once).run()
        finally:
            monkey.stop()
    return {**report, "deeds": dict(monkey.deeds)}


def run_processes(redis_server, *, requests, processes=4, at_once=64, seed=0):
    """Several processes that share a Redis, which is killed in the middle and comes back; one report for all."""
    with MistralServer() as server, ExitStack() as workers:
        server.keys.clear()
        secrets = [server.keys.add() for _ in range(5)]
        environment = {**os.environ, "MISTRAL_API_KEYS": ",".join(secrets)}
        command = [sys.executable, __file__, "--worker", server.base_url, "--redis", redis_server.url]
        command += ["--requests", str(requests // processes), "--at-once", str(at_once // processes)]
        monkey = Monkey(server, secrets, seed)
        monkey.start()
        running = [
            workers.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))  # noqa: S603 - ourselves
            for _ in range(processes)
        ]
        received, killed, back = len(server.requests), False, False
        while any(worker.poll() is None for worker in running):
            received = len(server.requests)
            if not killed and received > requests / 3:
                redis_server.kill()
                killed = True
            if killed and not back and received > requests * 2 / 3:
                redis_server.start()
                back = True
            time.sleep(0.01)
        monkey.stop()
        reports = [json.loads(worker.communicate()[0]) for worker in running]
    whole = {
        name: sum(each[name] for each in reports) for name in ("requests", "failures", "used_while_cooling", "leases")
    }
    wrong = sum((Counter(each["wrong"]) for each in reports), Counter())
    slowest = max(each["slowest_seconds"] for each in reports)
    return {**whole, "wrong": dict(wrong), "slowest_seconds": slowest, "redis_killed": killed, "redis_back": back}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--requests", type=int, default=10_000)
    options.add_argument("--at-once", type=int, default=64)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--worker", help=argparse.SUPPRESS)
    options.add_argument("--redis", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        ring = WatchedRing.from_env(**SETTINGS, shared=RedisRingState(given.redis))
        report = Crowd(ring, given.worker, requests=given.requests, at_once=given.at_once).run()
        sys.stdout.write(json.dumps(report))
        return 0
    started = time.monotonic()
    report = run(requests=given.requests, at_once=given.at_once, seed=given.seed)
    report |= {"seed": given.seed, "seconds": round(time.monotonic() - started, 1)}
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if report["failures"] or report["used_while_cooling"] else 0


if __name__ == "__main__":
    sys.exit(main())
