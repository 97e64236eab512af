"""The flow over both libraries, sync, async and streamed; a mock stands only at the wire."""

import asyncio
import traceback
from collections import Counter

import pytest

from guard_integrations import KeyRing, KeysExhausted
from guard_integrations.core.events import EventKind
from guard_integrations.core.rotation.auth import KeyRingAuth

A, B, C = ("k" + letter * 31 for letter in "abc")
URL = "http://127.0.0.1/v1/chat/completions"
GUARDRAIL = {"error": {"message": "Content blocked by guardrail", "status": 403}, "guardrails": {"results": {}}}


class Wire:
    """Answers by key; remembers which key each request carried."""

    def __init__(self, library, **answers):
        self.library = library
        self.answers = {key: list(told) for key, told in answers.items()}
        self.keys = []
        self.bodies = []

    def __call__(self, request):
        self.keys.append(request.headers["Authorization"].removeprefix("Bearer "))
        if not isinstance(request.stream, self.library.ByteStream):
            request.read()
        self.bodies.append(request.content)
        told = self.answers[self.keys[-1]]
        status, *rest = told.pop(0) if len(told) > 1 else told[0]
        headers = rest[0] if rest else {}
        body = rest[1] if len(rest) > 1 else {"status": status}
        return self.library.Response(status, headers=headers, json=body)


@pytest.fixture(params=["sync", "async", "sync stream", "async stream"])
def call(request, library):
    """Makes one call, whatever the kind of client; gives the answer, its body read."""

    def make(auth, wire, **arguments):
        arguments = {"json": {"messages": []}, **arguments}
        if request.param.startswith("sync"):
            with library.Client(auth=auth, transport=library.MockTransport(wire)) as client:
                answer = client.send(
                    client.build_request("POST", URL, **arguments), stream=request.param.endswith("stream")
                )
                answer.read()
                return answer

        async def run():
            async with library.AsyncClient(auth=auth, transport=library.MockTransport(wire)) as client:
                answer = await client.send(
                    client.build_request("POST", URL, **arguments), stream=request.param.endswith("stream")
                )
                await answer.aread()
                return answer

        return asyncio.run(run())

    return make


@pytest.fixture
def auth_of(clock):
    """An auth that waits on the test's clock, sync and async."""

    async def sleep(seconds):
        clock.sleep(seconds)

    def make(*keys, retries=3, **settings):
        ring = KeyRing(keys, clock=clock, **settings)
        return ring, KeyRingAuth(ring, retries=retries, sleep=clock.sleep, asleep=sleep, jitter=lambda most: most)

    return make


def test_a_working_key_goes_out_as_a_bearer(call, library, auth_of):
    _, auth = auth_of(A, B)
    wire = Wire(library, **{A: [(200,)]})
    assert call(auth, wire).status_code == 200
    assert wire.keys == [A]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_seen_by_the_caller_and_not_used_again(status, call, library, auth_of):
    _, auth = auth_of(A, B)
    wire = Wire(library, **{A: [(status,)], B: [(200,)]})
    assert [call(auth, wire).status_code for _ in range(3)] == [200] * 3
    assert wire.keys == [A, B, B, B]
    assert len(set(wire.bodies)) == 1


def test_a_throttled_key_rests_for_as_long_as_the_server_asks(call, library, auth_of, clock):
    ring, auth = auth_of(A, B, rotation_interval=50)
    wire = Wire(library, **{A: [(429, {"Retry-After": "99"}), (200,)], B: [(200,)]})
    assert call(auth, wire).status_code == 200
    clock.now += 98
    ring.rotate()
    assert call(auth, wire).status_code == 200
    assert wire.keys == [A, B, B]
    clock.now += 1
    ring.rotate()
    call(auth, wire)
    assert wire.keys[-1] == A


def test_every_attempt_of_a_call_uses_another_key(call, library, auth_of):
    _, auth = auth_of(A, B, C)
    wire = Wire(library, **{A: [(401,)], B: [(429,)], C: [(200,)]})
    assert call(auth, wire).status_code == 200
    assert wire.keys == [A, B, C]


def test_a_call_waits_for_a_key_that_will_be_ready_in_time(call, library, auth_of, clock):
    _, auth = auth_of(A, max_wait=10)
    wire = Wire(library, **{A: [(429, {"Retry-After": "4"}), (200,)]})
    assert call(auth, wire).status_code == 200
    assert 4 <= sum(clock.slept) <= 10


