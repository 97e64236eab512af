"""The pages that are written from the code are those of this code."""

import runpy
from pathlib import Path

from guard_integrations.core.scanner.catalogue import catalogue
from guard_integrations.core.scanner.rule import builtin_rules

DOCS = Path(__file__).parent.parent / "docs"


def test_the_catalogue_of_rules_is_the_rules():
    page = runpy.run_path(str(DOCS / "make_rules.py"))["page"]()
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == page, "the rules have changed: run `make docs`"


def test_every_rule_is_in_it_once():
    names = [entry.id for entry in catalogue()]
    assert len(names) == len(set(names))
    assert {rule.id for rule in builtin_rules()} < set(names)
