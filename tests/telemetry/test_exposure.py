"""The look at who else writes content down: each switch is seen when it is on, and only then."""

import logging

import langsmith
import pytest
from langchain_core import globals as langchain_globals
from langchain_core.tracers.context import tracing_v2_enabled
from langsmith import run_trees
from langsmith import utils as langsmith_utils
from lc_wire import Wire, plain
from llama_index import core as llama_index_core

from guard_integrations.langchain import MetadataCallbackHandler
from guard_integrations.llama_index import MetadataEventHandler, MetadataSpanHandler
from guard_integrations.telemetry import ContentExposedWarning, exposures, hide_tracing, warn_of_exposures

CANARY = "canary-5d1e"


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    for namespace in ("LANGSMITH", "LANGCHAIN"):
        for name in ("TRACING", "TRACING_V2", "HIDE_INPUTS", "HIDE_OUTPUTS", "HIDE_METADATA"):
            # Set first, so that what a test sets is taken back, too.
            monkeypatch.setenv(f"{namespace}_{name}", "")
            monkeypatch.delenv(f"{namespace}_{name}")
    monkeypatch.delenv("MISTRAL_DEBUG", raising=False)
    monkeypatch.setattr(run_trees, "_CLIENT", None)
    langsmith_utils.get_env_var.cache_clear()
    yield
    langsmith_utils.get_env_var.cache_clear()


def seen():
    return [each.id for each in exposures()]


def test_nothing_is_seen_where_nothing_is_wrong():
    assert seen() == []


@pytest.mark.parametrize("name", ["debug", "verbose"])
def test_langchains_switches(name, monkeypatch, capsys):
    monkeypatch.setattr(langchain_globals, f"_{name}", True)
    assert seen() == [f"langchain-{name}"]
    if name == "debug":  # what it is about
        plain(Wire(["Hi"])).invoke(CANARY)
        assert CANARY in capsys.readouterr().out


def test_mistral_debug(monkeypatch):
    monkeypatch.setenv("MISTRAL_DEBUG", "1")
    assert seen() == ["mistral-debug"]


@pytest.mark.parametrize("name", ["httpx", "httpcore", "httpcore.http11", "mistralai", "hpack", "llama_index.core"])
def test_debug_logging(name, caplog):
    with caplog.at_level(logging.DEBUG, logger=name):
        assert seen() == [f"{name.partition('.')[0]}-logging".replace("_", "-")]
    assert seen() == []


def test_debug_logging_at_the_root_is_that_of_all(caplog):
    with caplog.at_level(logging.DEBUG):
        assert {"httpx-logging", "httpcore-logging", "mistralai-logging"} <= set(seen())


@pytest.mark.parametrize("variable", ["LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"])
def test_tracing_is_seen_until_it_is_hidden(variable, monkeypatch):
    monkeypatch.setenv(variable, "true")
    assert seen() == ["langsmith-tracing"]
    hide_tracing()
    assert seen() == []


def trace(client):
    return client._run_transform({
        "id": "00000000-0000-4000-8000-000000000001", "name": "x", "run_type": "llm",
        "inputs": {"messages": CANARY}, "outputs": {"text": CANARY}, "extra": {"metadata": {"user": CANARY}},
    })  # fmt: skip


def test_langsmith_hides_what_it_is_told_to():
    shown = langsmith.Client(api_key="k", api_url="http://127.0.0.1:9", auto_batch_tracing=False)
    assert CANARY in repr(trace(shown))
    hide_tracing()
    hidden = langsmith.Client(api_key="k", api_url="http://127.0.0.1:9", auto_batch_tracing=False)
    assert CANARY not in repr(trace(hidden))


def test_a_client_that_is_there_already_is_hidden_too(monkeypatch):
    kept = langsmith.Client(api_key="k", api_url="http://127.0.0.1:9", auto_batch_tracing=False)
    monkeypatch.setattr(run_trees, "_CLIENT", kept)
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_HIDE_INPUTS", "true")
    monkeypatch.setenv("LANGSMITH_HIDE_OUTPUTS", "true")
    assert seen() == ["langsmith-tracing"], "it was made before they were set"
    hide_tracing()
    assert seen() == []
    assert CANARY not in repr(trace(kept))


@pytest.mark.parametrize("hidden", [False, True])
def test_a_tracer_in_this_context(hidden):
    client = langsmith.Client(
        api_key="k", api_url="http://127.0.0.1:9", auto_batch_tracing=False, hide_inputs=hidden, hide_outputs=hidden
    )
    with tracing_v2_enabled(client=client):
        assert seen() == ([] if hidden else ["langchain-tracer"])


def test_llama_indexs_global_handler(monkeypatch):
    monkeypatch.setattr(llama_index_core, "global_handler", object())
    assert seen() == ["llama-index-global-handler"]


def test_the_warning_names_what_and_how(monkeypatch):
    monkeypatch.setenv("MISTRAL_DEBUG", CANARY)
    with pytest.warns(ContentExposedWarning, match=r"MISTRAL_DEBUG is set: unset it") as caught:
        warn_of_exposures()
    assert CANARY not in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("make", [MetadataCallbackHandler, MetadataEventHandler, MetadataSpanHandler])
def test_handlers_warn_when_they_are_made(make, monkeypatch):
    monkeypatch.setenv("MISTRAL_DEBUG", "1")
    with pytest.warns(ContentExposedWarning, match="mistral-debug"):
        make()
