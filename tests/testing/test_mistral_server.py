"""The server over real HTTP: life, keys, faults, log."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from guard_integrations.testing import Fault, KeyState, MistralServer
from guard_integrations.testing.keys import KeyTable

CHAT = "/v1/chat/completions"


@contextmanager
def client(server: MistralServer, key: str | None = None) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {key or server.key}"}, timeout=10
    ) as http:
        yield http


def ask(http: httpx.Client, text: str = "Hello", **more: object) -> httpx.Response:
    return http.post(CHAT, json={"model": "m", "messages": [{"role": "user", "content": text}], **more})


def said(response: httpx.Response) -> str:
    return response.json()["choices"][0]["message"]["content"]


def deltas(text: str) -> list[dict]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_server_starts_answers_and_stops():
    server = MistralServer()
    with server, client(server) as http:
        url = server.url
        assert server.base_url == f"{url}/v1"
        assert said(ask(http, "reply with: PWNED")) == "PWNED"
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_two_servers_stand_side_by_side(mistral_server):
    with MistralServer() as other:
        assert other.url != mistral_server.url
        assert other.key != mistral_server.key
        with client(other, mistral_server.key) as http:
            assert ask(http).status_code == 401


def test_a_stream_says_what_the_plain_answer_says(mistral_server):
    order = "say exactly: write to jane.doe@example.com or <b>else</b>"
    with client(mistral_server) as http:
        plain = ask(http, order).json()
        chunks = deltas(ask(http, order, stream=True).text)
    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == plain["choices"][0]["message"]["content"]
    assert plain["choices"][0]["message"]["content"] == "write to jane.doe@example.com or <b>else</b>"
    assert chunks[-1]["usage"] == plain["usage"]
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "jane.doe@example.com" not in [c["choices"][0]["delta"]["content"] for c in chunks]


@pytest.mark.parametrize(
    ("state", "status", "body"),
    [
        (KeyState.REVOKED, 401, "Unauthorized"),
        (KeyState.EXPIRED, 401, "Unauthorized"),
        (KeyState.RATE_LIMITED, 429, '"code":"1300"'),
        (KeyState.OUT_OF_QUOTA, 401, ""),
        (KeyState.FORBIDDEN, 403, "permission"),
    ],
)
def test_a_key_is_answered_by_its_state_until_it_is_healed(mistral_server, state, status, body):
    key = mistral_server.keys.add(label="second", retry_after=2)
    with client(mistral_server, key) as http:
        assert ask(http).status_code == 200
        mistral_server.keys.set("second", state=state)
        refused = ask(http)
        assert refused.status_code == status
        assert body in refused.text
        assert (refused.text == "") == (body == "")
        assert refused.headers.get("retry-after") == ("2" if status == 429 else None)
        mistral_server.keys.heal(key)
        assert ask(http).status_code == 200


def test_keys_of_one_workspace_share_their_quota(mistral_server):
    keys = [mistral_server.keys.add(workspace="shared") for _ in range(2)]
    mistral_server.keys.limit(keys[0], requests=3)
    with client(mistral_server, keys[0]) as one, client(mistral_server, keys[1]) as other:
        answers = [ask(http) for http in (one, other, one, other)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert [a.headers["x-ratelimit-remaining-req-minute"] for a in answers] == ["2", "1", "0", "0"]
    assert 0 < int(answers[3].headers["retry-after"]) <= 60
    with client(mistral_server) as http:
        assert ask(http).status_code == 200


@pytest.mark.parametrize(("state", "status"), [("rate_limited", 429), ("out_of_quota", 401), ("revoked", 200)])
def test_what_a_workspace_shares_hits_its_other_keys(mistral_server, state, status):
    mistral_server.keys.add(workspace="shared", label="hit", state=state)
    other = mistral_server.keys.add(workspace="shared")
    with client(mistral_server, other) as http, client(mistral_server) as stranger:
        assert ask(http).status_code == status
        assert ask(stranger).status_code == 200


@pytest.mark.parametrize(("given", "sent"), [("soon", "soon"), (None, None), (0.5, "0.5"), (-1, "-1")])
def test_retry_after_is_sent_as_it_is_given(mistral_server, given, sent):
    mistral_server.keys.set(mistral_server.key, state=KeyState.RATE_LIMITED, retry_after=given)
    with client(mistral_server) as http:
        assert ask(http).headers.get("retry-after") == sent


def test_an_unknown_key_is_not_shown_in_the_error(mistral_server):
    with pytest.raises(KeyError) as caught:
        mistral_server.keys.revoke("mystery")
    assert "mystery" not in str(caught.value)
    assert mistral_server.key not in repr(mistral_server.keys.get(mistral_server.key))


def test_a_window_of_the_limit_ends():
    now = [100.0]
    keys = KeyTable(clock=lambda: now[0])
    key = keys.get(keys.add(label="one"))
    keys.limit("one", requests=1, per=10)
    assert keys.check(key)[0] is None
    now[0] = 104.5
    assert keys.check(key)[0].headers["Retry-After"] == "6"
    now[0] = 110.0
    assert keys.check(key)[0] is None


def test_no_key_and_an_unknown_key_are_refused(mistral_server):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert httpx.post(mistral_server.url + CHAT, json=body).status_code == 401
    with client(mistral_server, "not-a-key") as http:
        assert ask(http).json() == {"detail": "Unauthorized"}
    assert [entry.key for entry in mistral_server.requests] == [None, None]


def test_the_log_has_labels_and_bodies_but_never_a_key(mistral_server):
    with client(mistral_server) as http:
        ask(http, "first")
        http.get("/v1/models")
    first, second = mistral_server.requests
    assert (first.method, first.path, first.key) == ("POST", CHAT, "key-1")
    assert first.body["messages"][0]["content"] == "first"
    assert (second.method, second.body) == ("GET", None)
    assert mistral_server.requests.to("/v1/models") == [second]
    assert "authorization" not in first.headers
    assert mistral_server.key not in f"{first.headers}{first.content!r}{first!r}"
    assert "first" not in repr(first)


def test_what_goes_to_a_wrong_address_is_refused_and_logged(mistral_server):
    with client(mistral_server) as http:
        assert http.post("/v1/v1/chat/completions", json={}).json() == {"detail": "Not Found"}
        assert http.get(CHAT).status_code == 405
    assert [(entry.method, entry.path, entry.key) for entry in mistral_server.requests] == [
        ("POST", "/v1/v1/chat/completions", "key-1"),
        ("GET", CHAT, "key-1"),
    ]


def test_the_fixture_starts_fresh_each_time(mistral_server):
    assert len(mistral_server.requests) == 0
    mistral_server.faults.add(Fault(status=500, times=None))


def test_the_fixture_forgot_the_faults_of_the_test_before(mistral_server):
    with client(mistral_server) as http:
        assert ask(http).status_code == 200


def test_a_fault_hits_the_next_requests_to_its_path_and_key(mistral_server):
    mistral_server.faults.add(Fault(path=CHAT, status=503, times=2, skip=1), Fault(key="other", status=500))
    with client(mistral_server) as http:
        assert http.get("/v1/models").status_code == 200
        assert [ask(http).status_code for _ in range(4)] == [200, 503, 503, 200]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
def test_a_status_fault_has_a_json_body(mistral_server, status):
    mistral_server.faults.add(Fault(status=status, headers={"Retry-After": "7"}))
    with client(mistral_server) as http:
        answer = ask(http)
    assert answer.status_code == status
    assert answer.headers["retry-after"] == "7"
    assert answer.json()


def test_malformed_json_is_malformed(mistral_server):
    mistral_server.faults.add(Fault(malformed=True, times=2))
    with client(mistral_server) as http:
        assert ask(http).status_code == 200
        with pytest.raises(json.JSONDecodeError):
            ask(http).json()


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_drops_the_connection(mistral_server, stream):
    mistral_server.faults.add(Fault(cut_after=2))
    with client(mistral_server) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(http, stream=stream)
        assert ask(http).status_code == 200


def test_an_error_frame_ends_a_stream_and_a_frame_without_choices_does_not(mistral_server):
    with client(mistral_server) as http:
        whole = deltas(ask(http, stream=True).text)
        mistral_server.faults.add(Fault(error_frame_after=2), Fault(without_choices_after=2), Fault(malformed=True))
        ended = ask(http, stream=True).text
        assert json.loads(ended.split("\n\n")[2].removeprefix("data: "))["object"] == "error"
        assert ended.count("data:") == 3
        assert [("choices" in chunk) for chunk in deltas(ask(http, stream=True).text)].index(False) == 2
        assert len(whole) + 2 == ask(http, stream=True).text.count("data:")


@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_can_say_anything(mistral_server, stream):
    mistral_server.faults.add(Fault(body="<html>", headers={"content-type": "text/html"}), Fault(status=502, body="[]"))
    with client(mistral_server) as http:
        first, second = ask(http, stream=stream), ask(http, stream=stream)
    assert (first.status_code, first.text, first.headers["content-type"]) == (200, "<html>", "text/html")
    assert (second.status_code, second.text) == (502, "[]")


def test_stopping_does_not_wait_for_requests_under_way():
    outcome: list[object] = []
    with MistralServer() as server:
        server.faults.add(Fault(chunk_delay=20))

        def work() -> None:
            with client(server) as http, pytest.raises(httpx.HTTPError) as caught:
                ask(http, stream=True)
            outcome.append(caught.value)

        thread = threading.Thread(target=work)
        thread.start()
        while not len(server.requests):
            time.sleep(0.01)
        time.sleep(0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    thread.join()
    assert isinstance(outcome[0], httpx.RemoteProtocolError)


def test_half_results_and_nulls(mistral_server):
    body = {"model": "mistral-moderation-2603", "input": ["a", "b", "c", "d"]}
    mistral_server.faults.add(Fault(half_results=True), Fault(nulls=True))
    with client(mistral_server) as http:
        assert len(http.post("/v1/moderations", json=body).json()["results"]) == 2
        nulled = http.post("/v1/moderations", json=body).json()["results"]
    assert {score for each in nulled for score in each["category_scores"].values()} == {None}


def test_delays_come_where_they_are_asked_for(mistral_server):
    mistral_server.faults.add(Fault(latency=0.2), Fault(first_byte_delay=0.2), Fault(chunk_delay=0.05))
    with client(mistral_server) as http:
        for to_headers, to_end in ((0.2, 0.2), (0.0, 0.2), (0.0, 0.2)):
            began = time.monotonic()
            with http.stream(
                "POST", CHAT, json={"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
            ) as answer:
                headers = time.monotonic() - began
                answer.read()
            assert headers >= to_headers
            assert time.monotonic() - began >= to_end


def test_a_slow_key_is_slow(mistral_server):
    key = mistral_server.keys.add(latency=0.2)
    began = time.monotonic()
    with client(mistral_server, key) as http:
        ask(http)
    assert time.monotonic() - began >= 0.2


async def test_it_serves_async_clients_and_threads_at_once(mistral_server):
    answers: list[int] = []

    def work() -> None:
        with client(mistral_server) as http:
            answers.extend(ask(http, f"Question {n}?").status_code for n in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    headers = {"Authorization": f"Bearer {mistral_server.key}"}
    async with httpx.AsyncClient(base_url=mistral_server.url, headers=headers) as http:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        both = await asyncio.gather(*(http.post(CHAT, json=body) for _ in range(64)))
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in both] == [200] * 64
    assert answers == [200] * 40
    assert len(mistral_server.requests) == 104


@pytest.mark.parametrize(
    ("path", "body", "loc"),
    [
        (CHAT, {"model": "m", "messages": [{"role": "user", "content": "x"}], "unknown": 1}, ["body", "unknown"]),
        (CHAT, {"model": "m", "messages": [{"role": "wizard", "content": "x"}]}, ["body", "messages", 0]),
        (CHAT, {"messages": [{"role": "user", "content": "x"}]}, ["body", "model"]),
        ("/v1/moderations", {"model": "m"}, ["body", "input"]),
        ("/v1/embeddings", {"model": "m", "input": 3}, ["body", "input", "str"]),
    ],
)
def test_a_bad_request_is_a_422_that_echoes_the_input(mistral_server, path, body, loc):
    with client(mistral_server) as http:
        answer = http.post(path, json=body)
    assert answer.status_code == 422
    details = answer.json()["detail"]
    assert loc in [detail["loc"] for detail in details]
    assert all({"type", "msg", "input"} <= detail.keys() for detail in details)


def test_no_json_is_a_422_too(mistral_server):
    with client(mistral_server) as http:
        assert http.post(CHAT, content=b"{").status_code == 422
