"""Files of every format, cut into units, on any number of workers."""

import io
import json
import os
import signal
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from scan_samples import ATTACK, EMAIL, PROSE, texts, write_all

from guard_integrations import GuardPolicy, GuardUnavailable
from guard_integrations.scan import FINDINGS, Scanner, units
from guard_integrations.scan.files import Unreadable, discover
from guard_integrations.scan.local import run_local
from guard_integrations.scan.run import scan
from guard_integrations.scan.work import Result, Work

WORK = Work(scanner=Scanner(GuardPolicy(disabled_rules={"injection-model"})))
ROWS = [PROSE, f"{ATTACK}\nWrite to\n\n{EMAIL}", "", "é" * 30 + EMAIL, 'quoted "text"\r\nwith ' + EMAIL, PROSE]


class Kept:
    def __init__(self):
        self.tables = [FINDINGS.empty_table()]

    def take(self, part):
        self.tables.append(part.findings)

    def finish(self, totals):
        self.rows = pa.concat_tables(self.tables).to_pylist()


def scanned(paths, *, work=WORK, workers=1, column=None, read_as=None):
    kept = Kept()
    files = discover(map(str, paths), read_as)
    totals = scan(files, lambda each: run_local(each, work, workers), [kept], column=column)
    return kept.rows, totals


@pytest.mark.parametrize("size", [1, 7, 64, 4 << 20])
def test_the_same_rows_are_found_in_every_format_however_it_is_cut(tmp_path, monkeypatch, size):
    monkeypatch.setattr(units, "UNIT", size)
    write_all(tmp_path, ROWS)
    rows, totals = scanned([tmp_path])
    expected = [
        (at, one.rule, one.start, one.end) for at, row in enumerate(ROWS) for one in WORK.scanner.text.findings(row)
    ]
    for name in ("a.jsonl", "b.csv", "c.parquet"):
        mine = [row for row in rows if row["path"].endswith(name)]
        assert [(row["row"], row["rule"], row["start"], row["end"]) for row in mine] == expected
        assert [row["line"] for row in mine] == [at + 1 if name == "a.jsonl" else None for at, *_ in expected]
    assert (totals.files, totals.rows, totals.broken, totals.problems) == (3, 3 * len(ROWS), 0, [])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(texts, max_size=12).map("\n".join), size=st.integers(1, 400))
def test_a_text_is_one_row_however_it_is_cut(tmp_path, text, size):
    file = tmp_path / "a.txt"
    file.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "UNIT", size)
        kept, totals = scanned([file])
        joined = "".join(unit_text(unit) for each in discover([str(file)]) for unit in units.units_of(each))
    assert joined == text
    for row in kept:
        assert row["row"] == 0
        assert row["line"] == 1 + text.count("\n", 0, row["start"])
        if row["rule"] == "email":
            assert text[row["start"] : row["end"]] == EMAIL
    assert totals.rows == bool(text)


def unit_text(unit):
    return Path(unit.file.path).read_bytes()[unit.begin : unit.end].decode()


class Dying:
    """Kills the worker that first meets a file's second unit."""

    def __init__(self, marker, deaths=1):
        self.marker, self.deaths = marker, deaths

    def __call__(self, unit):
        died = len(list(self.marker.parent.glob("died-*")))
        if unit.begin and died < self.deaths:
            (self.marker.parent / f"died-{died}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return WORK(unit)


@pytest.mark.slow
def test_two_workers_find_what_one_finds_also_when_one_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(units, "UNIT", 400)
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_all(folder, ROWS * 8)
    (folder / "d.md").write_text("\n".join(ROWS * 8), encoding="utf-8")
    assert scanned([folder], work=Dying(tmp_path / "x"), workers=2) == scanned([folder])
    assert list(tmp_path.glob("died-*"))


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_the_scan(tmp_path, monkeypatch):
    monkeypatch.setattr(units, "UNIT", 400)
    monkeypatch.setattr("guard_integrations.scan.local._MOST_DEATHS", 0)
    write_all(tmp_path, ROWS * 8)
    with pytest.raises(GuardUnavailable, match="fewer workers"):
        scanned([tmp_path / "a.jsonl"], work=Dying(tmp_path / "x", deaths=99), workers=2)


def test_broken_rows_are_counted_and_the_rest_is_scanned(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        b'{"text": "%s"}\nnot json\n[1]\n{"text": 7}\n{"text": null}\n\n{"text": "\\ud800 %s"}'
        % (EMAIL.encode(), EMAIL.encode())
    )
    (tmp_path / "b.csv").write_text(f"id;text\n1;{EMAIL}\n2\n3;{EMAIL}\n", encoding="utf-8")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe " + EMAIL.encode())
    rows, totals = scanned([tmp_path])
    assert [(row["path"][-5:], row["row"], row["start"]) for row in rows] == [
        ("jsonl", 0, 0),
        ("jsonl", 6, 2),
        ("b.csv", 0, 0),
        ("b.csv", 2, 0),
        ("c.txt", 0, 3),
    ]
    assert totals.broken == 3 + 1 + 1


def test_a_file_that_cannot_be_read_is_said_and_the_rest_is_scanned(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    parquet.write_table(pa.table({"n": [1]}), tmp_path / "b.parquet")
    (tmp_path / "c.jsonl").write_text('{"n": 1}\n')
    (tmp_path / "d.txt").write_text(EMAIL)
    rows, totals = scanned([tmp_path])
    assert len(rows) == 1
    assert [problem.partition(": ")[0].rpartition("/")[2] for problem in totals.problems] == [
        "a.parquet",
        "b.parquet",
        "c.jsonl",
    ]
    with pytest.raises(Unreadable, match="nothing there"):
        list(discover([str(tmp_path / "none")]))


def test_the_column_is_found_or_named(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"note": EMAIL, "Body": "none", "long": PROSE}) + "\n")
    assert scanned([file])[0] == []
    assert len(scanned([file], column="note")[0]) == 1
    (tmp_path / "b.csv").write_text(f"note,x\n{EMAIL},y\n")
    assert len(scanned([tmp_path / "b.csv"])[0]) == 1


def test_folders_give_what_can_be_read_and_is_not_hidden(tmp_path):
    for name in ("b.txt", "a.md", ".hidden.txt", "image.png", "deep/er/c.html", ".git/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    passed_over = []
    assert [(file.name, file.format) for file in discover([str(tmp_path)], passed_over=passed_over)] == [
        ("a.md", "markdown"),
        ("b.txt", "text"),
        ("deep/er/c.html", "html"),
    ]
    assert passed_over == [str(tmp_path / "image.png")]
    assert [file.format for file in discover([str(tmp_path / "image.png")])] == ["text"]


@pytest.mark.parametrize("kind", ["text", "jsonl", "csv"])
def test_standard_input_is_read_as_a_file_is(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(units, "UNIT", 64)
    write_all(tmp_path, ROWS)
    file = tmp_path / {"text": "a.jsonl", "jsonl": "a.jsonl", "csv": "b.csv"}[kind]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    expected = [{**row, "path": "-"} for row in scanned([file], read_as=kind)[0]]
    assert expected
    assert scanned(["-"], read_as=kind)[0] == expected


def test_a_result_survives_being_stored():
    result = Result(findings=FINDINGS.empty_table(), excerpts=FINDINGS.empty_table(), rows=3, clean=b"x")
    assert Result.of(result.stored().to_pylist()[0]) == result