def test_a_call_does_not_wait_for_one_that_will_not(call, library, auth_of, clock, seen):
    _, auth = auth_of(A, max_wait=10)
    wire = Wire(library, **{A: [(429, {"Retry-After": "11"})]})
    with pytest.raises(KeysExhausted) as caught:
        call(auth, wire)
    assert caught.value.retry_after == 11
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert clock.slept == []
    assert seen[-1].kind is EventKind.KEYS_EXHAUSTED


def test_a_sleep_that_takes_longer_than_asked_for_is_counted_as_what_it_took(library, clock):
    def oversleep(seconds):
        clock.sleep(3 * seconds)

    auth = KeyRingAuth(KeyRing([A], max_wait=10, clock=clock), sleep=oversleep)
    wire = Wire(library, **{A: [(429, {"Retry-After": "0.5"})]})
    with library.Client(auth=auth, transport=library.MockTransport(wire)) as client, pytest.raises(KeysExhausted):
        client.post(URL, json={})
    assert sum(clock.slept) <= 10 + 3 * 0.5


def test_a_call_never_waits_longer_than_it_may_and_asks_less_and_less(call, library, auth_of, clock):
    _, auth = auth_of(A, max_wait=10)
    wire = Wire(library, **{A: [(429, {"Retry-After": "0"})]})
    with pytest.raises(KeysExhausted):
        call(auth, wire)
    assert sum(clock.slept) <= 10
    assert 3 <= len(wire.keys) <= 7


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, GUARDRAIL), (403, {"code": "3201", "message": "failed"}), (422, {"detail": []}), (404, {}), (400, {})],
)
def test_an_answer_that_does_not_blame_the_key_reaches_the_caller_as_it_is(status, body, call, library, auth_of):
    ring, auth = auth_of(A, B)
    wire = Wire(library, **{A: [(status, {}, body)]})
    answer = call(auth, wire)
    assert answer.status_code == status
    assert answer.json() == body
    assert wire.keys == [A]
    assert ring.lease().label == "key-1"


def test_a_403_that_every_key_gets_is_the_requests_fault(call, library, auth_of):
    ring, auth = auth_of(A, B)
    wire = Wire(library, **{A: [(403,)], B: [(403,)]})
    assert call(auth, wire).status_code == 403
    assert wire.keys == [A, B]
    assert [each.failures for each in ring.status()] == [0, 0]


def test_a_403_is_blamed_on_the_key_only_when_another_one_gets_through(call, library, auth_of):
    ring, auth = auth_of(A, B)
    wire = Wire(library, **{A: [(403,)], B: [(422,), (200,)]})
    assert call(auth, wire).status_code == 422
    assert ring.status()[0].failures == 0
    ring.rotate()
    assert call(auth, wire).status_code == 200
    assert ring.status()[0].failures == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_tried_again_with_the_same_key(  # noqa: PLR0913, PLR0917 - fixtures
    status, call, library, auth_of, clock, seen
):
    _, auth = auth_of(A, B)
    wire = Wire(library, **{A: [(status,), (status,), (200,)]})
    assert call(auth, wire).status_code == 200
    assert wire.keys == [A, A, A]
    assert clock.slept == [0.5, 1.0]
    assert [(event.status, event.retries) for event in seen if event.kind is EventKind.RETRIED] == [
        (status, 1),
        (status, 2),
    ]


def test_server_errors_are_passed_on_when_the_retries_are_used_up(call, library, auth_of):
    _, auth = auth_of(A, B, retries=2)
    wire = Wire(library, **{A: [(503,)]})
    assert call(auth, wire).status_code == 503
    assert len(wire.keys) == 3


def test_no_call_is_sent_more_often_than_the_client_bears(call, library, auth_of):
    _, auth = auth_of(*(f"key{number}" for number in range(30)))
    wire = Wire(library, **{f"key{number}": [(401,)] for number in range(30)})
    assert call(auth, wire).status_code == 401
    assert len(wire.keys) == 16


def test_a_server_that_asks_for_more_patience_than_there_is_is_passed_on(call, library, auth_of, clock):
    _, auth = auth_of(A, max_wait=10)
    wire = Wire(library, **{A: [(503, {"Retry-After": "60"})]})
    assert call(auth, wire).status_code == 503
    assert clock.slept == []


