"""What a machine mends: shown first, right afterwards, and nothing else touched."""

import ast

import pytest
from audit_projects import made_key, write
from typer.testing import CliRunner

from guard_integrations.audit import audit_mistral_security
from guard_integrations.audit.checks import CHECKS
from guard_integrations.audit.config import AuditConfig
from guard_integrations.audit.engine import audit
from guard_integrations.audit.fix import apply, fixes
from guard_integrations.audit.model import KEY
from guard_integrations.cli.app import app

PYTHON = f'''#!/usr/bin/env python
"""A bot: é."""

from __future__ import annotations

from mistralai import Mistral

client = Mistral(api_key="{KEY}")
reply = client.chat.complete(guardrails=[{{"block_on_error": False, "moderation_llm_v2": {{"action": "none"}}}}])
'''
SCRIPT = f'import {{ Mistral }} from "@mistralai/mistralai";\nconst client = new Mistral({{ apiKey: "{KEY}" }});\n'


def mended(root, *select):
    config = AuditConfig(select=select)
    changes = fixes(audit(root, config=config))
    apply(root, changes)
    return changes, audit(root, config=config)


def test_a_key_is_read_from_the_environment(tmp_path):
    root = write(tmp_path, {"bot.py": PYTHON, "bot.ts": SCRIPT})
    changes, after = mended(root, "GI003")
    assert {change.path for change in changes} == {"bot.py", "bot.ts"}
    assert not after.findings
    text = (root / "bot.py").read_text(encoding="utf-8")
    assert text.index("from __future__") < text.index("import os") < text.index("from mistralai")
    assert 'Mistral(api_key=os.environ["MISTRAL_API_KEY"])' in text
    assert ast.get_docstring(ast.parse(text)) == "A bot: é."
    assert "apiKey: process.env.MISTRAL_API_KEY" in (root / "bot.ts").read_text(encoding="utf-8")


def test_a_guardrail_is_told_to_block(tmp_path):
    root = write(tmp_path, {"bot.py": PYTHON})
    _, after = mended(root, "GI007")
    assert not after.findings
    assert '{"block_on_error": True, "moderation_llm_v2": {"action": "block"}}' in (root / "bot.py").read_text(
        encoding="utf-8"
    )


def test_the_diff_shows_no_secret(tmp_path):
    root = write(tmp_path, {"bot.py": PYTHON + f"# {KEY}\n"})
    (change,) = fixes(audit(root, config=AuditConfig(select=("GI003",))))
    assert made_key() not in change.diff
    assert made_key() not in repr(change)
    assert '-client = Mistral(api_key="********")' in change.diff
    assert '+client = Mistral(api_key=os.environ["MISTRAL_API_KEY"])' in change.diff


@pytest.mark.parametrize(
    "line",
    [
        f'x = f"{KEY}"',
        f'api_key = """{KEY}"""',
        f'mistral = "Bearer {KEY}"',
        f'api_key = b"{KEY}"',
        f"# api_key = {KEY}",
    ],
)
def test_what_is_not_plainly_a_key_is_left_to_people(tmp_path, line):
    root = write(tmp_path, {"bot.py": f"{line}\n"})
    assert not fixes(audit(root, config=AuditConfig(select=("GI003",))))


def test_line_ends_and_marks_stay(tmp_path):
    root = write(tmp_path, {"bot.py": ""})
    code = f'import os\nfrom mistralai import Mistral\nc = Mistral(api_key="{made_key()}")\n'
    (root / "bot.py").write_bytes(b"\xef\xbb\xbf" + code.replace("\n", "\r\n").encode())
    (root / "bot.py").chmod(0o755)
    mended(root, "GI003")
    raw = (root / "bot.py").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfimport os\r\nfrom")
    assert raw.count(b"\n") == raw.count(b"\r\n") == 3
    assert (root / "bot.py").stat().st_mode & 0o777 == 0o755


def test_a_file_that_has_changed_meanwhile_is_left_alone(tmp_path):
    root = write(tmp_path, {"bot.py": PYTHON})
    changes = fixes(audit(root, config=AuditConfig(select=("GI003",))))
    (root / "bot.py").write_text("x = 1\n", encoding="utf-8")
    apply(root, changes)
    assert (root / "bot.py").read_text(encoding="utf-8") == "x = 1\n"


def test_the_command_changes_nothing_unasked(tmp_path):
    root = write(tmp_path, {"bot.py": PYTHON})
    before = (root / "bot.py").read_text(encoding="utf-8")
    done = CliRunner().invoke(app, ["audit", str(root), "--fix", "--select", "GI003"])
    assert done.exit_code == 1
    assert "+client" in done.stderr
    assert (root / "bot.py").read_text(encoding="utf-8") == before
    done = CliRunner().invoke(app, ["audit", str(root), "--fix", "--yes", "--select", "GI003"])
    assert done.exit_code == 0
    assert (root / "bot.py").read_text(encoding="utf-8") != before
    done = CliRunner().invoke(app, ["audit", str(root), "--fix", "--yes", "--select", "GI003"])
    assert "Nothing of it" in done.stderr


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_mending_an_example_breaks_nothing(tmp_path, check):
    for number, example in enumerate(check.bad):
        root = write(tmp_path / str(number), example.files, repository=example.repository)
        before = audit_mistral_security(root)
        apply(root, fixes(before))
        after = audit_mistral_security(root)
        assert len(after.findings) <= len(before.findings)
        assert not after.skipped
