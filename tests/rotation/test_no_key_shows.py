"""The hunt for a canary key through everything a call leaves behind: core, both HTTP libraries, the Mistral SDK.

Each scenario runs on a real server with every logger at DEBUG. What is searched: the log, events, what was printed,
each exception with its chain and the locals of its frames, what exceptions and answers keep, and pickles.
"""

import asyncio
import io
import logging
import pickle
import sys
import traceback

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from guard_integrations import ApiKey, KeyRing, KeysExhausted, MissingKeyError
from guard_integrations.testing import Fault, KeyState

CANARY = "canary" + "0123456789abcdef" * 2
OTHER = "canary" + "fedcba9876543210" * 2
CHAT = {"model": "mistral-small-latest", "messages": [{"role": "user", "content": "Say hello."}]}
SCENARIOS = {
    "success": {},
    "revoked, another works": {"state": KeyState.REVOKED},
    "forbidden, another works": {"state": KeyState.FORBIDDEN},
    "throttled, another works": {"state": KeyState.RATE_LIMITED},
    "all revoked": {"state": KeyState.REVOKED, "both": True},
    "all forbidden": {"state": KeyState.FORBIDDEN, "both": True},
    "all throttled": {"state": KeyState.RATE_LIMITED, "both": True, "retry_after": 3600},
    "server error": {"fault": Fault(status=503, times=None, headers={"Retry-After": "3600"})},
    "not valid": {"fault": Fault(status=422)},
    "stream cut": {"fault": Fault(cut_after=1)},
    "late": {"fault": Fault(latency=1.0)},
    "nobody there": {"dead": True},
}


KINDS = [
    "sync",
    "async stream",
    pytest.param("async", marks=pytest.mark.slow),
    pytest.param("sync stream", marks=pytest.mark.slow),
]