def test_a_body_that_cannot_be_sent_twice_gets_the_error_unharmed(library, auth_of):
    ring, auth = auth_of(A, B)
    wire = Wire(library, **{A: [(401, {}, {"detail": "Unauthorized"})]})
    with library.Client(auth=auth, transport=library.MockTransport(wire)) as client:
        answer = client.post(URL, content=iter([b"once"]))
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Unauthorized"}
    assert ring.lease().label == "key-2"


@pytest.mark.parametrize("status", [200, 401, 403, 422, 429, 503])
def test_no_key_stays_with_the_answer_or_its_error(status, call, library, auth_of):
    _, auth = auth_of(A, B, retries=0, max_wait=0)
    wire = Wire(library, **{A: [(status, {}, GUARDRAIL)], B: [(503,)]})
    answer = call(auth, wire)
    kept = [answer.request, *(each.request for each in answer.history)]
    if status != 200:
        with pytest.raises(library.HTTPStatusError) as caught:
            answer.raise_for_status()
        kept.append(caught.value.request)
        assert A not in "".join(traceback.format_exception(caught.value))
    for request in kept:
        assert A not in str(request.headers.raw)
        assert B not in str(request.headers.raw)


@pytest.mark.parametrize("redirect", [False, True])
def test_no_key_stays_with_a_transport_error(redirect, library, auth_of):
    _, auth = auth_of(A, B)
    lost = []

    def wire(request):
        assert request.headers["Authorization"] == f"Bearer {A}"
        if redirect and request.url.path != "/elsewhere":
            return library.Response(307, headers={"Location": "/elsewhere"})
        lost.append(request)
        raise library.ConnectError("refused")

    transport = library.MockTransport(wire)
    with (
        library.Client(auth=auth, transport=transport, follow_redirects=True) as client,
        pytest.raises(library.ConnectError) as caught,
    ):
        client.post(URL, json={})
    assert A not in str(caught.value.request.headers.raw)

    async def run():
        async with library.AsyncClient(auth=auth, transport=transport, follow_redirects=True) as client:
            await client.post(URL, json={})

    with pytest.raises(library.ConnectError) as caught:
        asyncio.run(run())
    assert A not in str(caught.value.request.headers.raw)
    assert len(lost) == 2


def test_no_key_stays_with_a_request_that_was_cancelled_and_another_call_may_prove_the_key(library, auth_of, clock):
    ring, auth = auth_of(A, B)
    ring.report_auth_failure(ring.lease())
    ring.lease()
    clock.now += 30

    async def hang(request):
        assert request.headers["Authorization"] == f"Bearer {A}"
        await asyncio.sleep(60)

    async def run():
        async with library.AsyncClient(auth=auth, transport=library.MockTransport(hang)) as client:
            request = client.build_request("POST", URL, json={})
            ring.rotate()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.send(request), 0.05)
            return request

    assert A not in str(asyncio.run(run()).headers.raw)
    assert ring.lease().label == "key-1"


def test_an_unfollowed_redirect_keeps_no_key(call, library, auth_of):
    _, auth = auth_of(A)
    wire = Wire(library, **{A: [(307, {"Location": "/elsewhere"})]})
    answer = call(auth, wire)
    assert A not in str(answer.next_request.headers.raw)


def test_only_failures_are_read_before_the_caller_reads(library, auth_of):
    _, auth = auth_of(A)
    read = Counter()

    class Stream(library.SyncByteStream):
        def __init__(self, status):
            self.status = status

        def __iter__(self):
            read[self.status] += 1
            yield b"{}"

    for status in (200, 403, 404, 422):
        transport = library.MockTransport(
            lambda request, status=status: library.Response(status, stream=Stream(status))
        )
        with (
            library.Client(auth=auth, transport=transport) as client,
            client.stream("POST", URL, json={}) as answer,
        ):
            assert read[status] == (status == 403)
            assert b"".join(answer.iter_bytes()) == b"{}"


def test_sixty_four_calls_at_once_share_one_failure(library, auth_of):
    ring, auth = auth_of(A, B)
    wire = Wire(library, **{A: [(401,)], B: [(200,)]})

    async def run():
        async with library.AsyncClient(auth=auth, transport=library.MockTransport(wire)) as client:
            return await asyncio.gather(*(client.post(URL, json={}) for _ in range(64)))

    assert {answer.status_code for answer in asyncio.run(run())} == {200}
    assert ring.status()[0].failures == 1
