"""The audit leaves alone what is right: this project, and the sources of the SDK and of the adapters that it audits the use
of."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from guard_integrations.audit import audit_mistral_security
from guard_integrations.audit.model import RANK
from guard_integrations.core.findings import Severity

PACKAGES = (
    pytest.param("mistralai", marks=pytest.mark.slow),  # 1,600 files
    "langchain_mistralai",
    "llama_index.llms.mistralai",
)


def folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    (folder,) = spec.submodule_search_locations
    return Path(folder)


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_of_weight_is_found_in_the_sources_of(tmp_path, package):
    # Copied, since what lies below site-packages is ignored by the repository around it.
    copy = shutil.copytree(folder_of(package), tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    report = audit_mistral_security(copy)
    assert report.files >= 3
    weighty = [each for each in report.findings if RANK[each.severity] >= RANK[Severity.HIGH]]
    assert not weighty, [(each.check, each.path, each.line, each.message) for each in weighty]


def test_nothing_is_found_on_this_project():
    report = audit_mistral_security(Path(__file__).parents[2])
    assert not report.findings, [(each.check, each.path, each.file_line) for each in report.findings]
