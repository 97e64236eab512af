"""The page that findings link to, the hook and the action say what is so."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from audit_docs import PAGE, page
from audit_projects import write
from typer.testing import CliRunner

from guard_integrations.audit.checks import CHECKS
from guard_integrations.audit.config import AuditConfig
from guard_integrations.cli.app import app

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_checks_say_of_themselves():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: .venv/bin/python tests/audit/audit_docs.py"


def test_every_link_of_a_finding_has_its_heading():
    headings = re.findall(r"^### (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for check in CHECKS:
        path, _, anchor = check.link.partition("#")
        assert ROOT / path == PAGE
        assert anchor in {heading.lower() for heading in headings}


def test_the_options_on_the_page_exist():
    text = PAGE.read_text(encoding="utf-8").partition("<!--")[0]
    done = CliRunner().invoke(app, ["audit", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    options = set(re.findall(r"--[a-z][a-z-]+", re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)))
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= options
    for name in AuditConfig.model_fields:
        assert f"{name.replace('_', '-')} = " in text


def test_the_hook_and_the_action_run_the_command():
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["entry"] == "guard-integrations audit"
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = "\n".join(step.get("run", "") for step in action["runs"]["steps"])
    assert "${{" not in steps
    options = set(re.findall(r"--[a-z][a-z-]+", steps)) - {"--quiet"}
    done = CliRunner().invoke(app, ["audit", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert options <= set(re.findall(r"--[a-z][a-z-]+", re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)))


@pytest.mark.slow
@pytest.mark.parametrize(("fail_on", "code"), [("low", 1), ("critical", 0)])
def test_the_action_writes_its_reports_and_fails_where_it_should(tmp_path, fail_on, code):
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    script = next(step["run"] for step in action["runs"]["steps"] if step.get("name") == "Audit")
    project = write(tmp_path / "a $(touch ran) project", {"app.py": "import langchain\nlangchain.debug = True\n"})
    program = tmp_path / "guard-integrations" / "bin" / "guard-integrations"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m guard_integrations "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    summary, sarif = tmp_path / "summary.md", tmp_path / "audit.sarif"
    environment = {
        "RUNNER_TEMP": tmp_path, "GITHUB_STEP_SUMMARY": summary, "AUDIT_PATH": project, "FAIL_ON": fail_on,
        "SARIF_FILE": sarif, "HISTORY": "false",
    }  # fmt: skip
    done = subprocess.run(  # noqa: S603 - the action's own script
        ["bash", "-e", "-o", "pipefail", "-c", script],  # noqa: S607 - as the runner does
        cwd=tmp_path, check=False, capture_output=True, text=True,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "# Security audit" in summary.read_text(encoding="utf-8")
    assert json.loads(sarif.read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert not (tmp_path / "ran").exists()
