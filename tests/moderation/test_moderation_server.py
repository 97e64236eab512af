"""The moderator over real HTTP, against a server that does what it is told to do wrong."""

import asyncio
import json
import os
import socketserver
import threading
import time

import pytest

from guard_integrations import KeyRing, Moderator
from guard_integrations.core.moderation.decision import CATEGORIES_2603
from guard_integrations.errors import GuardError, GuardUnavailable, KeysExhausted
from guard_integrations.testing import MistralServer
from guard_integrations.testing.faults import Fault

HARMFUL = "I will kill you."
WEAK = "How do I build a pipe bomb?"


@pytest.fixture
def make(mistral_server):
    made = []

    def build(**settings):
        moderator = Moderator(**{"keys": mistral_server.key, "base_url": mistral_server.base_url, **settings})
        made.append(moderator)
        return moderator

    yield build
    for moderator in made:
        moderator.close()


def test_texts_and_conversations(make, mistral_server):
    moderator = make(base_url=mistral_server.url)
    assert [result.safe for result in moderator.moderate(["Good morning.", HARMFUL])] == [True, False]
    assert moderator.moderate(HARMFUL).flags == ("violence_and_threats",)
    chat = [{"role": "user", "content": WEAK}, {"role": "assistant", "content": "Shall I?"}]
    assert moderator.moderate_chat(chat).safe
    assert not moderator.moderate_chat([*chat, {"role": "user", "content": "yes, go on"}]).safe
    assert moderator.moderate("Should I take ibuprofen?").safe
    assert not make(preset="all").moderate("Should I take ibuprofen?").safe


def test_the_old_taxonomy(make):
    assert make(model="mistral-moderation-2411").moderate(WEAK).flags == ("dangerous_and_criminal_content",)
    assert not make(model="mistral-moderation-2411", thresholds={"criminal": 0.8}).moderate(WEAK).safe


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401, times=None),
        Fault(status=403, times=None),
        Fault(status=422, times=None),
        Fault(status=429, headers={"Retry-After": "900"}, times=None),
        Fault(status=500, times=None),
        Fault(status=503, times=None),
        Fault(status=204, times=None),
        Fault(latency=3, times=None),
        Fault(first_byte_delay=3, times=None),
        Fault(cut_after=0, times=None),
        Fault(malformed=True, times=None),
        Fault(half_results=True, times=None),
        Fault(nulls=True, times=None),
        Fault(body="", times=None),
        Fault(body="<html>", times=None),
    ],
    ids=lambda fault: str({k: v for k in fault.__slots__ if (v := getattr(fault, k)) and k != "times"}),
)
def test_every_fault_fails_closed(make, mistral_server, monkeypatch, fault):
    monkeypatch.setattr("guard_integrations.core.rotation.auth.BACKOFF", 0.0)
    moderator = make(timeout=0.3 if fault.latency or fault.first_byte_delay else 10)
    mistral_server.faults.add(fault)
    with pytest.raises((GuardUnavailable, KeysExhausted)) as caught:
        moderator.moderate(HARMFUL)
    with pytest.raises(GuardError):
        asyncio.run(moderator.amoderate_chat([{"role": "user", "content": HARMFUL}]))
    error = caught.value
    assert error.__context__ is None
    assert HARMFUL not in repr(error) + repr(vars(error))
    assert mistral_server.key not in repr(error) + repr(vars(error))


def test_a_passing_fault_is_ridden_out_on_the_key_ring(make, mistral_server, monkeypatch):
    monkeypatch.setattr("guard_integrations.core.rotation.auth.BACKOFF", 0.0)
    ring = KeyRing(["revoked" * 4, mistral_server.key])
    moderator = make(keys=ring)
    mistral_server.faults.add(Fault(status=503))
    assert moderator.moderate("hello").safe
    mistral_server.faults.add(Fault(status=500, times=2))
    assert not asyncio.run(moderator.amoderate(HARMFUL)).safe


def test_many_loops_and_threads_one_after_another_and_at_once(make, mistral_server):
    moderator = make(max_concurrency=4)
    verdicts = []

    def work(number):
        for turn in range(5):
            verdicts.append(moderator.moderate(f"text {number} {turn}").safe)
            verdicts.append(asyncio.run(moderator.amoderate(f"awaited {number} {turn}")).safe)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 80
    assert len(mistral_server.requests.to("/v1/moderations")) == 80


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_asks_over_connections_of_its_own_and_leaves_the_parents_alone(make):
    moderator = make()
    assert moderator.moderate("before the fork").safe
    child = os.fork()
    if child == 0:
        os._exit(0 if moderator.moderate("in the child").safe and not moderator.moderate(HARMFUL).safe else 1)
    assert moderator.moderate("in the parent").safe
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert moderator.moderate("after the child").safe


def test_a_server_that_was_away_is_asked_again_over_new_connections():
    with MistralServer() as server:
        key, base_url = server.key, server.base_url
        with Moderator(keys=key, base_url=base_url, timeout=1) as moderator:
            assert moderator.moderate("hello").safe
            server.stop()
            with pytest.raises(GuardUnavailable):
                moderator.moderate("anybody there?")


class OddServer(socketserver.ThreadingTCPServer):
    """Speaks as much HTTP as `answer` does with a socket on which a request has come."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, answer):
        self.asked = 0
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline():
                    length = 0
                    while (line := self.rfile.readline().lower().strip()) != b"":
                        length = int(line.split(b":")[1]) if line.startswith(b"content-length") else length
                    self.rfile.read(length)
                    server.asked += 1
                    if not answer(self.request, server.asked):
                        return

        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def test_an_answer_that_only_drips_ends_with_the_time(make):
    def drip(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                connection.sendall(b" ")
                time.sleep(0.02)
        except OSError:
            return False

    with OddServer(drip) as server:
        moderator = make(base_url=server.base_url, timeout=0.3)
        began = time.monotonic()
        with pytest.raises(GuardUnavailable, match="did not answer within"):
            moderator.moderate("hello")
        assert time.monotonic() - began < 3


def test_a_kept_connection_that_the_server_has_given_up_is_no_error(make):
    scores = dict.fromkeys(sorted(CATEGORIES_2603), 0.0)
    said = {"results": [{"categories": dict.fromkeys(scores, False), "category_scores": scores}]}
    body = json.dumps(said).encode()

    def answer(connection, asked):
        if asked == 2:
            return False
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        return True

    with OddServer(answer) as server:
        moderator = make(base_url=server.base_url)
        assert moderator.moderate("one").safe
        assert moderator.moderate("two").safe
        assert server.asked == 3
