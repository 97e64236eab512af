"""Little projects on the disk."""

import random
import string
import subprocess
from collections.abc import Mapping
from pathlib import Path

from guard_integrations.audit.model import KEY, Example


def made_key(seed: int = 0) -> str:
    """32 letters and digits, as an API key of Mistral has."""
    chosen = random.Random(seed)  # noqa: S311 - a sample, not a secret
    letters = chosen.choices(string.ascii_letters + string.digits, k=29)
    return "".join([*letters, "a", "Z", "7"])


def write(root: Path, files: Mapping[str, str], *, repository: bool = False) -> Path:
    """Writes files, and tracks them by git if wanted."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace(KEY, made_key()), encoding="utf-8")
    if repository:
        for arguments in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", "-C", str(root), *arguments], check=True)  # noqa: S603, S607 - git
    return root


def write_example(root: Path, example: Example) -> Path:
    return write(root, example.files, repository=example.repository)