@pytest.fixture
def log():
    """Every logger at DEBUG, with arguments and tracebacks, into one text."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("httpx", "httpx2", "httpcore", "httpcore2", "mistralai"))]
    before = [(each, each.level) for each in loggers]
    root.addHandler(handler)
    for each in loggers:
        each.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    for each, level in before:
        each.setLevel(level)


@pytest.fixture(params=SCENARIOS)
def scene(request, mistral_server):
    """A server in that state, a ring with the canary as its current key, and where to call."""
    wanted = SCENARIOS[request.param]
    mistral_server.keys.clear()
    for number, secret in enumerate((CANARY, OTHER)):
        state = wanted.get("state", KeyState.VALID) if number == 0 or "both" in wanted else KeyState.VALID
        mistral_server.keys.add(secret, state=state, retry_after=wanted.get("retry_after", 1.0))
    if "fault" in wanted:
        mistral_server.faults.add(wanted["fault"])
    base = "http://127.0.0.1:9" if "dead" in wanted else mistral_server.url
    return KeyRing([CANARY, OTHER], max_wait=0.2), base


def clean(*texts):
    for text in texts:
        for secret in (CANARY, OTHER):
            assert secret not in str(text)


def left_by(error):
    """Everything an exception shows: itself, its chain, its frames with their locals, its request and answer."""
    while error is not None:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        yield from (str(error), repr(error), repr(vars(error)), "".join(shown.format()))
        for request in requests_of(error):
            yield repr(request.headers.raw)
            yield repr(vars(request))
        error = error.__cause__ or error.__context__


def requests_of(kept):
    """The requests that an exception or an answer keeps; httpx raises RuntimeError where there is none."""
    for name in ("request", "_request", "next_request", "response", "raw_response"):
        try:
            found = getattr(kept, name, None)
        except RuntimeError:
            continue
        if found is not None and hasattr(found, "headers"):
            yield found if name.endswith("request") else found.request
    for each in getattr(kept, "history", ()):
        yield each.request


def hunt(call, log, seen, capsys):
    """Makes the call; whatever comes of it holds no key."""
    try:
        answer = call()
    except Exception as error:  # noqa: BLE001 - whatever a caller would catch
        failed = error
        clean(*left_by(error))
    else:
        failed = None
        clean(repr(answer), repr(vars(answer)), repr(getattr(answer, "headers", "")))
        for request in requests_of(answer):
            clean(request.headers.raw, repr(vars(request)))
    if isinstance(failed, KeysExhausted):
        assert failed.__context__ is None
        clean(pickle.dumps(failed))
    printed = capsys.readouterr()
    clean(log.getvalue(), printed.out, printed.err, *(repr(event) + repr(event.as_dict()) for event in seen))
    assert "DEBUG" in log.getvalue() or "started" in log.getvalue() or "HTTP Request" in log.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_the_http_clients_leave_no_key_anywhere(kind, library, scene, log, seen, capsys):  # noqa: PLR0913, PLR0917 - fixtures
    ring, base = scene
    url = f"{base}/v1/chat/completions"
    streams = kind.endswith("stream")
    body = {**CHAT, "stream": streams}

    def in_sync():
        with library.Client(auth=ring.auth(), timeout=0.3) as client:
            answer = client.send(client.build_request("POST", url, json=body), stream=streams)
            answer.read()
            return answer.raise_for_status()

    async def in_async():
        async with library.AsyncClient(auth=ring.auth(), timeout=0.3) as client:
            answer = await client.send(client.build_request("POST", url, json=body), stream=streams)
            await answer.aread()
            return answer.raise_for_status()

    hunt(in_sync if kind.startswith("sync") else lambda: asyncio.run(in_async()), log, seen, capsys)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mistral_sdk_leaves_no_key_anywhere(kind, scene, log, seen, capsys):
    httpx2 = pytest.importorskip("httpx2", reason="httpx2 comes with mistralai")
    sdk = pytest.importorskip("mistralai.client", reason="mistralai is not installed")
    ring, base = scene
    told = {"server_url": base, "debug_logger": logging.getLogger("mistralai"), "timeout_ms": 300}

    def in_sync():
        with httpx2.Client(auth=ring.auth()) as http, sdk.Mistral(client=http, **told) as client:
            clean(repr(client.sdk_configuration))
            if kind.endswith("stream"):
                with client.chat.stream(**CHAT) as events:
                    return list(events)[-1]
            return client.chat.complete(**CHAT)

    async def in_async():
        async with httpx2.AsyncClient(auth=ring.auth()) as http, sdk.Mistral(async_client=http, **told) as client:
            if kind.endswith("stream"):
                return [event async for event in await client.chat.stream_async(**CHAT)][-1]
            return await client.chat.complete_async(**CHAT)

    hunt(in_sync if kind.startswith("sync") else lambda: asyncio.run(in_async()), log, seen, capsys)


class Settings(BaseModel):
    keys: KeyRing | None = None


@pytest.mark.parametrize(
    "bad", [f"{OTHER}\n", [CANARY, f"{OTHER[:9]} {OTHER[9:]}"], SecretStr(f"{OTHER}é"), [ApiKey(secret=SecretStr(""))]]
)
def test_a_model_that_refuses_a_key_does_not_show_or_keep_it(bad):
    if isinstance(bad, str):
        assert len(Settings(keys=bad).keys) == 1  # white space around a key is no reason to refuse it
        bad = bad.replace("canary", "canary ")
    with pytest.raises(MissingKeyError) as caught:
        Settings(keys=bad)
    clean(str(caught.value), repr(caught.value), vars(caught.value), caught.value.__context__, caught.value.__cause__)


def test_a_model_makes_a_ring_of_keys_and_refuses_what_is_none():
    ring = KeyRing([CANARY])
    assert Settings(keys=ring).keys is ring
    assert len(Settings(keys=[CANARY, SecretStr(OTHER)]).keys) == 2
    assert Settings(keys=None).keys is None
    with pytest.raises(ValidationError):
        Settings(keys=7)


def test_what_a_model_with_a_ring_says_of_itself_holds_no_key():
    settings = Settings(keys=KeyRing([CANARY]))
    copied = settings.model_copy(deep=True)
    assert copied.keys is settings.keys
    clean(repr(settings), str(settings), settings.model_dump(), settings.model_dump_json(), copied)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings)


def test_the_hunt_finds_a_key_where_there_is_one(log, library):
    """The proof that the hunt looks: a client with the key in its own header leaves it behind."""
    with library.Client(headers={"Authorization": f"Bearer {CANARY}"}, timeout=0.3) as client:
        try:
            client.get("http://127.0.0.1:9/v1/models")
        except library.ConnectError:
            error = sys.exc_info()[1]
    with pytest.raises(AssertionError):
        clean(*left_by(error))
