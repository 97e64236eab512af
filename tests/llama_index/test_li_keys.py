"""The hunt for a canary key through all that LlamaIndex shows, logs, reports and keeps of a guarded model."""

import copy
import io
import logging
import pickle
import traceback

import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import ChatMessage
from llama_index.llms.mistralai import MistralAI

from guard_integrations import KeyRing, KeysExhausted
from guard_integrations.llama_index import GuardedMistralAI
from guard_integrations.testing import Fault, KeyState

CANARY = "canary" + "0123456789abcdef" * 2
OTHER = "canary" + "fedcba9876543210" * 2
SCENARIOS = {
    "success": {},
    "revoked, another works": {"state": KeyState.REVOKED},
    "all revoked": {"state": KeyState.REVOKED, "both": True},
    "not valid": {"fault": Fault(status=422)},
    "server error": {"fault": Fault(status=503, times=None, headers={"Retry-After": "3600"})},
    "stream cut": {"fault": Fault(cut_after=1)},
}
ASKED = [ChatMessage(role="user", content="Say hello.")]


class Events(BaseEventHandler):
    """Everything that LlamaIndex reports, written out."""

    seen: list

    def handle(self, event, **_):
        self.seen.append(f"{event!r} {event.model_dump()!r} {getattr(event, 'model_dict', '')!r}")


@pytest.fixture
def reported():
    """All events and spans of one test."""
    dispatcher, events, spans = get_dispatcher(), Events(seen=[]), SimpleSpanHandler()
    dispatcher.add_event_handler(events)
    dispatcher.add_span_handler(spans)
    yield lambda: [*events.seen, *map(repr, [*spans.completed_spans, *spans.dropped_spans])]
    dispatcher.event_handlers.remove(events)
    dispatcher.span_handlers.remove(spans)


@pytest.fixture
def log():
    """All loggers at DEBUG, in one text."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    loggers = [logging.getLogger(name) for name in (None, "httpx2", "httpcore2", "mistralai", "llama_index")]
    before = [(each, each.level) for each in loggers]
    logging.getLogger().addHandler(handler)
    for each in loggers:
        each.setLevel(logging.DEBUG)
    yield text
    logging.getLogger().removeHandler(handler)
    for each, level in before:
        each.setLevel(level)


def clean(*shown):
    for text in shown:
        for secret in (CANARY, OTHER):
            assert secret not in str(text)


def left_by(error):
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)))
        yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        for kept in (getattr(error, "request", None), getattr(error, "raw_response", None)):
            if kept is not None:
                yield repr(getattr(kept, "request", kept).headers.raw)
        error = error.__cause__ or error.__context__


def prepare(server, *, state=KeyState.VALID, both=False, fault=None):
    """In a function of its own: what it names must not stand among the locals of the test's frame."""
    server.keys.clear()
    server.keys.add(CANARY, state=state)
    server.keys.add(OTHER, state=state if both else KeyState.VALID)
    if fault is not None:
        server.faults.add(fault)


async def streamed(llm):
    return [chunk async for chunk in await llm.astream_chat(ASKED)]


ENTRIES = {
    "chat": lambda llm: llm.chat(ASKED),
    "stream_chat": lambda llm: list(llm.stream_chat(ASKED)),
    "complete": lambda llm: llm.complete("Say hello."),
    "astream_chat": streamed,
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    "scenario",
    [name if name in {"success", "all revoked"} else pytest.param(name, marks=pytest.mark.slow) for name in SCENARIOS],
)
async def test_no_key_shows_however_a_call_ends(entry, scenario, mistral_server, reported, log, capsys):  # noqa: PLR0913, PLR0917 - fixtures
    prepare(mistral_server, **SCENARIOS[scenario])
    ring = KeyRing([CANARY, OTHER], max_wait=0.2)
    llm = GuardedMistralAI(keys=ring, endpoint=mistral_server.url, moderation="off", max_retries=0)
    try:
        answer = ENTRIES[entry](llm)
        answer = await answer if entry.startswith("a") else answer
    except Exception as error:  # noqa: BLE001 - whatever a caller would catch
        clean(*left_by(error))
        failed = error
    else:
        failed = None
        clean(repr(answer))
        assert scenario in {"success", "revoked, another works", "stream cut"}
    assert isinstance(failed, KeysExhausted) == (scenario == "all revoked")
    printed = capsys.readouterr()
    assert reported()
    assert log.getvalue()
    clean(log.getvalue(), printed.out, printed.err, *reported())


@pytest.mark.parametrize("given", [{"keys": [CANARY, OTHER]}, {"keys": CANARY}, {"api_key": CANARY}], ids=repr)
def test_no_key_shows_in_the_model_itself(given):
    llm = GuardedMistralAI(**given)
    clean(repr(llm), str(llm), llm.to_dict(), llm.to_json(), llm.model_dump(), vars(llm), llm.metadata)
    clean(llm.model_json_schema(), llm.dict())
    clean(repr(copy.copy(llm)), llm.model_copy().to_dict())
    clean(pickle.dumps(llm))


@pytest.mark.parametrize("bad", [{"keys": f"{OTHER[:9]} {OTHER[9:]}"}, {"keys": [OTHER], "on_block": OTHER}])
def test_a_refused_model_shows_no_key(bad):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MissingKeyError, or pydantic's
        GuardedMistralAI(api_key=CANARY, **bad)
    clean(str(caught.value).replace(" ", ""), repr(caught.value).replace(" ", ""))


def test_the_hunt_finds_a_key_where_the_plain_class_shows_one():
    with pytest.raises(AssertionError):
        clean(vars(MistralAI(api_key=CANARY)._client.sdk_configuration.security))
