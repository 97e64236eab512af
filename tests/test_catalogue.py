"""The pages that are written from the code are those of this code."""

import runpy
from pathlib import Path

from guard_integrations.core.findings import Action
from guard_integrations.core.scanner.catalogue import catalogue
from guard_integrations.core.scanner.overflow import FLOOD_RULE, LENGTH_RULE, NESTED_RULE, UNSETTLED_RULE, overflow
from guard_integrations.core.scanner.rule import builtin_rules

DOCS = Path(__file__).parent.parent / "docs"


def test_the_catalogue_of_rules_is_the_rules():
    page = runpy.run_path(str(DOCS / "make_rules.py"))["page"]()
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == page, "the rules have changed: run `make docs`"


def test_every_rule_is_in_it_once():
    names = [entry.id for entry in catalogue()]
    assert len(names) == len(set(names))
    assert {rule.id for rule in builtin_rules()} < set(names)


def test_what_is_too_much_to_scan_is_as_severe_as_the_catalogue_says():
    said = {entry.id: entry.severity for entry in catalogue()}
    for rule in (FLOOD_RULE, LENGTH_RULE, NESTED_RULE, UNSETTLED_RULE):
        assert overflow(rule, 0, 1, Action.BLOCK).severity is said[rule]
