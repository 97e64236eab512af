"""Each check finds its bad examples and leaves its good ones alone."""

import re

import pytest
from audit_projects import write_example

from guard_integrations.audit.checks import CHECKS
from guard_integrations.audit.config import AuditConfig
from guard_integrations.audit.engine import audit

EXAMPLES = [
    pytest.param(check, example, bad, id=f"{check.id}-{'bad' if bad else 'good'}-{number}")
    for check in CHECKS
    for bad, examples in ((True, check.bad), (False, check.good))
    for number, example in enumerate(examples)
]


@pytest.mark.parametrize(("check", "example", "bad"), EXAMPLES)
def test_a_check_finds_its_bad_examples_alone(tmp_path, check, example, bad):
    report = audit(write_example(tmp_path, example), config=AuditConfig(select=(check.id,)))
    assert bool(report.findings) is bad, [finding.message for finding in report.findings]
    assert not report.skipped


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_explains_itself(check):
    assert re.fullmatch(r"GI\d{3}", check.id)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", check.name)
    assert check.bad
    assert check.good
    assert check.rationale.endswith(".")
    assert check.remediation.endswith((".", ")"))
    assert not check.title.endswith(".")
    assert check.inspect is not None or check.conclude is not None
    assert all(word == word.lower() for word in check.keywords)


def test_no_two_checks_share_an_id_or_a_name():
    assert [check.id for check in CHECKS] == sorted({check.id for check in CHECKS})
    assert len({check.name for check in CHECKS}) == len(CHECKS)
