"""Randomised faults. Every text holds harm, so that whatever comes out was released without its verdict."""

import asyncio
import json
import random
from itertools import count

import httpx
import pytest

from guard_integrations import GuardBlocked, GuardError, KeyRing, Moderator
from guard_integrations.core.moderation import arelease, gate_for
from guard_integrations.core.moderation.decision import CATEGORIES_2603, SUBJECTS
from guard_integrations.testing.faults import Fault

CATEGORY = "violence_and_threats"
HARM = "I will kill you"
CLEAN = "Good morning to you. "
JUDGED = sorted(CATEGORIES_2603 - SUBJECTS)
ODD = [None, "true", "0.0", [], {}, -1, 2, 1e999, "NaN"]


def truth(request):
    body = json.loads(request.content)
    texts = [one if isinstance(one, str) else one[-1]["content"] for one in body["input"]]
    results = []
    for text in texts:
        scores = dict.fromkeys(sorted(CATEGORIES_2603), 0.01) | ({CATEGORY: 0.9} if HARM in text else {})
        results.append({"categories": {n: s > 0.5 for n, s in scores.items()}, "category_scores": scores})
    return {"id": "x", "model": body["model"], "results": results}


class Wire:
    """Answers truly, or with a fault that a random number picks: none of them can be mistaken for a verdict."""

    def __init__(self, seed, rate):
        self.random = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self.rate = rate
        self.faults = 0

    async def __call__(self, request):
        if self.random.random() > self.rate:
            return httpx.Response(200, json=truth(request))
        self.faults += 1
        fault = self.random.choice([self.status, self.error, self.hang, self.cut, self.text, self.shape, self.value])
        return await fault(request)

    async def status(self, request):
        code = self.random.choice([201, 204, 301, 400, 401, 403, 404, 408, 418, 422, 429, 500, 502, 503, 504, 529])
        return httpx.Response(code, json=truth(request), headers={"Retry-After": "1"})

    async def error(self, request):
        kinds = [
            httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.ConnectTimeout,
            httpx.ReadTimeout, httpx.PoolTimeout, httpx.DecodingError, httpx.TooManyRedirects, OSError, ValueError,
            RuntimeError, KeyError,
        ]  # fmt: skip
        raise self.random.choice(kinds)(HARM)

    async def hang(self, request):
        await asyncio.sleep(60)

    async def cut(self, request):
        text = json.dumps(truth(request))
        return httpx.Response(200, text=text[: self.random.randrange(len(text))])

    async def text(self, request):
        return httpx.Response(
            200, content=self.random.choice([b"", b"null", b"[]", b"{}", b"<html>", b"\xff\xfe", b"[" * 5000, b"0"])
        )

    async def shape(self, request):
        body = truth(request)
        results = body["results"]
        change = self.random.choice(["half", "more", "none", "null", "nulls", "object", "renamed"])
        if change == "half":
            results.pop()
        elif change == "more":
            results.append(results[0])
        elif change == "none":
            del body["results"]
        elif change == "renamed":
            body["result"] = body.pop("results")
        else:
            body["results"] = {"null": None, "nulls": [None] * len(results), "object": {"0": results[0]}}[change]
        return httpx.Response(200, json=body)

    async def value(self, request):
        body = truth(request)
        result = self.random.choice(body["results"])
        side = self.random.choice(["categories", "category_scores"])
        name = self.random.choice(JUDGED)
        change = self.random.choice(["odd", "gone", "both gone", "side gone", "all null"])
        if change == "odd":
            result[side][name] = self.random.choice(ODD)
        elif change == "gone":
            del result[side][name]
        elif change == "both gone":
            del result["categories"][name], result["category_scores"][name]
        elif change == "side gone":
            del result[side]
        else:
            result[side] = dict.fromkeys(result[side])
        return httpx.Response(200, text=json.dumps(body))


def moderator(keys, **settings):
    """One whose keys never have to be waited for: the ring's clock jumps an hour with each look."""
    hours = count(0, 4000)
    ring = KeyRing(keys, clock=lambda: float(next(hours)), max_wait=0)
    return Moderator(keys=ring, cache_size=0, **settings)


async def probe(judge, number, chance):
    """One text, conversation, batch or stream; says what came out of it that should not have."""
    harm = f"{HARM} {number}."
    way = chance.randrange(4)
    try:
        if way == 0:
            return [harm] if (await judge.amoderate(harm)).safe else []
        if way == 1:
            _, harmful = await judge.amoderate([f"{CLEAN}{number}", harm])
            return [harm] if harmful.safe else []
        if way == 2:
            said = [{"role": "user", "content": CLEAN}, {"role": "assistant", "content": harm}]
            return [harm] if (await judge.amoderate_chat(said)).safe else []
        pieces = [CLEAN] * chance.randrange(60) + [harm] + [CLEAN] * chance.randrange(60)
        out = []
        mode = chance.choice(["window", "buffer"])
        stream = arelease(_stream(pieces, chance), gate=gate_for(mode, str), judge=judge.submit)
        try:
            async for piece in stream:
                out.append(piece)  # noqa: PERF401 - what came before an error counts
        except GuardBlocked:
            pass
        return [piece for piece in out if HARM in piece]
    except GuardError as error:
        return [HARM] if error.__context__ or HARM in repr(error) else []


