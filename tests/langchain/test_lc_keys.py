"""The hunt for a canary key through all that LangChain shows, prints, logs, traces and keeps of a guarded model.

A real server answers; a real LangSmith client posts its traces to a listener on loopback; LangChain's debug and
verbose modes are on and every logger is at DEBUG.
"""

import asyncio
import io
import json
import logging
import pickle
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from langchain_core.globals import set_debug, set_verbose
from langchain_core.load import dumpd, dumps
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers import LangChainTracer
from langsmith import Client
from pydantic import SecretStr, ValidationError

from guard_integrations import KeyRing
from guard_integrations.langchain import GuardedChatMistralAI, MetadataCallbackHandler
from guard_integrations.testing import Fault, KeyState

CANARY = "canary" + "0123456789abcdef" * 2
OTHER = "canary" + "fedcba9876543210" * 2
SCENARIOS = {
    "success": {},
    "revoked, another works": {"state": KeyState.REVOKED},
    "all revoked": {"state": KeyState.REVOKED, "both": True},
    "all throttled": {"state": KeyState.RATE_LIMITED, "both": True},
    "not valid": {"fault": Fault(status=422)},
    "server error": {"fault": Fault(status=503, times=None, headers={"Retry-After": "3600"})},
    "stream cut": {"fault": Fault(cut_after=1)},
}


class LangSmith(ThreadingHTTPServer):
    """Takes whatever a LangSmith client posts, and keeps it."""

    def __init__(self):
        self.posted = []
        super().__init__(("127.0.0.1", 0), _Listener)


# Everything is set up so that keys would show, and the handler says so.
pytestmark = pytest.mark.filterwarnings("ignore::guard_integrations.telemetry.ContentExposedWarning")


class _Listener(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(202)
        self.end_headers()

    do_PATCH = do_POST  # noqa: N815 - the library's names

    def log_message(self, *args):
        """Says nothing."""


@pytest.fixture
def langsmith():
    with LangSmith() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def tracer(langsmith):
    client = Client(api_url=f"http://127.0.0.1:{langsmith.server_port}", api_key="x", auto_batch_tracing=False)
    return LangChainTracer(client=client)


@pytest.fixture
def log():
    """All loggers at DEBUG, in one text; LangChain in debug and verbose mode."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    loggers = [logging.getLogger(name) for name in (None, "httpx", "httpcore", "langchain_mistralai", "langsmith")]
    before = [(each, each.level) for each in loggers]
    logging.getLogger().addHandler(handler)
    for each in loggers:
        each.setLevel(logging.DEBUG)
    set_debug(True)
    set_verbose(True)
    yield text
    set_debug(False)
    set_verbose(False)
    logging.getLogger().removeHandler(handler)
    for each, level in before:
        each.setLevel(level)


def clean(*shown):
    for text in shown:
        for secret in (CANARY, OTHER):
            assert secret not in str(text)


def chain_of(llm):
    return ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "{text}")]) | llm | StrOutputParser()


async def streamed(chain, config):
    return [each async for each in chain.astream({"text": "Say hello."}, config)]


ENTRIES = {
    "invoke": lambda chain, config: chain.invoke({"text": "Say hello."}, config),
    "stream": lambda chain, config: list(chain.stream({"text": "Say hello."}, config)),
    "batch": lambda chain, config: chain.batch([{"text": "Say hello."}] * 2, config),
    "astream": lambda chain, config: asyncio.run(streamed(chain, config)),
}


def left_by(error):
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)))
        yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        for kept in (getattr(error, "request", None), getattr(error, "response", None)):
            if kept is not None:
                yield repr(getattr(kept, "request", kept).headers.raw)
        error = error.__cause__ or error.__context__


def prepare(server, *, state=KeyState.VALID, both=False, fault=None):
    """In a function of its own: what it names must not stand among the locals of the test's frame."""
    server.keys.clear()
    server.keys.add(CANARY, state=state, retry_after=3600)
    server.keys.add(OTHER, state=state if both else KeyState.VALID, retry_after=3600)
    if fault is not None:
        server.faults.add(fault)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    "scenario",
    [name if name in {"success", "all revoked"} else pytest.param(name, marks=pytest.mark.slow) for name in SCENARIOS],
)
def test_no_key_shows_however_a_call_ends(entry, scenario, mistral_server, langsmith, tracer, log, capsys):  # noqa: PLR0913, PLR0917 - fixtures
    prepare(mistral_server, **SCENARIOS[scenario])
    ring = KeyRing([CANARY, OTHER], max_wait=0.2)
    llm = GuardedChatMistralAI(keys=ring, base_url=mistral_server.base_url, moderation="off", max_retries=1)
    records = []
    config = {"callbacks": [tracer, MetadataCallbackHandler(records.append)], "configurable": {"thread_id": "1"}}
    try:
        answer = ENTRIES[entry](chain_of(llm), config)
    except Exception as error:  # noqa: BLE001 - whatever a caller would catch
        clean(*left_by(error))
    else:
        clean(repr(answer))
        assert scenario not in {"all revoked", "all throttled"}
    tracer.wait_for_futures()
    printed = capsys.readouterr()
    clean(log.getvalue(), printed.out, printed.err, *langsmith.posted, records)
    assert "chain/start" in printed.out  # debug mode did print
    assert langsmith.posted
    assert records
    assert "Authorization" not in llm.client.headers


