"""Whatever lies in a project, the audit ends and says what it left out."""

import json
import os
import string
import subprocess

import pytest
from audit_projects import made_key, write
from hypothesis import given
from hypothesis import strategies as st

from guard_integrations import audit_mistral_security
from guard_integrations.audit import engine
from guard_integrations.audit.formats import FORMATS
from guard_integrations.audit.formats.text import to_text
from guard_integrations.audit.model import KEY, Language
from guard_integrations.audit.reading import read
from guard_integrations.audit.walk import language_of

LEAK = f'api_key = "{KEY}"\n'


def reasons(report):
    return {skipped.path: skipped.reason for skipped in report.skipped}


def test_odd_files_are_told_and_the_others_audited(tmp_path):
    deep = 50_000
    root = write(tmp_path, {
        "good.py": LEAK,
        "broken.py": "def f(:\n" + LEAK,
        "broken.yaml": "a: [\n",
        "broken.toml": "a = \n",
        "broken.ts": "const = ((;\n",
        "deep.py": "(" * deep + ")" * deep,
        "minus.py": "x = " + "-" * deep + "1",
        "deep.ts": "(" * deep + ")" * deep,
        "deep.json": "[" * deep + "]" * deep,
        "deep.yaml": "[" * 2_000 + "]" * 2_000,
        "not.ipynb": "{}",
        "cut.ipynb": '{"cells": [',
        "odd.ipynb": json.dumps({"cells": [1, {"cell_type": "code", "source": 3, "outputs": [4, {"data": 5}]}]}),
    })  # fmt: skip
    (root / "binary.py").write_bytes(b"\0\1\2")
    (root / "latin.py").write_bytes("x = 'é'\n".encode("latin-1"))
    (root / "cookie.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    (root / "nocookie.py").write_bytes(b"# coding: klingon\n")
    with (root / "big.py").open("wb") as big:
        big.truncate(50_000_000)
    (root / "link.py").symlink_to("good.py")
    (root / "loop").symlink_to(".")
    (root / "dangling.py").symlink_to("nowhere.py")
    os.mkfifo(root / "pipe.py")
    report = audit_mistral_security(root)
    found = {finding.path for finding in report.findings if finding.check == "GI003"}
    assert found == {"good.py", "broken.py"}
    said = reasons(report)
    for name in ("broken.py", "broken.ts", "cut.ipynb", "deep.py", "minus.py"):
        assert "does not parse" in said[name], name
    for name, reason in {
        "broken.yaml": "is not YAML", "broken.toml": "is not TOML", "not.ipynb": "is not a notebook", "binary.py": "is binary",
        "latin.py": "is not UTF-8", "nocookie.py": "is not UTF-8", "big.py": "larger than 10 MB", "link.py": "symbolic link",
        "dangling.py": "symbolic link", "pipe.py": "not a plain file",
    }.items():  # fmt: skip
        assert reason in said[name], name
    assert not {"cookie.py", "good.py", "odd.ipynb"} & set(said)


@pytest.mark.parametrize("repository", [True, False])
def test_what_is_ignored_is_left_alone(tmp_path, repository):
    root = write(
        tmp_path,
        {
            ".gitignore": "secret/\n*.log.py\n!keep.log.py\n.env\n",
            "sub/.gitignore": "/only_here.py\n",
            "secret/a.py": LEAK,
            "b.log.py": LEAK,
            "keep.log.py": LEAK,
            "sub/only_here.py": LEAK,
            "sub/deep/only_here.py": LEAK,
            "node_modules/x.js": LEAK,
        },
        repository=repository,
    )
    if repository:
        subprocess.run(["git", "-C", str(root), "rm", "-rq", "--cached", "node_modules"], check=True)  # noqa: S603, S607 - git
        write(root, {".git/info/exclude": "node_modules\n"})
    report = audit_mistral_security(root)
    assert {each.path for each in report.findings} == {"keep.log.py", "sub/deep/only_here.py"}


def test_a_repository_runs_nothing(tmp_path):
    root = write(tmp_path, {"a.py": "x = 1\n", "run.sh": "#!/bin/sh\ntouch ran\n"}, repository=True)
    (root / "run.sh").chmod(0o755)
    for setting in ("core.fsmonitor", "diff.external", "core.pager"):
        subprocess.run(["git", "-C", str(root), "config", setting, str(root / "run.sh")], check=True)  # noqa: S603, S607 - git
    audit_mistral_security(root)
    assert not (root / "ran").exists()


def test_a_notebook_is_read_in_code_and_output(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# Keys\n", f"MISTRAL_API_KEY={KEY}\n"]},
        {"cell_type": "code", "source": ["%pip install mistralai\n", "x = 1\n"], "outputs": []},
        {"cell_type": "code", "source": f'!ls\napi_key = "{KEY}"', "outputs": [
            {"output_type": "stream", "text": ["ok\n", f"Authorization: Bearer {KEY}\n"]},
        ]},
    ]  # fmt: skip
    root = write(tmp_path, {"n.ipynb": json.dumps({"nbformat": 4, "cells": cells}, indent=1)})
    report = audit_mistral_security(root)
    found = {(each.cell, each.line, each.output) for each in report.findings if each.check == "GI003"}
    assert found == {(1, 2, True), (3, 2, False), (3, 2, True)}
    assert not report.skipped
    lines = (root / "n.ipynb").read_text(encoding="utf-8").split("\n")
    code = next(each for each in report.findings if not each.output)
    assert "api_key" in lines[code.file_line - 1]


def test_many_files_are_audited_side_by_side_with_the_same_result(tmp_path):
    root = write(tmp_path, {f"m{number:03}.py": LEAK if number % 3 else "x = 1\n" for number in range(120)})
    report = audit_mistral_security(root)
    assert report.files == 120
    assert len(report.findings) == 80
    assert [each.path for each in report.findings] == sorted(each.path for each in report.findings)


@given(
    st.sampled_from([".py", ".ts", ".yaml", ".toml", ".json", ".env", "Dockerfile", ".ipynb", ".html", ".sh"]),
    st.text(string.printable + "é\u2028😀", max_size=200),
)
def test_no_text_stops_the_audit(tmp_path_factory, suffix, text):
    root = tmp_path_factory.mktemp("any")
    name = suffix if suffix in {"Dockerfile", ".env"} else f"a{suffix}"
    (root / name).write_text(text, encoding="utf-8", newline="")
    report = audit_mistral_security(root)
    for finding in report.findings:
        assert finding.line >= 1
        assert finding.column >= 1


def test_a_folder_that_git_ignores_is_audited_when_it_is_named(tmp_path):
    root = write(tmp_path, {".gitignore": "build/\n", "build/a.py": LEAK}, repository=True)
    assert not audit_mistral_security(root).findings
    assert [each.path for each in audit_mistral_security(root / "build").findings] == ["a.py"]


def test_names_that_are_no_text_are_told_in_every_format(tmp_path):
    name = os.fsdecode(b"a\xff\n.py")
    (tmp_path / name).write_text(LEAK.replace(KEY, made_key()), encoding="utf-8")
    report = audit_mistral_security(tmp_path)
    assert [each.path for each in report.findings if each.check == "GI003"] == [name]
    for make in (*FORMATS.values(), to_text):
        assert make(report).encode()


def test_a_file_that_kills_its_process_is_left_out_and_its_neighbours_are_not(tmp_path, monkeypatch):
    def kill(project, path):
        if path == "m050.py":
            os._exit(1)
        return read(project, path)

    monkeypatch.setattr(engine, "read", kill)
    monkeypatch.setattr(engine.threading, "active_count", lambda: 1)  # so that the workers have it, too
    monkeypatch.setattr(engine.os, "cpu_count", lambda: 2)
    root = write(tmp_path, {f"m{number:03}.py": LEAK for number in range(110)})
    report = audit_mistral_security(root)
    assert reasons(report) == {"m050.py": "makes the parser crash"}
    assert report.files == 109


@pytest.mark.slow
def test_workers_are_started_anew_where_a_fork_would_copy_other_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(engine.threading, "active_count", lambda: 2)
    monkeypatch.setattr(engine.os, "cpu_count", lambda: 2)
    root = write(tmp_path, {f"m{number:03}.py": LEAK for number in range(101)})
    assert sum(each.check == "GI003" for each in audit_mistral_security(root).findings) == 101


def test_a_place_that_is_not_there_and_a_single_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        audit_mistral_security(tmp_path / "nowhere")
    root = write(tmp_path, {"a.py": LEAK, "b.py": LEAK})
    report = audit_mistral_security(root / "a.py")
    assert [each.path for each in report.findings] == ["a.py"]
    assert made_key() not in repr(report)


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", Language.PYTHON), ("x.ipynb", Language.PYTHON), ("x.tsx", Language.SCRIPT), (".env", Language.CONFIG),
        (".env.production", Language.CONFIG), ("Dockerfile", Language.CONFIG), ("Dockerfile.dev", Language.CONFIG),
        ("x.min.js", None), ("uv.lock", None), ("Makefile", Language.TEXT), ("photo.png", None), ("page.html", Language.TEMPLATE),
        (".github/workflows/ci.yml", Language.CONFIG), ("package.json", Language.CONFIG), ("package-lock.json", None),
    ],
)  # fmt: skip
def test_files_are_known_by_their_names(path, language):
    assert language_of(path) is language