async def _stream(pieces, chance):
    # An error before the first piece would be the model's own, and nothing is out by then.
    cut = chance.randrange(1, 1 + len(pieces)) if chance.random() < 0.2 else None
    for number, piece in enumerate(pieces):
        if number == cut:
            raise ConnectionError(HARM)
        yield piece


async def rounds(judge, faults, enough, seed):
    """Probes, 32 at a time, until there were enough faults; returns what came out."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    released = []
    numbers = count()
    while faults() < enough:
        found = await asyncio.gather(*(probe(judge, next(numbers), chance) for _ in range(32)))
        released += [text for texts in found for text in texts]
    return released


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("guard_integrations.core.rotation.auth.BACKOFF", 0.0)
    # A breaker that opens would only keep faults from happening.
    monkeypatch.setattr("guard_integrations.core.moderation.wire.BREAKER_FAILURES", 10**9)


@pytest.mark.parametrize("enough", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_fault_on_the_wire_releases_a_text(enough):
    wire = Wire(seed=6, rate=0.6)
    with moderator(["a-key"], transport=httpx.MockTransport(wire), timeout=0.02) as judge:
        assert asyncio.run(rounds(judge, lambda: wire.faults, enough, seed=7)) == []
    wire.rate = 0
    with moderator(["a-key"], transport=httpx.MockTransport(wire)) as judge:
        assert judge.moderate(CLEAN).safe
        assert not judge.moderate(HARM).safe
    assert wire.faults >= enough


def any_fault(chance):
    if chance.random() < 0.05:
        return chance.choice([Fault(latency=0.3), Fault(first_byte_delay=0.3)])
    return chance.choice(
        [
            Fault(status=chance.choice([401, 403, 404, 422, 429, 500, 502, 503])),
            Fault(cut_after=0),
            Fault(malformed=True),
            Fault(half_results=True),
            Fault(nulls=True),
            Fault(body=chance.choice(["", "{}", "null", "<html>"])),
        ]
    )


@pytest.mark.parametrize("enough", [150, pytest.param(3_000, marks=pytest.mark.slow)])
def test_no_fault_of_a_server_releases_a_text(mistral_server, enough):
    chance = random.Random(8)  # noqa: S311 - reproducible, not secret
    planned = 0

    def faults():
        nonlocal planned
        # A third of the requests go through, each at another place among the faulty ones.
        mistral_server.requests.clear()
        mistral_server.faults.clear()
        for _ in range(24):
            mistral_server.faults.add(any_fault(chance))
        planned += 24
        return planned

    with moderator([mistral_server.key], base_url=mistral_server.base_url, timeout=0.2, max_concurrency=8) as judge:
        assert asyncio.run(rounds(judge, faults, enough, seed=9)) == []
        mistral_server.faults.clear()
        # No connection was lost: sooner or later all eight can be used at once again.
        for _ in range(50):
            if asyncio.run(_all_at_once(judge)):
                return
        pytest.fail("the pool does not recover")


async def _all_at_once(judge):
    results = await asyncio.gather(*(judge.amoderate(f"{CLEAN}{n}") for n in range(64)), return_exceptions=True)
    return not any(isinstance(result, GuardError) for result in results)


def test_callers_who_leave_at_any_moment_cost_no_connection(mistral_server):
    chance = random.Random(10)  # noqa: S311 - reproducible, not secret
    mistral_server.faults.add(Fault(latency=0.003, times=None))

    async def leave(judge, number):
        try:
            async with asyncio.timeout(chance.random() * 0.03):
                await judge.amoderate(f"{CLEAN}{number}")
        except TimeoutError:
            pass

    async def storm(judge):
        for start in range(0, 300, 30):
            await asyncio.gather(*(leave(judge, start + number) for number in range(30)))

    with moderator([mistral_server.key], base_url=mistral_server.base_url, timeout=5, max_concurrency=4) as judge:
        asyncio.run(storm(judge))
        mistral_server.faults.clear()
        assert asyncio.run(_all_at_once(judge))
        pool = judge._loop._running.resource._client._transport._pool
        assert not pool._requests
        assert all(connection.is_idle() for connection in pool.connections)
