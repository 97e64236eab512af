"""Files that hold the environment, and whether git would take them."""

from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python
from guard_integrations.audit.model import KEY, Check, Example, FileFacts, Hit, Language
from guard_integrations.audit.model import Project as _Project
from guard_integrations.audit.source import SourceFile
from guard_integrations.audit.walk import is_env, is_env_example
from guard_integrations.core.findings import Severity

__all__ = ["ENV_FILE"]

_KEY: Final = frozenset({"KEY", "TOKEN", "SECRET", "PASSWORD"})


def _exposed(file: SourceFile) -> Iterator[Hit]:
    """What git lists is tracked or would be by the next `git add`: so the file is here at all."""
    if not is_env(file.path) or is_env_example(file.path):
        return
    named = any(setting.value and _KEY & set(setting.key.upper().split("_")) for setting in file.settings)
    if file.secrets or named:
        tracked = file.project.repository and file.path in file.project.tracked_env
        where = "tracked by git" if tracked else "not ignored by git"
        yield file.hit((0, 0), f"This file holds a key and is {where}.")


def _project(project: _Project, facts: tuple[FileFacts, ...]) -> Iterator[Hit]:
    """Nothing is exposed yet, but the first `.env` would be."""
    read = any("dotenv" in each.traits for each in facts)
    if project.repository and read and not project.env_ignored and not project.tracked_env:
        yield Hit(
            path=".gitignore", message="The program reads a .env file, and git would take one.", severity=Severity.LOW
        )


ENV_FILE: Final = Check(
    id="GI002",
    name="env-file-not-ignored",
    severity=Severity.HIGH,
    title="A .env file that git tracks, or would",
    rationale=(
        "`git add .` takes whatever is not ignored, and an ignore rule does nothing for a file that is tracked already. "
        "Git itself is asked, for what .gitignore says is often not what it means."
    ),
    remediation="Put .env and .env.* into .gitignore, run `git rm --cached .env` if it is tracked, and revoke the keys.",
    languages=frozenset({Language.CONFIG, Language.TEXT}),
    bad=(
        Example(files={".env": f"MISTRAL_API_KEY={KEY}\n", ".gitignore": "# .env\n"}, repository=True),
        Example(files={".env": f"MISTRAL_API_KEY={KEY}\n", ".gitignore": ".env\n!.env\n"}),
        Example(files={"app.py": "from dotenv import load_dotenv\nload_dotenv()\n"}, repository=True),
    ),
    good=(
        Example(files={".env": f"MISTRAL_API_KEY={KEY}\n", ".gitignore": ".env\n"}, repository=True),
        Example(files={".env.example": "MISTRAL_API_KEY=\n"}, repository=True),
        Example(files={".env.test": "LOG_LEVEL=debug\n"}, repository=True),
        python("import os\n"),
    ),
    in_tests=True,
    inspect=_exposed,
    conclude=_project,
    checklist=True,
)
