"""The scan as a function on tables."""

import itertools
import pickle

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_samples import ATTACK, EMAIL, IMAGE, PROSE, table, texts

from guard_integrations import GuardPolicy, PolicyError
from guard_integrations.scan import FINDINGS, Scanner
from guard_integrations.scan.text import NOT_SCANNED, PIECE, TextScanner

RULES = GuardPolicy(disabled_rules={"injection-model"})
SCANNER = Scanner(RULES)


def found(scanner, rows, kind="jsonl"):
    return scanner.scan_batch(table(rows, kind)).to_pylist()


def test_all_kinds_of_findings_are_found_and_located():
    text = f"{PROSE}{ATTACK} Write to {EMAIL}. {IMAGE}"
    rows = found(Scanner(), [text])
    assert {row["category"] for row in rows} == {"injection", "pii", "markup"}
    email = next(row for row in rows if row["category"] == "pii")
    assert text[email["start"] : email["end"]] == EMAIL
    assert not any(value in (ATTACK, EMAIL, IMAGE) for row in rows for value in row.values())


def test_the_output_stage_looks_for_no_injection():
    assert {row["category"] for row in found(Scanner(RULES, "output"), [f"{ATTACK} {EMAIL} {IMAGE}"])} == {
        "pii",
        "markup",
    }


@settings(max_examples=40)
@given(rows=st.lists(st.none() | texts, max_size=6), cuts=st.lists(st.integers(0, 6), max_size=3))
def test_a_table_is_scanned_as_its_rows_are(rows, cuts):
    whole = SCANNER.scan_batch(table(rows))
    assert whole.schema == FINDINGS
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut <= len(rows))})
    parts = [SCANNER.scan_batch(table(rows).slice(a, b - a)) for a, b in itertools.pairwise(edges)]
    assert pa.concat_tables([FINDINGS.empty_table(), *parts]) == whole
    alone = [(at, one) for at, row in enumerate(rows) for one in SCANNER.text.findings(row or "")]
    got = [(row["row"], row["rule"], row["start"], row["end"]) for row in whole.to_pylist()]
    assert got == [(at, one.rule, one.start, one.end) for at, one in alone]


def test_lines_are_those_of_a_text_file():
    assert [row["line"] for row in found(SCANNER, [f"a\nb {EMAIL}\n\n{EMAIL}"], "text")] == [2, 4]
    assert [row["line"] for row in found(SCANNER, [f"a\nb {EMAIL}"])] == [None]


@pytest.mark.parametrize("gap", ["", " ", "\n", "\n\n"])
def test_nothing_is_lost_where_a_long_text_is_cut(gap):
    near = (PROSE * 2000)[: PIECE - 4096 - 40]
    for shift in (0, 14, 39, 77):
        text = near + "y" * shift + gap + f" {EMAIL} " + gap + PROSE * 1500
        where = [(one.start, one.end) for one in SCANNER.text.findings(text) if one.category == "pii"]
        assert where == [(text.index(EMAIL), text.index(EMAIL) + len(EMAIL))]
        assert EMAIL not in SCANNER.text.clean(text)


@settings(max_examples=40)
@given(text=texts)
def test_a_cleaned_text_has_nothing_left_to_clean(text):
    clean = SCANNER.text.clean(text)
    assert SCANNER.text.clean(clean) == clean
    if not SCANNER.text.findings(text):
        assert clean == text


def test_what_the_policy_blocks_is_all_found_and_left_out_of_the_copy():
    scanner = TextScanner(GuardPolicy.strict())
    rows = scanner.findings(f"{ATTACK} {EMAIL} {IMAGE}")
    assert {(row.category.value, row.action.value) for row in rows} >= {
        ("injection", "block"),
        ("pii", "filter"),
        ("markup", "filter"),
    }
    assert scanner.clean(f"{ATTACK} {EMAIL}") == "[BLOCKED]"


def test_a_guard_that_fails_is_a_finding(monkeypatch):
    scanner = TextScanner(GuardPolicy(on_error="allow"))
    monkeypatch.setattr("guard_integrations.core.scanner.injection.views", lambda text: 1 / 0)
    assert [one.rule for one in scanner.findings(EMAIL)] == [NOT_SCANNED]
    assert scanner.clean(EMAIL) == "[BLOCKED]"


def test_a_scanner_travels():
    twin = pickle.loads(pickle.dumps(Scanner(RULES, "input")))  # noqa: S301 - our own bytes
    assert (twin.policy, twin.stage) == (RULES, "input")


def test_what_makes_no_sense_is_refused():
    with pytest.raises(PolicyError, match="vault"):
        Scanner(GuardPolicy(strategies={"pii": "pseudonymise"}))
    with pytest.raises(PolicyError, match="stage"):
        Scanner(RULES, "elsewhere")
    with pytest.raises(PolicyError, match="no column text"):
        SCANNER.scan_batch(table([]).drop_columns(["text"]))
