"""The pytest plugin and the extra it needs, as a user has them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import urllib.request

def test_it_answers(mistral_server):
    request = urllib.request.Request(mistral_server.base_url + "/models", headers={"Authorization": f"Bearer {mistral_server.key}"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    assert mistral_server.requests[0].path == "/v1/models"
"""


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_fixture_is_there_and_naming_its_plugin_does_no_harm(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["guard_integrations.testing.pytest_plugin"]')
    (tmp_path / "test_user.py").write_text(TEST)
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_loads_no_server_and_no_framework():
    code = "import sys, guard_integrations.testing.pytest_plugin; print(*sys.modules)"
    loaded = set(python("-c", code).stdout.split())
    assert "guard_integrations.testing.pytest_plugin" in loaded
    assert not loaded & {"starlette", "uvicorn", "httpx", "langchain_core", "llama_index", "mistralai"}


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_the_error_names_it(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import guard_integrations.testing as t; t.MistralServer().start()"
    failed = python("-c", code)
    assert failed.stderr.strip().endswith(
        f"MistralServer needs {missing}: install it with pip install 'guard-integrations[testing]'."
    )
    assert "During handling" not in failed.stderr
