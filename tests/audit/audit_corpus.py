"""The corpus: projects with their truth, how they are written to the disk, and how a report is scored against them.

Run as a script to see the figures and every miss and false alarm of a part: `python tests/audit/audit_corpus.py seen`.
"""

import hashlib
import json
import random
import re
import string
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from guard_integrations.audit.config import AuditConfig
from guard_integrations.audit.engine import audit
from guard_integrations.audit.model import AuditFinding

CORPUS = Path(__file__).parent / "corpus"
PARTS = ("seen", "held_out")
_FILE = re.compile(r"^-- (?P<path>\S+)(?: (?P<mark>⟦[^⟧]*⟧))? --$")
_MARK = re.compile(r" *⟦(?P<ids>[^⟧]*)⟧")
_SECRET = re.compile(r"\{\{([A-Z][A-Z0-9_]+)\}\}")
_CELL = re.compile(r"^# %%(?: \[(?P<kind>\w+)\])?$")
_SHAPES = {  # prefix, alphabet, length of the rest
    "MISTRAL_KEY": ("", string.ascii_letters + string.digits, 32),
    "OPENAI_KEY": ("sk-" + "proj-", string.ascii_letters + string.digits, 48),
    "ANTHROPIC_KEY": ("sk-" + "ant-api03-", string.ascii_letters + string.digits, 93),
    "HF_TOKEN": ("hf" + "_", string.ascii_letters, 34),
    "GITHUB_TOKEN": ("gh" + "p_", string.ascii_letters + string.digits, 36),
    "GOOGLE_KEY": ("AI" + "za", string.ascii_letters + string.digits, 35),
}


@dataclass(frozen=True, order=True)
class Fault:
    """A fault that a reviewer would report; in notebooks, `line` counts in the cell, and is 0 in what was put out."""

    id: str
    path: str
    line: int = 1
    cell: int = 0


@dataclass(frozen=True)
class Planted:
    name: str
    note: str
    files: dict[str, str] = field(default_factory=dict)
    truth: tuple[Fault, ...] = ()

    @property
    def good(self) -> bool:
        return self.note.startswith("good")

    def directive(self, key: str) -> list[str]:
        return [line.partition(": ")[2] for line in self.note.splitlines() if line.startswith(f"{key}: ")]


def projects(part: str) -> list[Planted]:
    return [_read(path) for path in sorted((CORPUS / part).glob("*.txtar"))]


def _read(path: Path) -> Planted:
    note: list[str] = []
    files: dict[str, list[str]] = {}
    truth: list[Fault] = []
    current = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if header := _FILE.match(line):
            current = header["path"]
            files[current] = []
            truth += _faults(header["mark"] or "", current, 1)
        elif not current:
            note.append(line)
        else:
            files[current].append(_MARK.sub("", line))
            truth += _faults(line, current, len(files[current]))
    texts = {name: "\n".join(lines) + "\n" for name, lines in files.items()}
    for name in [name for name in texts if name.endswith(".ipynb")]:
        texts[name], places = _notebook(files[name])
        truth = [_in_notebook(fault, places) if fault.path == name else fault for fault in truth]
    texts = {name: _SECRET.sub(lambda match: _secret(path.stem, match[1]), text) for name, text in texts.items()}
    return Planted(name=path.stem, note="\n".join(note), files=texts, truth=tuple(truth))


def _faults(line: str, path: str, number: int) -> Iterator[Fault]:
    for mark in _MARK.finditer(line):
        yield from (Fault(id=id_, path=path, line=number) for id_ in mark["ids"].split())


def _in_notebook(fault: Fault, places: dict[int, tuple[int, int]]) -> Fault:
    line, cell = places[fault.line]
    return Fault(id=fault.id, path=fault.path, line=line, cell=cell)


def _secret(project: str, name: str) -> str:
    shape = re.sub(r"_\d+$", "", name)
    prefix, alphabet, length = _SHAPES[shape]
    chosen = random.Random(hashlib.sha256(f"{project}/{name}".encode()).digest())  # noqa: S311 - a sample, no secret
    # Of each kind at least one, as a key of that length has.
    sure = "".join(chosen.choice(kind) for kind in (string.ascii_lowercase, string.ascii_uppercase))
    digit = chosen.choice(string.digits) if "1" in alphabet else ""
    rest = chosen.choices(alphabet, k=length - len(sure + digit))
    return prefix + "".join(rest) + sure + digit


