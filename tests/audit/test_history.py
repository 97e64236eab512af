"""Keys that are no longer in the files, but in what git keeps."""

import subprocess

import pytest
from audit_projects import made_key, write

from guard_integrations.audit.config import AuditConfig
from guard_integrations.audit.engine import audit


def git(root, *arguments):
    command = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - git


def commit(root, files, message="change"):
    write(root, files)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture(name="root")
def _root(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


def found(root, **settings):
    report = audit(root, config=AuditConfig(select=("GI003",), history=True, **settings))
    return [(each.path, each.line, each.commit) for each in report.findings]


def leak(seed):
    return f'\napi_key = "{made_key(seed)}"\n'


def test_what_was_taken_out_is_found_where_it_came_in(root):
    came = commit(root, {"a.py": leak(1), "b é.py": "x = 1\n"})
    commit(root, {"a.py": leak(1) + "y = 2\n"})
    commit(root, {"a.py": "import os\n"})
    assert found(root) == [("a.py", 2, came)]
    assert not audit(root, config=AuditConfig(select=("GI003",))).findings


def test_what_is_still_there_is_told_once(root):
    commit(root, {"a.py": leak(1)})
    commit(root, {"a.py": leak(1) + "y = 2\n", "b.py": leak(2)})
    assert found(root) == [("a.py", 2, None), ("b.py", 2, None)]


def test_other_branches_deleted_files_and_env_files_are_looked_at(root):
    commit(root, {"a.py": "x = 1\n"})
    git(root, "checkout", "-q", "-b", "other")
    on_branch = commit(root, {"sub/c.ts": leak(3)})
    git(root, "checkout", "-q", "main")
    env = commit(root, {".env": f"MISTRAL_API_KEY={made_key(4)}\n"})
    git(root, "rm", "-q", ".env")
    git(root, "commit", "-q", "-m", "gone")
    assert found(root) == [(".env", 1, env), ("sub/c.ts", 2, on_branch)]


def test_binary_and_huge_versions_are_passed_over(root):
    (root / "a.py").write_bytes(b"\0" + leak(1).encode())
    (root / "b.py").write_text("#" * 2_100_000 + leak(2), encoding="utf-8")
    came = commit(root, {"c.py": leak(3)})
    commit(root, {"a.py": "", "b.py": "", "c.py": ""})
    assert found(root) == [("c.py", 2, came)]


def test_a_folder_without_git_has_no_history(tmp_path):
    write(tmp_path, {"a.py": "x = 1\n"})
    assert not found(tmp_path)


def test_a_part_of_a_repository_has_its_own_history(root):
    commit(root, {"sub/a.py": leak(1), "b.py": leak(2)})
    commit(root, {"sub/a.py": "x = 1\n", "b.py": "x = 1\n"})
    assert [path for path, _, _ in found(root / "sub")] == ["a.py"]
