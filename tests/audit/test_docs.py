"""The page that findings link to, the hook and the action say what is so."""

import re
from pathlib import Path

import yaml
from audit_docs import PAGE, page
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
