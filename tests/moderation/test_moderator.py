import asyncio
import copy
import pickle
import threading

import httpx
import pytest

from guard_integrations.core import events
from guard_integrations.core.moderation import Moderator
from guard_integrations.core.moderation import models as models_module
from guard_integrations.core.moderation.models import api_base_url
from guard_integrations.errors import GuardError, GuardUnavailable, KeysExhausted, MissingKeyError, PolicyError

SECRET = "a text nobody may see"  # noqa: S105 - not a credential


def ask(moderator, way, given):
    """The four twins as one: what is asked of one is asked of all."""
    chat = (
        [{"role": "user", "content": given}]
        if isinstance(given, str)
        else [[{"role": "user", "content": t}] for t in given]
    )
    if way == "sync":
        return moderator.moderate(given)
    if way == "async":
        return asyncio.run(moderator.amoderate(given))
    if way == "chat":
        return moderator.moderate_chat(chat)
    return asyncio.run(moderator.amoderate_chat(chat))


async def until(condition):
    while not condition():  # noqa: ASYNC110 - the other side is another thread's loop
        await asyncio.sleep(0.001)


WAYS = pytest.mark.parametrize("way", ["sync", "async", "chat", "achat"])


@pytest.fixture
def seen():
    told = []
    events.add_observer(told.append)
    yield told
    events.remove_observer(told.append)


@WAYS
def test_a_verdict_for_one_and_for_many(make, way):
    moderator = make()
    assert ask(moderator, way, "hello").safe
    first, second, third = ask(moderator, way, ["hello", "this is selfharm", "hello"])
    assert (first.safe, second.safe, third.safe) == (True, False, True)
    assert second.flags == ("selfharm",)
    assert second.scores["selfharm"] == 0.9


def test_what_is_sent_is_what_the_api_takes(api, make):
    moderator = make(base_url="https://host/v1/")
    moderator.moderate(["one", "two"])
    moderator.moderate_chat([{"role": "human", "content": [{"type": "text", "text": "hi"}]}])
    model = "mistral-moderation-2603"
    assert api.requests == [
        ("/v1/moderations", {"model": model, "input": ["one", "two"]}),
        ("/v1/chat/moderations", {"model": model, "input": [[{"role": "user", "content": "hi"}]]}),
    ]


def test_nothing_to_judge_needs_no_request(api, make):
    moderator = make()
    assert moderator.moderate("  \n").safe
    assert moderator.moderate([]) == []
    assert moderator.moderate_chat([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]).safe
    assert api.requests == []
    with pytest.raises(PolicyError):
        moderator.submit_chat([])


def test_a_long_text_goes_out_in_parallel_pieces_and_its_worst_one_decides(api, make):
    api.delay = 0.05
    moderator = make()
    text = "".join(f"Sentence number {i} is plain. " for i in range(36_000))
    text = f"{text[:700_000]} selfharm. {text[700_000:]}"
    assert len(text) > 1_000_000
    verdict = moderator.moderate(text)
    assert not verdict.safe
    (found,) = verdict.findings
    assert "selfharm" in text[found.start : found.end]
    assert len(text) > found.end - found.start
    assert api.most_running == len(api.requests) > 8
    sent = [piece for _, body in api.requests for piece in body["input"]]
    assert sum(map(len, sent)) == len(text)


def test_requests_at_once_are_bounded(api, make):
    api.delay = 0.01
    moderator = make(max_concurrency=3)
    moderator.moderate(["x" * 100_000 + str(i) for i in range(12)])
    assert api.most_running == 3


def test_many_texts_share_requests(api, make):
    make().moderate([f"text {i}" for i in range(100)])
    assert [len(body["input"]) for _, body in api.requests] == [32, 32, 32, 4]


def test_answers_are_remembered_for_their_time(api, make):
    now = [0.0]
    moderator = make(clock=lambda: now[0], cache_ttl=10, cache_size=2)
    moderator.moderate(["a", "a", "b"])
    moderator.moderate(["a", "b"])
    assert len(api.requests) == 1
    now[0] = 10.0
    moderator.moderate("a")
    assert len(api.requests) == 2
    moderator.moderate(["c", "d"])
    moderator.moderate("a")
    assert len(api.requests) == 4


def test_a_text_and_a_turn_of_the_same_words_are_two_questions(api, make):
    moderator = make()
    moderator.moderate("same")
    moderator.moderate_chat([{"role": "user", "content": "same"}])
    moderator.moderate_chat([{"role": "assistant", "content": "same"}])
    assert len(api.requests) == 3


