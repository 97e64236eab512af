"""How long the audit of 1,000 files takes: the sources of the SDK and of the frameworks themselves, which are dense in what it looks for.

.venv/bin/python benchmarks/bench_audit.py
"""

import importlib.util
import os
import shutil
import tempfile
import time
from pathlib import Path

from guard_integrations.audit import audit_mistral_security

PACKAGES = ("mistralai", "langchain_mistralai", "langchain_core", "llama_index.core")
FILES = 1_000


def sources() -> list[Path]:
    found: list[Path] = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations or [] if spec is not None else []:
            found += sorted(Path(folder).rglob("*.py"))
    return found[:: len(found) // FILES][:FILES]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        size = 0
        for number, source in enumerate(sources()):
            folder = Path(name) / f"d{number // 50:02}"
            folder.mkdir(exist_ok=True)
            target = folder / f"m{number:04}.py"
            shutil.copyfile(source, target)
            size += target.stat().st_size
        for _ in range(3):
            began, used = time.perf_counter(), os.times()
            report = audit_mistral_security(name)
            seconds, now = time.perf_counter() - began, os.times()
            processor = (now.user + now.children_user + now.system + now.children_system) - (
                used.user + used.children_user + used.system + used.children_system
            )
            print(
                f"{report.files} files, {size / 1e6:.1f} MB: {seconds:.2f} s, {processor:.2f} s of CPU on "
                f"{os.cpu_count()} cores, {len(report.findings)} findings"
            )


if __name__ == "__main__":
    main()