MADE = {
    "keys": lambda: GuardedChatMistralAI(keys=[CANARY, SecretStr(OTHER)]),
    "one key": lambda: GuardedChatMistralAI(api_key=CANARY),
    "parent's name": lambda: GuardedChatMistralAI(mistral_api_key=SecretStr(CANARY)),
    "tools": lambda: GuardedChatMistralAI(keys=CANARY).bind_tools([]),
    "copy": lambda: GuardedChatMistralAI(keys=CANARY).model_copy(),
    "fields": lambda: GuardedChatMistralAI(keys=CANARY).configurable_fields(keys=ConfigurableField(id="__keys")),
    "chain": lambda: chain_of(GuardedChatMistralAI(keys=CANARY)),
}


@pytest.mark.parametrize("name", MADE)
def test_no_key_shows_in_the_model_itself(name):
    runnable = MADE[name]()
    clean(repr(runnable), str(runnable), dumpd(runnable), dumps(runnable), json.dumps(dumpd(runnable), default=repr))
    clean(runnable.model_dump(), vars(runnable), runnable.get_graph().draw_mermaid(), runnable.config_schema())
    clean(runnable.get_name(), runnable.get_input_jsonschema())
    if isinstance(runnable, GuardedChatMistralAI):
        clean(runnable.model_dump_json(exclude={"client", "async_client"}), runnable._identifying_params)
        clean(runnable._get_ls_params(), runnable._get_llm_string(), runnable.lc_attributes)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - clients and rings refuse, each in its way
        pickle.dumps(runnable)
    clean(*left_by(caught.value))


@pytest.mark.parametrize("bad", [{"keys": f"{OTHER[:9]} {OTHER[9:]}"}, {"keys": [OTHER], "on_block": OTHER}])
def test_a_refused_model_shows_no_key(bad):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MissingKeyError, or pydantic's
        GuardedChatMistralAI(api_key=CANARY, **bad)
    clean(str(caught.value).replace(" ", ""), repr(caught.value).replace(" ", ""))
    if isinstance(caught.value, ValidationError):
        clean(caught.value)


def test_a_key_set_by_a_config_is_kept_from_tracers(mistral_server, langsmith, tracer):
    prepare(mistral_server)
    mistral_server.keys.set(OTHER, state=KeyState.REVOKED)
    llm = GuardedChatMistralAI(keys=OTHER, base_url=mistral_server.base_url)
    chain = chain_of(llm.configurable_fields(keys=ConfigurableField(id="__keys")))
    config = {"callbacks": [tracer], "configurable": {"__keys": CANARY}}
    assert chain.invoke({"text": "Say hello."}, config)  # by the config's key: the other is revoked
    tracer.wait_for_futures()
    assert langsmith.posted
    clean(*langsmith.posted)


@pytest.mark.parametrize("name", ["keys", "mistral_api_key", "system_prompt"])
def test_what_tracers_would_be_shown_is_refused(name):
    llm = GuardedChatMistralAI(keys=OTHER, moderation="off")
    with pytest.raises(ValueError, match="__"):
        llm.configurable_fields(**{name: ConfigurableField(id=name)})


def test_the_hunt_finds_a_key_where_langchain_shows_one(mistral_server, langsmith, tracer):
    """The proof that the hunt looks: the same config by the class's own way, past the refusal."""
    mistral_server.keys.add(CANARY)
    llm = GuardedChatMistralAI(keys=CANARY, base_url=mistral_server.base_url, moderation="off")
    parents = super(GuardedChatMistralAI, llm).configurable_fields(keys=ConfigurableField(id="keys"))
    chain_of(parents).invoke({"text": "Say hello."}, {"callbacks": [tracer], "configurable": {"keys": CANARY}})
    tracer.wait_for_futures()
    with pytest.raises(AssertionError):
        clean(*langsmith.posted)
