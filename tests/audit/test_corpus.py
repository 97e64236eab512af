"""How well the audit does on projects as engineers write them; see corpus/README.md."""

import pytest
from audit_corpus import PARTS, Score, measure, projects

from guard_integrations.audit.checks import CHECKS

PRECISION, RECALL = 0.95, 0.90


@pytest.fixture(scope="module")
def scores() -> dict[str, Score]:
    return {part: measure(part) for part in PARTS}


def test_the_corpus_is_what_it_says():
    everything = [project for part in PARTS for project in projects(part)]
    good = [project for project in everything if project.good]
    assert len(everything) >= 60
    assert 0.4 <= len(good) / len(everything) <= 0.6
    assert not any(project.truth for project in good)
    assert all(project.truth for project in everything if not project.good)
    assert len(projects("held_out")) >= len(everything) / 3 - 1
    planted = {fault.id for project in everything for fault in project.truth}
    assert planted == {check.id for check in CHECKS}


@pytest.mark.parametrize("part", [*PARTS, "all"])
def test_findings_are_right_and_faults_are_found(scores, part):
    parts = PARTS if part == "all" else (part,)
    total = Score()
    for each in parts:
        total += scores[each]
    print(f"\n{total.table()}\nprecision {total.precision:.1%}, recall {total.recall:.1%}")  # noqa: T201 - the figures, shown with -s
    words = "\n".join(sorted(total.words))
    assert not total.skipped, total.skipped
    assert total.precision >= PRECISION, words
    assert total.recall >= RECALL, words