def _notebook(lines: list[str]) -> tuple[str, dict[int, tuple[int, int]]]:
    """A notebook, and of each line of the percent format the line in its cell (0 in what was put out) and the cell."""
    cells: list[dict] = []
    places: dict[int, tuple[int, int]] = {}
    into: list[str] = []
    for number, line in enumerate(lines, start=1):
        header = _CELL.match(line)
        if header is None:
            into.append(line + "\n")
            output = bool(cells[-1].get("outputs"))
            places[number] = (0 if output else len(into), len(cells))
        elif header["kind"] == "output":
            into = []
            cells[-1]["outputs"].append({"output_type": "stream", "name": "stdout", "text": into})
        else:
            into = []
            cells.append({"cell_type": header["kind"] or "code", "metadata": {}, "source": into})
            if header["kind"] is None:
                cells[-1] |= {"execution_count": 1, "outputs": []}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}, indent=1), places


def write_project(root: Path, project: Planted) -> Path:
    """Writes a project to a folder, as a git repository."""
    for name, text in project.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _git(root, "init", "-q")
    _git(root, "add", "-A")
    if forced := project.directive("git-force"):
        _git(root, "add", "-f", *forced)
    if old := project.directive("git-old"):
        _git(root, "commit", "-qm", "first")
        _git(root, "rm", "-q", *old)
        _git(root, "commit", "-qm", "second")
    return root


def _git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *who, *arguments], check=True)  # noqa: S603, S607 - git


@dataclass
class Score:
    right: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    words: list[str] = field(default_factory=list, repr=False)
    skipped: list[str] = field(default_factory=list)

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.right + other.right,
            self.missed + other.missed,
            self.false + other.false,
            self.words + other.words,
            self.skipped + other.skipped,
        )

    @property
    def precision(self) -> float:
        return self.right.total() / max(1, self.right.total() + self.false.total())

    @property
    def recall(self) -> float:
        return self.right.total() / max(1, self.right.total() + self.missed.total())

    def add(self, project: Planted, findings: Iterable[AuditFinding]) -> None:
        """Counts a project's report. A fault is found when the finding begins at its line, or spans it."""
        rest = list(findings)
        for fault in sorted(project.truth):
            match = next((each for each in rest if _same(fault, each)), None)
            if match is None:
                self.missed[fault.id] += 1
                self.words.append(f"missed  {fault.id} {project.name} {fault.path}:{fault.line}")
            else:
                rest.remove(match)
                self.right[fault.id] += 1
        for finding in rest:
            self.false[finding.check] += 1
            self.words.append(
                f"false   {finding.check} {project.name} {finding.path}:{finding.file_line} {finding.snippet}"
            )

    def table(self) -> str:
        ids = sorted({*self.right, *self.missed, *self.false})
        rows = [f"{id_}  {self.right[id_]:5} {self.missed[id_]:6} {self.false[id_]:5}" for id_ in ids]
        total = f"all    {self.right.total():5} {self.missed.total():6} {self.false.total():5}"
        return "\n".join(["id     right missed false", *rows, total])


def _same(fault: Fault, finding: AuditFinding) -> bool:
    if (fault.id, fault.path) != (finding.check, finding.path):
        return False
    if not fault.line:  # a notebook's output
        return fault.cell == finding.cell
    if finding.commit is not None:
        return True
    return fault.cell == (finding.cell or 0) and finding.line <= fault.line <= finding.end_line


def measure(part: str) -> Score:
    score = Score()
    for project in projects(part):
        with tempfile.TemporaryDirectory() as folder:
            report = audit(write_project(Path(folder), project), config=AuditConfig(history=True))
            score.add(project, report.findings)
            score.skipped += [f"{project.name} {each.path}: {each.reason}" for each in report.skipped]
    return score


if __name__ == "__main__":
    for each in sys.argv[1:] or PARTS:
        result = measure(each)
        print("\n".join(sorted(result.words)))  # noqa: T201 - a script
        print(result.table())  # noqa: T201
        print(f"{each}: precision {result.precision:.1%}, recall {result.recall:.1%}")  # noqa: T201
