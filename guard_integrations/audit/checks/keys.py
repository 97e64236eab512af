"""Keys where they do not belong."""

from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.model import KEY, Check, Example, Hit, Language
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["HARD_CODED_KEY"]


def _hard_coded(file: SourceFile) -> Iterator[Hit]:
    if file.language is Language.CONFIG and file.name.startswith(".env"):
        return  # where keys belong; GI002 looks whether it is ignored
    for secret in file.secrets:
        yield file.hit(secret, f"A secret ({secret.rule}) is written into the file.")


HARD_CODED_KEY: Final = Check(
    id="GI003",
    name="hard-coded-key",
    severity=Severity.CRITICAL,
    title="A key is written into code, configuration or a build file",
    rationale=(
        "Whoever can read the repository, a container image or a backup of them can use the key. Deleting the line does "
        "not help: the history keeps it."
    ),
    remediation=(
        "Revoke the key. Read the new one from the environment or a secret manager: KeyRing.from_env(), or "
        'os.environ["MISTRAL_API_KEY"].'
    ),
    languages=frozenset(Language),
    bad=(
        Example(files={"app.py": f'from mistralai import Mistral\n\nclient = Mistral(api_key="{KEY}")\n'}),
        Example(files={"app.ts": f'const client = new Mistral({{ apiKey: "{KEY}" }});\n'}),
        Example(files={"Dockerfile": f"FROM python:3.12\nENV MISTRAL_API_KEY={KEY}\n"}),
        Example(files={"compose.yaml": f"services:\n  app:\n    environment:\n      MISTRAL_API_KEY: {KEY}\n"}),
    ),
    good=(
        Example(
            files={
                "app.py": 'import os\nfrom mistralai import Mistral\n\nclient = Mistral(api_key=os.environ["MISTRAL_API_KEY"])\n'
            }
        ),
        Example(files={"app.py": 'client = Mistral(api_key="your_api_key_goes_right_here_thx")\n'}),
        Example(
            files={"compose.yaml": "services:\n  app:\n    environment:\n      MISTRAL_API_KEY: ${MISTRAL_API_KEY}\n"}
        ),
    ),
    inspect=_hard_coded,
    in_tests=True,
    in_history=True,
    checklist=True,
)
