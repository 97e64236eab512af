"""What the guards cost: time on ordinary prose, import, install."""

import importlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nh3

from guard_integrations import GuardPolicy, InputSanitizer, OutputSanitizer

from .peers import INJECTION, OURS, PERSONAL_DATA, SECRETS, installed, missing
from .table import Column, Table

PROSE = (
    "The committee met on Tuesday to discuss the new timetable, and most of its members agreed that the trains should "
    "run later in the evening. Nobody could say what it would cost. A second meeting will be held in the spring; until "
    "then the old timetable stays in force, with two more trains on Fridays. How it will be paid for is not known yet: "
    'the treasurer spoke of "considerable uncertainty", and asked for patience. '
) * 300
SIZES = {"200 B, µs": 200, "4 KB, µs": 4000}
LONG = 100_000
BUDGET = 0.4
"""Seconds that one figure may take."""
LEAST = 4
PACKAGES = {
    OURS: ("", "guard_integrations"),
    "datafog": ("datafog", "datafog"),
    "presidio-analyzer": ("presidio-analyzer", "presidio_analyzer"),
    "euredact": ("euredact", "euredact"),
    "argus-redact": ("argus-redact", "argus_redact"),
    "scrubadub": ("scrubadub", "scrubadub"),
    "stackone-defender": ("stackone-defender[onnx]", "stackone_defender"),
    "forcefield": ("forcefield", "forcefield"),
    "zn-gate": ("zn-gate", "zn_gate"),
    "detect-secrets": ("detect-secrets", "detect_secrets"),
    "nemoguardrails": ("nemoguardrails", "nemoguardrails"),
    "langchain": ("langchain", "langchain.agents.middleware"),
    "nh3": ("nh3", "nh3"),
}


def _jobs() -> dict[str, dict[str, Callable[[str], object]]]:
    guard = InputSanitizer()
    rules = InputSanitizer(GuardPolicy(disabled_rules={"injection-model"}))
    output = OutputSanitizer()
    injection: dict[str, Callable[[str], object]] = {
        f"{OURS}, rules": rules.scan,
        f"{OURS}, rules and model": guard.scan,
    }
    personal: dict[str, Callable[[str], object]] = {f"{OURS}, all of OutputSanitizer": output.sanitize}
    return {
        "injection": injection
        | {name: (lambda text, f=f: f(text, "input")) for name, f in installed(INJECTION).items()},
        "personal data": personal
        | {name: (lambda text, f=f: list(f(text, "en"))) for name, f in installed(PERSONAL_DATA).items()},
        "secrets": {
            name: (lambda text, f=f: f(text, "output"))
            for name, f in installed(SECRETS).items()
            if "zn-gate" not in name
        },
        "HTML": dict(installed({"nh3": lambda: nh3.clean})),
    }


def latency() -> Table:
    """Microseconds on ordinary prose, and megabytes a second on a long text."""
    rows = []
    for job, scanners in _jobs().items():
        for name, scan in scanners.items():
            shorts = [_seconds(scan, size) * 1e6 for size in SIZES.values()]
            rows.append((name, job, *shorts, LONG / _seconds(scan, LONG) / 1e6))
    return Table(
        title="Time",
        note=f"Ordinary prose, no text twice, median, wall clock; the last column is texts of {LONG // 1000} KB.",
        columns=(
            Column(name="library"),
            Column(name="job"),
            *(Column(name=name, format=",.0f") for name in SIZES),
            Column(name="100 KB, MB/s", format=",.2f"),
        ),
        rows=tuple(rows),
    )


def _seconds(scan: Callable[[str], object], size: int) -> float:
    """The median over texts that begin elsewhere in the prose, so that no cache of texts helps."""
    times: list[float] = []
    until = time.perf_counter() + BUDGET
    while len(times) < LEAST or time.perf_counter() < until:
        begin = len(times) % 400
        text = f"{len(times)} {PROSE[begin : begin + size]}"
        started = time.perf_counter()
        scan(text)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def footprint() -> Table:
    """Milliseconds to import, and megabytes with all that is needed."""
    rows = []
    bare = _import_ms("sys")
    for name, (requirement, module) in PACKAGES.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            missing[name] = type(error).__name__
            continue
        rows.append(
            (name, max(0.0, _import_ms(module) - bare), _installed_mb(requirement or str(Path(__file__).parents[2])))
        )
    return Table(
        title="Import and size",
        note="Import: median of 5 processes, the interpreter's own start taken off. Size: with all dependencies.",
        columns=(
            Column(name="package"),
            Column(name="import, ms", format=".0f"),
            Column(name="installed, MB", format=".0f"),
        ),
        rows=tuple(rows),
    )


def _import_ms(module: str) -> float:
    # What an installation compiles once is compiled by the first, which does not count.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(6):
        started = time.perf_counter()
        subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-c", f"import {module}"], check=True, capture_output=True, env=environment
        )
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:]) * 1000


def _installed_mb(requirement: str) -> float | str:
    uv = shutil.which("uv")
    if uv is None:
        return "needs uv"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - a package manager and our own list
            [uv, "pip", "install", "--quiet", "--target", folder, requirement], check=False, capture_output=True
        )
        if done.returncode:
            return "does not install"
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6
