import json
import logging
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from guard_integrations import KeyRing, RedisRingState
from guard_integrations.cli.app import app

CANARY = "canary" + "0123456789abcdef"


def run(*arguments):
    done = CliRunner().invoke(app, ["keys", *arguments], env={"COLUMNS": "80"})
    assert "canary" not in done.output
    return done


@pytest.fixture
def keys(mistral_server, monkeypatch):
    """Five keys, each in another state."""
    mistral_server.keys.clear()
    states = ["valid", "revoked", "rate_limited", "forbidden", "out_of_quota"]
    secrets = [mistral_server.keys.add(f"{CANARY}{state}", state=state) for state in states]
    monkeypatch.setenv("MISTRAL_API_KEYS", ",".join([*secrets, f"{CANARY}unknown"]))
    monkeypatch.setenv("MISTRAL_BASE_URL", mistral_server.base_url)
    return secrets


def test_check_says_which_keys_work(keys):
    done = run("check", "--json")
    assert done.exit_code == 1
    assert [(each["label"], each["status"], each["works"]) for each in json.loads(done.stdout)["keys"]] == [
        ("key-1", 200, True),
        ("key-2", 401, False),
        ("key-3", 429, False),
        ("key-4", 403, False),
        ("key-5", 401, False),
        ("key-6", 401, False),
    ]
    assert "key-2" in run("check").stdout


def test_check_is_content_when_all_work(keys, monkeypatch, tmp_path):
    (tmp_path / "keys").write_text(keys[0])
    assert run("check", "--file", str(tmp_path / "keys")).exit_code == 0
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_text(f"MISTRAL_API_KEY={keys[0]}")
    assert run("check", "--env-file", str(tmp_path / ".env")).exit_code == 0


def test_check_cannot_run_without_a_key_or_an_answer(monkeypatch, tmp_path, caplog):
    missing = run("check")
    assert missing.exit_code == 2
    assert "MISTRAL_API_KEY" in missing.stderr
    assert run("check", "--file", str(tmp_path / "none")).exit_code == 2
    monkeypatch.setenv("MISTRAL_API_KEY", CANARY)
    with caplog.at_level(logging.DEBUG):
        silent = run("check", "--base-url", "http://127.0.0.1:9/v1")
    assert silent.exit_code == 2
    assert "ConnectError" in silent.stdout
    assert CANARY not in caplog.text


@pytest.mark.slow
def test_status_shows_what_others_learned(keys, redis_server):
    state = RedisRingState(redis_server.url)
    ring = KeyRing.from_env(shared=state)
    assert run("status", "--redis", redis_server.url).exit_code == 0
    ring.report_auth_failure(ring.lease())
    ring.report_rate_limit(ring.lease(), 100)
    assert state.sync()
    done = run("status", "--redis", redis_server.url, "--json")
    assert done.exit_code == 1
    assert [each["state"] for each in json.loads(done.stdout)["keys"]][:3] == ["cooling", "cooling", "healthy"]
    assert "cooling" in run("status", "--redis", redis_server.url).stdout
    state.close()


@pytest.mark.slow
def test_status_says_when_redis_is_not_there(keys):
    pytest.importorskip("redis", reason="the extra `redis` is not installed; make check installs it")
    for url in ("redis://127.0.0.1:9/0", "not a url"):
        done = run("status", "--redis", url)
        assert done.exit_code == 2
        assert "Redis" in done.stderr


def test_without_the_extra_the_program_names_it():
    code = "import sys; sys.modules['typer'] = None; from guard_integrations.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    assert done.returncode == 2
    assert "guard-integrations[cli]" in done.stderr
    assert done.stdout == ""
