"""Keys where they do not belong."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python, script
from guard_integrations.audit.model import KEY, Check, Example, Hit, Language
from guard_integrations.audit.names import KEY_NAME
from guard_integrations.audit.source import SourceFile
from guard_integrations.audit.walk import is_env, is_env_example
from guard_integrations.core.findings import Severity
from guard_integrations.core.scanner.validators.secret import mixed

__all__ = ["HARD_CODED_KEY", "KEY_FROM_ELSEWHERE"]

_FILES: Final = re.compile(
    r"(?:^|\.)(?:open|json\.load|tomllib\.load|yaml\.(?:safe_)?load|read_text|read_bytes)$|ArgumentParser\(\)\.parse_args$"
)
_RANDOM: Final = re.compile(r"[A-Za-z0-9_\-]{24,}")
_MOUNTED: Final = re.compile(r"secret|vault|credentials/", re.IGNORECASE)


def _hard_coded(file: SourceFile) -> Iterator[Hit]:
    if file.language is Language.CONFIG and is_env(file.path) and not is_env_example(file.path):
        return  # where keys belong; GI002 looks whether it is ignored
    for secret in file.secrets:
        yield file.hit(secret, f"A secret ({secret.rule}) is written into the file.")
    if file.language is Language.PYTHON:
        yield from _handed_on(file)


def _handed_on(file: SourceFile) -> Iterator[Hit]:
    """A text that looks made at random, under a name that says nothing, and handed on as a key."""
    for call in file.python.calls:
        for keyword in call.keywords:
            if keyword.arg is None or not KEY_NAME.search(keyword.arg):
                continue
            for origin in file.python.origins(keyword.value):
                if (
                    isinstance(origin, ast.Constant)
                    and _RANDOM.fullmatch(str(origin.value))
                    and mixed(str(origin.value))
                ):
                    hit = file.hit(origin, "A key is written into the file, and handed on from here.")
                    if not any(hit.start <= secret.start < hit.end for secret in file.secrets):
                        yield hit


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
        python(f'from mistralai import Mistral\n\nclient = Mistral(api_key="{KEY}")\n'),
        python(f'from mistralai import Mistral\n\nK = "{KEY}"\nclient = Mistral(api_key=K)\n'),
        script(f'const client = new Mistral({{ apiKey: "{KEY}" }});\n'),
        Example(files={"Dockerfile": f"FROM python:3.12\nENV MISTRAL_API_KEY={KEY}\n"}),
        Example(files={"compose.yaml": f"services:\n  app:\n    environment:\n      MISTRAL_API_KEY: {KEY}\n"}),
        Example(files={".env.example": f"MISTRAL_API_KEY={KEY}\n"}),
        Example(
            files={
                "a.ipynb": (
                    '{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", "source": ["!env"], "outputs": '
                    '[{"output_type": "stream", "text": ["MISTRAL_API_KEY=' + KEY + '"]}]}]}'
                )
            }
        ),
    ),
    good=(
        python('import os\nfrom mistralai import Mistral\n\nclient = Mistral(api_key=os.environ["MISTRAL_API_KEY"])\n'),
        python('client = Mistral(api_key="your_api_key_goes_right_here_thx")\n'),
        python('import os\nK = "MISTRAL_API_KEY"\nclient = Mistral(api_key=os.environ[K])\n'),
        Example(
            files={"compose.yaml": "services:\n  app:\n    environment:\n      MISTRAL_API_KEY: ${MISTRAL_API_KEY}\n"}
        ),
        Example(files={".env.example": "MISTRAL_API_KEY=\n"}),
    ),
    inspect=_hard_coded,
    in_tests=True,
    in_history=True,
    checklist=True,
)


def _from_elsewhere(file: SourceFile) -> Iterator[Hit]:
    module = file.python
    told: set[ast.AST] = set()
    for node in module.nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value):
                place: ast.AST = node
            case ast.keyword(arg=str(name), value=value):
                place = value
            case _:
                continue
        if not KEY_NAME.search(name) or module.resolve(value) in told:
            continue
        source = _file_or_argument(file, value)
        if source:
            told.add(value)
            yield file.hit(place, f"The key comes from {source}, not from the environment or a secret manager.")


def _file_or_argument(file: SourceFile, value: ast.expr) -> str:
    module = file.python
    origins = module.origins(value)
    names = [module.name(each.func if isinstance(each, ast.Call) else each) for each in origins]
    texts = [str(each.value) for each in origins if isinstance(each, ast.Constant)]
    if any(_MOUNTED.search(text) for text in (*names, *(text for text in texts if "/" in text))):
        return ""
    for each in origins:
        if not isinstance(each, ast.Call):
            continue
        if _FILES.search(module.name(each.func) or (each.func.attr if isinstance(each.func, ast.Attribute) else "")):
            return "the command line" if "parse_args" in ast.dump(each.func) else "a plain file"
    return ""


KEY_FROM_ELSEWHERE: Final = Check(
    id="GI001",
    name="key-not-from-environment",
    severity=Severity.MEDIUM,
    title="A key does not come from the environment or a secret manager",
    rationale=(
        "A key in a configuration file is copied, committed and backed up with it; a key on the command line is seen by "
        "every process of the machine and kept in the shell's history."
    ),
    remediation='Read the key from the environment (os.environ["MISTRAL_API_KEY"], KeyRing.from_env()) or a secret manager.',
    keywords=("mistral", "langchain", "llama_index"),
    bad=(
        python(
            'import json\nfrom mistralai import Mistral\nclient = Mistral(api_key=json.load(open("c.json"))["key"])\n'
        ),
        python(
            "import argparse\nfrom mistralai import Mistral\nargs = argparse.ArgumentParser().parse_args()\n"
            "client = Mistral(api_key=args.key)\n"
        ),
    ),
    good=(
        python('import os\nfrom mistralai import Mistral\nclient = Mistral(api_key=os.environ["MISTRAL_API_KEY"])\n'),
        python(
            'from mistralai import Mistral\nclient = Mistral(api_key=open("/run/secrets/mistral").read().strip())\n'
        ),
        python(
            "import boto3, json\nfrom mistralai import Mistral\nraw = boto3.client('secretsmanager').get_secret_value()\n"
            'client = Mistral(api_key=json.loads(raw["SecretString"])["key"])\n'
        ),
    ),
    inspect=_from_elsewhere,
    checklist=True,
)
