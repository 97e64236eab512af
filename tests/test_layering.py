"""The import rules of the house: who may load whom."""

import json
import subprocess
import sys

import pytest

FRAMEWORKS = ("langchain_core", "langchain", "langchain_mistralai", "llama_index", "mistralai")
HTTP = ("httpx", "httpx2", "httpcore", "requests", "aiohttp", "redis")


def loaded_by(module: str) -> set[str]:
    code = f"import json, sys, {module}; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own interpreter
    return set(json.loads(done.stdout))


def test_the_core_loads_no_framework_and_no_http_library():
    assert not loaded_by("guard_integrations") & {*FRAMEWORKS, *HTTP}


def test_sinks_load_nothing_before_it_is_used():
    assert not loaded_by("guard_integrations.telemetry") & {*FRAMEWORKS, *HTTP, "opentelemetry", "langsmith"}


@pytest.mark.parametrize(
    ("adapter", "other"),
    [
        ("guard_integrations.langchain", {"llama_index"}),
        ("guard_integrations.llama_index", {"langchain", "langchain_core", "langchain_mistralai"}),
    ],
)
def test_the_adapters_never_load_each_other(adapter, other):
    assert not loaded_by(adapter) & other
