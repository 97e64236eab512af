"""Nothing on this project itself; nothing grave on the packages that it is for."""

import importlib
import shutil
from pathlib import Path

import pytest

from guard_integrations.audit.config import AuditConfig
from guard_integrations.audit.engine import audit
from guard_integrations.audit.model import RANK
from guard_integrations.core.findings import Severity

ROOT = Path(__file__).parents[2]


def places(findings):
    return [f"{each.check} {each.path}:{each.file_line} {each.snippet}" for each in findings]


def test_nothing_is_found_on_this_project():
    report = audit(ROOT)
    assert not places(report.findings)


@pytest.mark.parametrize(
    "package",
    ["langchain_mistralai", "llama_index.llms.mistralai", pytest.param("mistralai", marks=pytest.mark.slow)],
)
def test_nothing_grave_is_found_in_the_clients(tmp_path, package):
    source = next(iter(importlib.import_module(package).__path__))
    shutil.copytree(source, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    report = audit(tmp_path, config=AuditConfig())
    assert report.files >= 3
    assert not places(each for each in report.findings if RANK[each.severity] >= RANK[Severity.HIGH])
