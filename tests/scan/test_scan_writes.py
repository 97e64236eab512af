"""Cleaned copies, resuming, and the report that shows texts."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markup.browser import chromium
from pyarrow import parquet
from scan_samples import ATTACK, EMAIL, PROSE, write_all
from typer.testing import CliRunner

from guard_integrations import GuardUnavailable
from guard_integrations.cli.app import app
from guard_integrations.scan import units

RUN = CliRunner()
ROWS = [PROSE, f"{ATTACK}\nWrite to\n\n{EMAIL}", "", 'quoted "text"\nwith ' + EMAIL, "<script>x</script>", PROSE]


def run(*arguments, code=1, **more):
    done = RUN.invoke(app, ["scan", "--workers", "1", "--rules-only", *map(str, arguments)], **more)
    assert done.exit_code == code, (done.output, done.exception)
    return done


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_all(folder, ROWS)
    (folder / "d.md").write_text("\n".join(ROWS), encoding="utf-8")
    return folder


@pytest.mark.parametrize("size", [7, 4 << 20])
def test_a_cleaned_copy_is_the_same_with_clean_texts(corpus, tmp_path, monkeypatch, size):
    monkeypatch.setattr(units, "UNIT", size)
    with (corpus / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write("broken " + EMAIL + "\n")
    run(corpus, "--redact", tmp_path / "clean")
    clean = tmp_path / "clean"
    assert sorted(path.name for path in clean.iterdir()) == ["a.jsonl", "b.csv", "c.parquet", "d.md"]
    lines = [json.loads(line) for line in (clean / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    with (clean / "b.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    table = parquet.read_table(clean / "c.parquet")
    assert table.schema.equals(parquet.read_table(corpus / "c.parquet").schema)
    for rows in (lines, records, table.to_pylist()):
        assert [int(row["id"]) for row in rows] == list(range(len(ROWS)))
        for row, original in zip(rows, ROWS, strict=True):
            assert (row["text"] == original) == (original in {PROSE, ""})
    everything = b"".join(path.read_bytes() for path in clean.iterdir())
    assert not any(content in everything for content in (EMAIL.encode(), b"Ignore all previous", b"<script"))
    run(clean, code=0)


def test_one_file_is_copied_to_one_file(corpus, tmp_path):
    run(corpus / "d.md", "--redact", tmp_path / "clean.md")
    assert EMAIL not in (tmp_path / "clean.md").read_text(encoding="utf-8")
    run("-", "--redact", tmp_path / "in.txt", input=f"Write to {EMAIL}.")
    assert (tmp_path / "in.txt").read_text(encoding="utf-8") == "Write to [EMAIL]."


def test_no_copy_takes_the_place_of_an_original_or_of_another_copy(corpus, tmp_path):
    before = (corpus / "d.md").read_bytes()
    assert "original" in run(corpus / "d.md", "--redact", corpus / "d.md", code=2).stderr
    assert "original" in run(corpus, "--redact", corpus, code=2).stderr
    assert (corpus / "d.md").read_bytes() == before
    (tmp_path / "d.md").write_text("x")
    assert "one name" in run(corpus / "d.md", tmp_path / "d.md", "--redact", tmp_path / "out", code=2).stderr


def test_a_file_that_cannot_be_read_gets_no_copy(tmp_path):
    good = pa.table({"text": [EMAIL] * 4_000})
    parquet.write_table(good, tmp_path / "a.parquet", row_group_size=2_000, compression="none", use_dictionary=False)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 4000] = b"\xff" * 4_000
    (tmp_path / "a.parquet").write_bytes(data)
    run(tmp_path / "a.parquet", "--redact", tmp_path / "out.parquet", code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_hashes_need_a_key_that_all_workers_share(corpus, tmp_path, monkeypatch):
    policy = tmp_path / "policy.toml"
    policy.write_text('strategies.pii = "hash"')
    monkeypatch.delenv("GUARD_INTEGRATIONS_HASH_KEY", raising=False)
    arguments = (corpus / "d.md", "--policy", policy, "--redact", tmp_path / "clean.md")
    assert "GUARD_INTEGRATIONS_HASH_KEY" in run(*arguments, code=2).stderr
    monkeypatch.setenv("GUARD_INTEGRATIONS_HASH_KEY", "k" * 16)
    run(*arguments)
    assert re.search(r"\[EMAIL_[a-z]{16}\]", (tmp_path / "clean.md").read_text(encoding="utf-8"))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(0, 12), min_size=1, max_size=3))
def test_a_scan_that_is_broken_off_goes_on_where_it_was(corpus, tmp_path_factory, stops):
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "UNIT", 200)
        run(corpus, "--output", out / "whole.jsonl", "--redact", out / "whole")
        resumed = (corpus, "--output", out / "parts.jsonl", "--redact", out / "parts", "--resume", out / "state")
        done = 0
        for stop in stops:
            with pytest.MonkeyPatch.context() as dying:
                dying.setattr("guard_integrations.scan.local.map", _dies_after(stop), raising=False)
                run(*resumed, code=2)
            assert not (out / "parts.jsonl").exists()
            kept = len(list((out / "state").glob("*.arrow")))
            assert done <= kept <= done + stop
            done = kept
        run(*resumed)
    assert (out / "parts.jsonl").read_bytes() == (out / "whole.jsonl").read_bytes()
    for path in (out / "whole").iterdir():
        assert (out / "parts" / path.name).read_bytes() == path.read_bytes()
    assert not (out / "state").exists()


def _dies_after(count):
    def dying(work, each):
        for number, unit in enumerate(each):
            if number == count:
                break
            yield work(unit)
        raise GuardUnavailable("scan", "killed")

    return dying


def test_a_folder_of_another_scan_is_refused(corpus, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "scan.key").write_text("other")
    assert "another scan" in run(corpus, "--resume", state, code=2).stderr
    (state / "scan.key").rename(state / "x")
    assert "not empty" in run(corpus, "--resume", state, code=2).stderr
    assert "standard input" in run("-", "--resume", tmp_path / "new", input="x", code=2).stderr


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.marked, self._open = [], "", [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag == "mark"
        if self._open:
            self.marked.append("")

    def handle_endtag(self, tag):
        self._open = self._open and tag != "mark"

    def handle_data(self, data):
        self.text += data
        if self._open:
            self.marked[-1] += data


HOSTILE = f'{EMAIL} <script>alert(1)</script><img src=x onerror=alert(1)> "\u202egnp.exe'


def test_the_report_shows_what_was_found_and_runs_nothing(tmp_path):
    name = '"><img src=x onerror=alert(1)>.txt'.replace("/", "_")
    (tmp_path / name).write_text(f"{PROSE}\n{ATTACK}\n{HOSTILE}\n{EMAIL}", encoding="utf-8")
    run(tmp_path / name, "--output", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    names = {tag for tag, _ in reader.tags}
    assert not names & {"script", "img", "iframe", "link", "a", "form"}
    assert not [attribute for _, attributes in reader.tags for attribute in attributes if attribute.startswith("on")]
    policy = next(attributes["content"] for tag, attributes in reader.tags if "http-equiv" in attributes)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert {EMAIL, "<script>alert(1)</script>"} <= set(reader.marked)
    assert "\u202e" not in page
    assert "This report shows text of the files" in reader.text
    assert "By category" in reader.text


@pytest.mark.slow
def test_a_browser_shows_the_report_and_runs_nothing(tmp_path):
    (tmp_path / "a.html").write_text(HOSTILE + "<script>document.title='ran'</script>", encoding="utf-8")
    run(tmp_path / "a.html", "--output", tmp_path / "r.html")
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}"]
    shown = subprocess.run(  # noqa: S603 - the browser, with our own flags
        [*command, "--dump-dom", f"file://{tmp_path / 'r.html'}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "<title>Scan report</title>" in shown.stdout
    assert "<mark" in shown.stdout


@pytest.mark.slow
def test_a_scan_that_is_killed_goes_on_where_it_was(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    rows = [PROSE * 5 + (EMAIL if at % 50 == 0 else "") for at in range(12_000)]
    write_all(corpus, rows)

    def command(name, *more):
        return [sys.executable, "-m", "guard_integrations", "scan", "--rules-only", "--workers", "2", str(corpus),
                "--output", str(tmp_path / name), *more]  # fmt: skip

    state = tmp_path / "state"
    first = subprocess.Popen(  # noqa: S603 - our own program
        command("parts.jsonl", "--resume", str(state)), start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(state.glob("*.arrow"))) < 2 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    kept = len(list(state.glob("*.arrow")))
    assert kept >= 2
    assert not (tmp_path / "parts.jsonl").exists()
    for arguments in (command("parts.jsonl", "--resume", str(state)), command("whole.jsonl")):
        assert subprocess.run(arguments, check=False, capture_output=True).returncode == 1  # noqa: S603 - as above
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
