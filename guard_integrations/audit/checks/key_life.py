"""How long a key lives, and in how many places."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from guard_integrations.audit.checks._examples import python
from guard_integrations.audit.model import KEY, Check, Example, Guard, Hit, Language
from guard_integrations.audit.model_use import use_of
from guard_integrations.audit.secrets import find_secrets
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["KEY_SHARED", "KEY_STATIC"]

_STAGES: Final = re.compile(
    r"(?:^|[._/\-])(prod(?:uction)?|live|stag(?:e|ing)|dev(?:elopment)?|test|qa|preprod|uat)(?=[._/\-]|$)"
)
_DEPLOYED: Final = (
    "Dockerfile", "Containerfile", "Procfile", "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml",
    "fly.toml", "app.yaml", "vercel.json", "render.yaml", "template.yaml", "serverless.yml", "k8s", "chart", "helm",
)  # fmt: skip


def _shared(file: SourceFile) -> Iterator[Hit]:
    """Looks from the file of one environment into those of the others; told once, in the last by name."""
    stage = _STAGES.search(file.path)
    if stage is None or not file.secrets:
        return
    root = Path(file.project.root)
    pattern = PurePosixPath(_STAGES.sub(lambda match: match[0].replace(match[1], "*"), file.path)).as_posix()
    for other in sorted(root.glob(pattern)):
        path = other.relative_to(root).as_posix()
        theirs = _STAGES.search(path)
        # Of two files the one with the graver name is told: production comes after development, dev, staging... not by name.
        if theirs is None or _gravity(theirs[1]) >= _gravity(stage[1]) or not other.is_file():
            continue
        text = other.read_text(encoding="utf-8", errors="replace")
        values = {text[secret.start : secret.end] for secret in find_secrets(text)}
        for secret in file.secrets:
            if file.text[secret.start : secret.end] in values:
                yield file.hit(secret, f"This key is also used in {path}.")
                values.discard(file.text[secret.start : secret.end])


def _gravity(stage: str) -> int:
    """Of two environments with the same key, the graver one is told."""
    order = ("dev", "test", "qa", "uat", "stag", "preprod", "live", "prod")
    return next((rank for rank, name in enumerate(order) if stage.startswith(name)), 0)


KEY_SHARED: Final = Check(
    id="GI019",
    name="one-key-for-all-environments",
    severity=Severity.MEDIUM,
    title="The same key in several environments",
    rationale=(
        "What leaks from a test system then opens production; limits are shared, and the key cannot be revoked in one "
        "place without stopping the other."
    ),
    remediation="Create a key per environment, in workspaces of their own.",
    languages=frozenset({Language.CONFIG, Language.TEXT}),
    bad=(
        Example(
            files={
                "deploy/values.staging.yaml": f"MISTRAL_API_KEY: {KEY}\n",
                "deploy/values.production.yaml": f"MISTRAL_API_KEY: {KEY}\n",
            }
        ),
    ),
    good=(
        Example(
            files={
                "deploy/values.staging.yaml": f"MISTRAL_API_KEY: {KEY}\n",
                "deploy/values.production.yaml": "MISTRAL_API_KEY: ${MISTRAL_API_KEY}\n",
            }
        ),
    ),
    in_tests=True,
    inspect=_shared,
)


def _static(file: SourceFile) -> Iterator[Hit]:
    root = Path(file.project.root)
    if not any((root / name).exists() for name in _DEPLOYED):
        return
    for call in use_of(file).clients:
        if isinstance(file.python.scope(call), ast.Module):
            yield file.hit(
                call,
                "This client keeps the one key it is made with for as long as the server runs.",
                unless=frozenset({Guard.ROTATION}),
                given=frozenset({"web"}),
            )


KEY_STATIC: Final = Check(
    id="GI010",
    name="no-key-rotation",
    severity=Severity.LOW,
    title="A deployed server with one key and no rotation",
    rationale=(
        "A key that is never changed stays useful to whoever once copied it, and when it is revoked or out of quota "
        "every request fails until somebody deploys."
    ),
    remediation="Give the client a key ring: GuardedChatMistralAI(keys=KeyRing.from_env()); or read the key from a secret manager.",
    once=True,
    bad=(
        Example(
            files={
                "Dockerfile": "FROM python:3.12\n",
                "app.py": (
                    "import os\nfrom fastapi import FastAPI\nfrom mistralai import Mistral\n"
                    'app = FastAPI()\nclient = Mistral(api_key=os.environ["MISTRAL_API_KEY"])\n'
                ),
            }
        ),
    ),
    good=(
        Example(
            files={
                "Dockerfile": "FROM python:3.12\n",
                "app.py": (
                    "from fastapi import FastAPI\nfrom guard_integrations import KeyRing\n"
                    "from guard_integrations.langchain import GuardedChatMistralAI\n"
                    "app = FastAPI()\nllm = GuardedChatMistralAI(keys=KeyRing.from_env())\n"
                ),
            }
        ),
        python('import os\nfrom mistralai import Mistral\nclient = Mistral(api_key=os.environ["MISTRAL_API_KEY"])\n'),
    ),
    inspect=_static,
)
