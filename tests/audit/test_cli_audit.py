"""The command: exit codes, options, where output goes."""

import json

import pytest
from audit_projects import made_key, write
from typer.testing import CliRunner

from guard_integrations.audit.model import KEY
from guard_integrations.cli.app import app

BAD = {"app.py": f'client = Mistral(api_key="{KEY}")\n'}


def run(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def test_exit_codes(tmp_path):
    assert run(write(tmp_path / "good", {"app.py": "x = 1\n"})).exit_code == 0
    bad = write(tmp_path / "bad", BAD)
    assert run(bad).exit_code == 1
    assert run(bad, "--ignore", "GI003", "--select", "GI003", "--select", "GI007").exit_code == 0
    assert run(tmp_path / "nowhere").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty").exit_code == 2
    assert run(bad, "--select", "GI999").exit_code == 2
    assert run(bad, "--format", "xml").exit_code == 2
    assert run(bad, "--output", tmp_path / "no" / "such" / "folder").exit_code == 2
    assert run(bad, "--baseline", tmp_path / "nowhere.json").exit_code == 2
    write(bad, {"pyproject.toml": "[tool.guard-integrations.audit]\nfail_never = true\n"})
    assert run(bad).exit_code == 2


def test_fail_on_counts_from_a_severity(tmp_path):
    guardrail = (
        'client.chat.complete(guardrails=[{"block_on_error": False, "moderation_llm_v2": {"action": "block"}}])\n'
    )
    root = write(tmp_path, {"app.py": guardrail})
    assert run(root, "--select", "GI007", "--fail-on", "high").exit_code == 1
    assert run(root, "--select", "GI007", "--fail-on", "critical").exit_code == 0


def test_the_report_goes_to_stdout_and_the_rest_to_stderr(tmp_path):
    done = run(write(tmp_path, BAD), "--format", "json")
    assert json.loads(done.stdout)["findings"]
    done = run(tmp_path / "nowhere")
    assert not done.stdout
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_is_written_to_a_file(tmp_path):
    target = tmp_path / "report.html"
    done = run(write(tmp_path / "project", BAD), "-f", "html", "-o", target)
    assert done.exit_code == 1
    assert not done.stdout
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_baseline_leaves_out_what_is_known_and_no_more(tmp_path):
    root, known = write(tmp_path / "project", BAD), tmp_path / "known.json"
    assert run(root, "--write-baseline").exit_code == 2
    assert run(root, "--baseline", known, "--write-baseline").exit_code == 0
    assert made_key() not in known.read_text(encoding="utf-8")
    done = run(root, "--baseline", known)
    assert done.exit_code == 0
    assert "known by the baseline" in done.stdout
    text = (root / "app.py").read_text(encoding="utf-8")
    (root / "app.py").write_text(f"\n\n# moved\n{text}", encoding="utf-8")
    assert run(root, "--baseline", known).exit_code == 0
    (root / "app.py").write_text(text + text, encoding="utf-8")  # once more is new
    assert run(root, "--baseline", known).exit_code == 1
    known.write_text('{"version": 2}', encoding="utf-8")
    assert run(root, "--baseline", known).exit_code == 2


def test_files_and_exclusions_narrow_the_audit(tmp_path):
    root = write(tmp_path, {"a.py": BAD["app.py"], "b.py": "x = 1\n", "sub/c.py": BAD["app.py"]})
    assert run(root / "b.py").exit_code == 0
    assert run(root / "b.py", root / "a.py").exit_code == 1
    assert run(root, "--exclude", "a.py").exit_code == 1
    assert run(root, "--exclude", "a.py", "--exclude", "sub/").exit_code == 0
    assert run(root, "--exclude", "*").exit_code == 2


def test_the_project_says_how_it_is_audited(tmp_path):
    root = write(tmp_path, BAD)
    for table, code in (
        ('ignore = ["GI003"]', 0),
        ('ignore = ["hard-coded-key"]', 0),
        ('exclude = ["*.py"]', 0),
        ('select = ["GI007"]', 0),
        ('fail-on = "critical"', 1),
    ):
        write(root, {"pyproject.toml": f"[tool.guard-integrations.audit]\n{table}\n"})
        assert run(root).exit_code == code, table


@pytest.mark.parametrize(
    "line",
    [
        'client = Mistral(api_key="KEY")  # guard: ignore[GI003] sample',
        '# guard: ignore[GI007, GI003]\nclient = Mistral(api_key="KEY")',
    ],
)
def test_a_comment_suppresses_its_checks_alone(tmp_path, line):
    root = write(tmp_path, {"app.py": line.replace("KEY", KEY)})
    assert run(root).exit_code == 0
    write(root, {"app.py": line.replace("KEY", KEY).replace("GI003", "GI004")})
    assert run(root).exit_code == 1
    write(root, {"app.py": f'x = 1  # guard: ignore[GI003]\nclient = Mistral(api_key="{KEY}")'})
    assert run(root).exit_code == 1