@pytest.mark.parametrize(
    ("unchecked", "safe"),
    [("flag", True), ("block", False)],
)
def test_an_image_is_named_as_not_checked(make, unchecked, safe):
    image = {"type": "image_url", "image_url": "https://host/x.png"}
    verdict = make(unchecked=unchecked).moderate_chat(
        [{"role": "user", "content": [{"type": "text", "text": "hi"}, image]}]
    )
    assert verdict.safe is safe
    assert [found.rule for found in verdict.findings] == ["moderation-unchecked-image"]


def raise_(error):
    def reply(request):
        raise error(SECRET, request=request)

    return reply


def status(code, **more):
    return lambda _: httpx.Response(code, text=f'{{"input": "{SECRET}"}}', **more)


def body(text):
    return lambda _: httpx.Response(200, text=text)


FAULTS = {
    "401": status(401),
    "403": status(403),
    "404": status(404),
    "422": status(422),
    "429": status(429, headers={"Retry-After": "600"}),
    "500": status(500),
    "503": status(503),
    "302": status(302, headers={"Location": f"https://host/{SECRET}"}),
    "timeout": raise_(httpx.ReadTimeout),
    "refused": raise_(httpx.ConnectError),
    "cut": raise_(httpx.RemoteProtocolError),
    "not JSON": body(SECRET),
    "empty": body(""),
    "deep": body("[" * 100_000),
    "null": body("null"),
    "no results": body('{"results": null}'),
    "half": body('{"results": []}'),
    "null result": body('{"results": [null]}'),
    "null scores": body('{"results": [{"categories": {"sexual": false}, "category_scores": {"sexual": null}}]}'),
    "few categories": body('{"results": [{"categories": {"sexual": false}, "category_scores": {"sexual": 0}}]}'),
    "content as category": body(
        f'{{"results": [{{"categories": {{"{SECRET}": false}}, "category_scores": {{"{SECRET}": 0}}}}]}}'
    ),
    "bug": lambda _: 1 / 0,
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("guard_integrations.core.rotation.auth.BACKOFF", 0.0)


@WAYS
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_fails_closed_without_content(api, make, seen, way, fault):
    api.reply = FAULTS[fault]
    with pytest.raises((GuardUnavailable, KeysExhausted)) as caught:
        ask(make(), way, SECRET)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert SECRET not in repr(error) + str(error) + repr(vars(error))
    assert "test-key" not in repr(error) + repr(vars(error))
    assert [event.kind for event in seen if event.error] == [events.EventKind.UNAVAILABLE]
    assert SECRET not in str([event.as_dict() for event in seen])


@pytest.fixture(params=["401", "500", "timeout", "half", "few categories"])
def broken(request, api, make):
    api.reply = FAULTS[request.param]
    return make(on_error="allow")


@WAYS
def test_on_error_allow_lets_it_through_and_says_so_each_time(broken, seen, caplog, way):
    moderator = broken
    for _ in range(2):
        caplog.clear()
        verdict = ask(moderator, way, SECRET)
        assert verdict.safe
        assert verdict.scores == {}
        assert [found.rule for found in verdict.findings] == ["moderation-skipped"]
        assert len([line for line in caplog.records if line.levelname == "WARNING"]) == 1
        assert SECRET not in caplog.text
    assert [event.kind for event in seen if event.error] == [events.EventKind.ALLOWED] * 2


def test_what_was_judged_still_counts_when_the_rest_may_pass(api, make):
    def reply(request):
        if b"selfharm" in request.content:
            return None
        return httpx.Response(500)

    plain = api._handle

    async def handle(request):
        return reply(request) or await plain(request)

    moderator = make(on_error="allow", transport=httpx.MockTransport(handle))
    text = "A plain sentence. " * 10_000 + "selfharm."
    assert not moderator.moderate(text).safe


def test_errors_are_not_remembered(api, make):
    moderator = make()
    api.reply = FAULTS["500"]
    with pytest.raises(GuardUnavailable):
        moderator.moderate("hello")
    api.reply = None
    assert moderator.moderate("hello").safe


def test_after_failures_in_a_row_nobody_waits_until_the_time_is_up(api, make):
    now = [0.0]
    moderator = make(clock=lambda: now[0])
    api.reply = FAULTS["timeout"]
    for i in range(5):
        with pytest.raises(GuardUnavailable, match="within 10 s"):
            moderator.moderate(f"text {i}")
    asked = len(api.requests)
    with pytest.raises(GuardUnavailable, match="left alone"):
        moderator.moderate("one more")
    assert len(api.requests) == asked
    now[0] = 30.0
    api.reply = None
    assert moderator.moderate("one more").safe
    assert moderator.moderate("and another").safe


def test_what_is_not_the_services_fault_leaves_it_in_use(api, make):
    moderator = make()
    api.reply = FAULTS["422"]
    for i in range(8):
        with pytest.raises(GuardUnavailable, match="422"):
            moderator.moderate(f"text {i}")


def test_one_moderator_serves_threads_and_loops_over_one_pool(api, make):
    moderator = make()
    verdicts = []

    def work(number):
        verdicts.append(moderator.moderate(f"text {number}").safe)
        verdicts.append(asyncio.run(moderator.amoderate(f"awaited {number}")).safe)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 32
    assert sum(thread.name == "guard-moderation" for thread in threading.enumerate()) == 1


async def test_a_caller_that_is_cancelled_cancels_the_request(api, make):
    api.delay = 60
    moderator = make()
    task = asyncio.create_task(moderator.amoderate("hello"))
    await until(lambda: api.running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not api.running)


async def test_closing_ends_what_waits_as_an_error_and_not_as_a_cancelled_caller(api, make):
    api.delay = 60
    moderator = make()
    waiting = asyncio.create_task(moderator.amoderate("hello"))
    blocked = asyncio.create_task(asyncio.to_thread(moderator.moderate, "hello, too"))
    await until(lambda: api.running == 2)
    await moderator.aclose()
    for task in (waiting, blocked):
        with pytest.raises(GuardUnavailable, match="closed"):
            await task
    with pytest.raises(GuardUnavailable, match="closed"):
        moderator.moderate("later")
    assert not any(thread.name == "guard-moderation" for thread in threading.enumerate())


def test_the_thread_ends_with_the_moderator(api):
    with Moderator(keys="test-key", transport=api.transport) as moderator:
        moderator.moderate("hello")
    forgotten = Moderator(keys="test-key", transport=api.transport)
    forgotten.moderate("hello")
    del forgotten
    assert not any(thread.name == "guard-moderation" for thread in threading.enumerate())


def test_settings(make, monkeypatch):
    for wrong in (
        {"on_error": "pass"},
        {"unchecked": "x"},
        {"timeout": 0},
        {"thresholds": {"x": 1}},
        {"preset": "none"},
    ):
        with pytest.raises(PolicyError):
            make(**wrong)
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    monkeypatch.delenv("MISTRAL_API_KEYS", raising=False)
    with pytest.raises(MissingKeyError):
        make(keys=None)
    moderator = make()
    assert copy.deepcopy(moderator) is moderator
    assert "test-key" not in repr(moderator)
    with pytest.raises(TypeError):
        pickle.dumps(moderator)


def test_the_base_url_is_chat_mistral_ais(monkeypatch):
    monkeypatch.delenv("MISTRAL_BASE_URL", raising=False)
    assert api_base_url(None) == "https://api.mistral.ai/v1"
    assert api_base_url("http://localhost:1/") == api_base_url("http://localhost:1/v1/") == "http://localhost:1/v1"
    monkeypatch.setenv("MISTRAL_BASE_URL", "http://host/proxy/v1")
    assert api_base_url(None) == "http://host/proxy/v1"


def test_an_alias_warns_once_and_says_what_it_points_at(make, monkeypatch):
    monkeypatch.setattr(models_module, "_warned", set())
    with pytest.warns(UserWarning, match="mistral-moderation-2411"):
        make(model="mistral-moderation-latest")
    make(model="mistral-moderation-latest")


def test_every_error_is_one_of_ours():
    assert issubclass(GuardUnavailable, GuardError)


def test_pieces_fit_the_models_context(api, make):
    text = "".join(f"Sentence number {number} is plain. " for number in range(1_000))
    make(model="mistral-moderation-2411").moderate(text)
    pieces = [piece for _, body in api.requests for piece in body["input"]]
    assert len(pieces) > 3
    assert all(len(piece.encode()) <= 8_000 for piece in pieces)
    make().moderate(text)
    assert api.requests[-1][1]["input"] == [text]
