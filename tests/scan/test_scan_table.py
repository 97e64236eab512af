"""The scan as a function on tables."""

import itertools
import pickle
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_samples import hostile, written_out
from scan_samples import ATTACK, EMAIL, IMAGE, PROSE, table, texts

from guard_integrations import GuardPolicy, PolicyError
from guard_integrations.core.scanner.rule import builtin_rules
from guard_integrations.scan import FINDINGS, Scanner
from guard_integrations.scan.excerpts import excerpts_of
from guard_integrations.scan.text import NOT_SCANNED, PIECE, TextScanner

RULES = GuardPolicy(disabled_rules={"injection-model"})
SCANNER = Scanner(RULES)
BY_PROFILE = {name: TextScanner(GuardPolicy(profile=name)) for name in ("basic", "balanced", "strict")}


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


@settings(max_examples=40)
@given(rows=st.lists(texts, max_size=30), profile=st.sampled_from(sorted(BY_PROFILE)))
def test_many_texts_are_searched_as_one_by_one(rows, profile):
    scanner = BY_PROFILE[profile]
    assert scanner.each(rows) == [scanner.findings(row) for row in rows]


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 32), render=st.sampled_from(["markdown", "html"]))
def test_many_hostile_texts_are_searched_as_one_by_one(seed, render):
    chance = Random(seed)  # noqa: S311 - no secret
    rows = [
        row
        for _ in range(4)
        for row in (*[PROSE] * chance.randrange(4), hostile(chance.sample(builtin_rules(), 20), chance, 5))
    ]
    assert SCANNER.text.each(rows, render) == [SCANNER.text.findings(row, render) for row in rows]


@pytest.mark.parametrize("profile", sorted(BY_PROFILE))
def test_every_example_of_a_rule_is_found_among_clean_texts(profile):
    scanner = BY_PROFILE[profile]
    examples = [text for rule in builtin_rules() for text in map(written_out, rule.examples)]
    alone = [scanner.findings(text) for text in examples]
    assert sum(map(bool, alone)) > len(examples) / 50
    found = scanner.each([row for text in examples for row in (PROSE, text, PROSE)])
    assert found[1::3] == alone
    assert not any((*found[::3], *found[2::3]))


def test_a_rule_that_looks_at_the_beginning_of_a_text_is_asked_of_every_text(tmp_path):
    (tmp_path / "pack.toml").write_text(
        """[[rule]]
id = "begins"
category = "secret"
severity = "low"
label = "[X]"
pattern = '\\Axyz'
stages = ["document"]
profiles = ["balanced"]
rationale = "A test."
examples = ["xyz"]

[[rule]]
id = "led"
category = "secret"
severity = "low"
label = "[X]"
lead = "="
pattern = 'abc'
stages = ["document"]
profiles = ["balanced"]
rationale = "A test."
examples = ["abc"]
""",
        encoding="utf-8",
    )
    scanner = TextScanner(RULES.model_copy(update={"rule_packs": (tmp_path / "pack.toml",)}))
    rules = [[one.rule for one in found] for found in scanner.each([PROSE, "xyz", "a xyz", "abc", "a abc", "a =abc"])]
    assert rules == [[], ["begins"], [], ["led"], [], ["led"]]


def test_lines_are_those_of_a_text_file():
    assert [row["line"] for row in found(SCANNER, [f"a\nb {EMAIL}\n\n{EMAIL}"], "text")] == [2, 4]
    assert [row["line"] for row in found(SCANNER, [f"a\nb {EMAIL}"])] == [None]


@pytest.mark.parametrize("gap", ["", " ", "\n", "\n\n"])
def test_nothing_is_lost_where_a_long_text_is_cut(gap):
    near = (PROSE * 4000)[: PIECE - 4096 - 40]
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


def test_no_excerpt_shows_what_another_one_marks():
    text = " ".join([EMAIL, "and more"] * 300)
    rows = table([text])
    excerpts = excerpts_of(rows, SCANNER.scan_batch(rows)).to_pylist()
    assert len(excerpts) > 1
    assert all(excerpt["text"].count(EMAIL) == len(excerpt["marks"]) for excerpt in excerpts)
    assert sum(len(excerpt["marks"]) for excerpt in excerpts) == 300
