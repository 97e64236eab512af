"""`guard-integrations logs`: the right sums, whatever the file is, and nothing on the screen that was not validated."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from guard_integrations import Action, RequestRecord
from guard_integrations.cli.app import app
from guard_integrations.cli.logs import command
from guard_integrations.cli.logs.reading import follow
from guard_integrations.cli.logs.tally import Tally, percentile
from guard_integrations.core.events import EventKind, GuardEvent
from guard_integrations.core.records import FinishReason, Framework, Operation
from guard_integrations.telemetry import JsonlSink
from guard_integrations.telemetry.lines import parse_line

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EVIL = "\x1b]0;owned\x07\x1b[2J canary-77 [red]x[/red] :bomb:"


def chat(number=0, **fields):
    known = {
        "model": "mistral-small-2603", "input_tokens": 100, "output_tokens": 10, "duration": 0.1 * (number + 1),
        "key": "key-1", "retries": 0, "finish_reason": FinishReason.STOP, "status": 200,
    }  # fmt: skip
    return RequestRecord(
        framework=Framework.LANGCHAIN, operation=Operation.CHAT, at=BEGIN + timedelta(seconds=number), run=uuid4(),
        **{**known, **fields},
    )  # fmt: skip


def items():
    yield from (chat(number) for number in range(10))
    yield chat(10, findings={"override-instructions": {Action.BLOCK: 1}}, error="GuardBlocked", status=None)
    yield chat(11, findings={"email": {Action.FILTER: 3}}, key="key-2", retries=2, moderation=("sexual",))
    yield chat(12, error="HTTPStatusError", status=503, key="key-2")
    yield RequestRecord(framework=Framework.LLAMA_INDEX, operation=Operation.RETRIEVAL, at=BEGIN, duration=0.2)
    yield GuardEvent(kind=EventKind.SCANNED, rules={"email": 3}, action=Action.FILTER)
    yield GuardEvent(kind=EventKind.RECORDS_DROPPED, count=7)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "guard.jsonl"
    sink = JsonlSink(path)
    for item in items():
        sink(item)
    sink.close()
    return path


def run(*arguments, width=80):
    return CliRunner().invoke(app, ["logs", *map(str, arguments)], env={"COLUMNS": str(width), "TERM": "dumb"})


def test_the_sums(log):
    said = json.loads(run(log, "--json").stdout)
    assert (said["requests"], said["blocked"], said["failed"]) == (13, 1, 1)
    assert said["tokens"] == {"input": 1300, "output": 130}
    assert said["duration"] == {"p50": pytest.approx(0.7), "p95": pytest.approx(1.3), "p99": pytest.approx(1.3)}
    assert said["rules"] == {"email": {"filter": 3}, "override-instructions": {"block": 1}}, "events count once"
    assert said["keys"]["key-2"] == {"requests": 2, "retries": 2}
    assert {"error": "HTTPStatusError", "status": 503, "count": 1} in said["errors"]
    assert said["moderation"] == {"sexual": 1}
    assert said["operations"] == {"chat": 13, "retrieval": 1}
    assert (said["lines"], said["broken"], said["dropped"]) == (16, 0, 7)


def test_a_table_fits_into_eighty_columns(log):
    done = run(log)
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    for word in ("13, 1 blocked, 1 failed", "override-instructions", "key-2", "HTTPStatusError", "503", "p95 1.30 s"):
        assert word in done.stdout


def test_findings_are_those_of_events_where_there_are_no_records():
    tally = Tally()
    tally.add(json.dumps(GuardEvent(kind=EventKind.SCANNED, rules={"email": 3}, action=Action.FILTER).as_dict()))
    assert tally.as_dict()["rules"] == {"email": {"filter": 3}}


def test_broken_lines_are_counted_and_not_shown(log):
    line = chat().as_dict()
    evil = [
        EVIL, "{", "[]", "null", "{}", '{"kind": 1}', "\x00", "[" * 100_000, '{"kind": "scanned", "at": NaN}', "9" * 5000,
        *(json.dumps({**line, name: EVIL}) for name in [*line, "prompt"]),
        json.dumps({**line, "duration": "1e999"}), json.dumps({**line, "findings": {EVIL: {"block": 1}}}),
        json.dumps({**line, "findings": {"email": {EVIL: 1}}}), json.dumps({**line, "model": "x" * 70_000}),
    ]  # fmt: skip
    with log.open("ab") as file:
        file.write("\n".join(evil).encode() + b"\n\xff\xfe\n")
    before = len(list(items()))
    done = run(log)
    assert done.exit_code == 0
    assert "canary" not in done.output
    assert "\x1b" not in done.output
    said = json.loads(run(log, "--json").stdout)
    assert said["lines"] - said["broken"] == before
    # A line that is too long is more than one.
    assert said["broken"] >= len(evil) + 1
    assert "canary" not in json.dumps(said)


@given(st.text() | st.binary().map(lambda data: data.decode(errors="replace")))
def test_no_line_is_fatal(text):
    tally = Tally()
    tally.add(text)
    assert tally.broken == tally.lines


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    st.sampled_from(sorted(chat().as_dict())),
)
def test_no_value_is_fatal_and_what_is_read_is_what_is_valid(value, name):
    line = {**chat().as_dict(), name: value}
    tally = Tally()
    tally.add(json.dumps(line))
    assert tally.lines == 1
    if not tally.broken and value is not None:
        shown = parse_line(json.dumps(line)).as_dict()
        assert set(shown) <= set(line)


@pytest.mark.parametrize("item", list(items()), ids=lambda item: type(item).__name__)
def test_what_is_written_is_read_back(item):
    again = parse_line(f"INFO guard_integrations: {json.dumps(item.as_dict())}\n")
    assert again.as_dict() == item.as_dict()


def test_names_are_neither_colours_nor_pictures(tmp_path):
    path = tmp_path / "guard.jsonl"
    sink = JsonlSink(path)
    sink(chat(model="ft:bomb:x"))
    sink.close()
    assert "ft:bomb:x" in run(path).stdout


def test_percentiles_are_by_the_nearest_rank():
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.99) == 3.0


def test_an_empty_log_is_no_error(tmp_path):
    (tmp_path / "empty").touch()
    done = run(tmp_path / "empty")
    assert done.exit_code == 0
    assert "0, 0 blocked" in done.stdout


@pytest.mark.parametrize("arguments", [("nowhere",), ("--follow", "a", "b"), ("--follow", "--json", "a")])
def test_what_cannot_be_read_is_said(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments).exit_code == 2


def test_what_comes_is_followed_through_rotation(tmp_path):
    path = tmp_path / "guard.jsonl"
    path.write_text("one\ntw")
    waited = []

    def wait(_):
        waited.append(1)
        match len(waited):
            case 1:
                with path.open("a") as file:
                    file.write("o\n")
            case 2:
                with path.open("a") as file:
                    file.write("three\n")
                path.rename(tmp_path / "guard.jsonl.1")
                path.write_text("four\n")
            case 3:
                path.write_text("")
                path.write_text("5\n")

    seen = []
    for line in follow(path, wait=wait):
        if line is not None:
            seen.append(line.strip())
        if len(waited) > 4:
            break
    assert seen == ["one", "two", "three", "four", "5"]


def test_follow_ends_with_a_summary(log, monkeypatch):
    looks = []

    def wait(_):
        looks.append(1)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(command, "follow", partial(follow, wait=wait))
    done = run(log, "--follow")
    assert done.exit_code == 0
    assert "13, 1 blocked, 1 failed" in done.stdout


@pytest.mark.slow
def test_the_plots_are_written(log, tmp_path):
    assert run(log, "--plot", tmp_path / "plots").exit_code == 0
    assert (tmp_path / "plots" / "logs.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "override-instructions" in (tmp_path / "plots" / "logs.html").read_text(encoding="utf-8")
