"""`guard-integrations scan`: megabytes a second on clean prose, memory on a large file, and rows a second by workers.

    python benchmarks/bench_scan_command.py [MEGABYTES]    of the large file; 1000 unless told

CPU seconds count, not those on the wall: what a core does is the same on a machine that does other things beside.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from guard_integrations import GuardPolicy
from guard_integrations.scan import ROWS, Scanner

SENTENCES = [
    "The committee met on Tuesday to discuss the new timetable, and most of its members agreed with it.",
    "Trains should run later in the evening, said the mayor, but nobody could say what it would cost.",
    "A second meeting will be held in the spring; until then the old timetable stays in force.",
    "In 1998 the line carried some 40,000 people a day, and twice as many ten years later.",
    "Her grandfather had built the house by the river with his own hands, stone by stone.",
    "Bread is baked twice a day, at four in the morning and again after lunch.",
    "The museum is closed on Mondays, except in August, when it is open all week.",
    "Whoever walks up the hill in the morning sees the whole valley under a sea of fog.",
    "They had tried everything: salt, vinegar, even a candle in the window.",
    "Nothing in the report explains why the bridge held for so long.",
    "The second half of the concert was given to younger composers from the region.",
    "Snow fell all night, and by dawn the road to the village was gone.",
]


def prose(size: int, seed: int = 1) -> str:
    """Sentences in paragraphs, of so many characters."""
    chance = random.Random(seed)  # noqa: S311 - the same text every time
    parts: list[str] = []
    length = 0
    while length < size:
        parts.append(chance.choice(SENTENCES) + chance.choice((" ", " ", " ", "\n\n")))
        length += len(parts[-1])
    return "".join(parts)[:size]


def table(texts: list[str]) -> pa.Table:
    count = len(texts)
    return pa.table([["p"] * count, list(range(count)), ["jsonl"] * count, texts], schema=ROWS)


def cores() -> None:
    """What one core does."""
    text = prose(2_000_000)
    print(f"{'scan_batch, clean prose, MB/s a core':40}" + "".join(f"{n:>12}" for n in ("rules", "and model")))
    for size in (300, 1_000, 4_000, 2_000_000):
        speeds = []
        for disabled, share in (({"injection-model"}, 1), (set(), 5)):
            scanner = Scanner(GuardPolicy(disabled_rules=frozenset(disabled)))
            rows = [text[at : at + size] for at in range(0, len(text) // share, min(size, len(text) // share))]
            rows = [row[: len(text) // share] for row in rows]
            data = table(rows)
            scanner.scan_batch(data.slice(0, 1))
            best = min(seconds(scanner, data) for _ in range(3))
            speeds.append(sum(map(len, rows)) / 1e6 / best)
        print(f"  rows of {size:>9,} characters{'':13}" + "".join(f"{speed:>12.1f}" for speed in speeds))


def seconds(scanner: Scanner, data: pa.Table) -> float:
    start = time.thread_time()
    scanner.scan_batch(data)
    return time.thread_time() - start


def command(*arguments: str) -> tuple[float, float, int]:
    """Seconds on the wall, CPU seconds, and the largest process's memory in MB of a scan."""
    code = (
        "import json, resource, subprocess, sys, time\n"
        "start = time.monotonic()\n"
        "done = subprocess.run(sys.argv[1:], check=False, stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss, done.returncode]))"
    )
    scan = [sys.executable, "-m", "guard_integrations", "scan", *arguments]
    done = subprocess.run([sys.executable, "-c", code, *scan], check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    wall, cpu, memory, exit_code = json.loads(done.stdout)
    if exit_code not in {0, 1}:
        sys.exit(f"scan ended with {exit_code}")
    return wall, cpu, memory // (1 if sys.platform == "darwin" else 1024)


def memory(folder: Path, size: int) -> None:
    """One large file."""
    block = prose(10_000_000).encode()
    print(f"\n{'one text file, rules only, all cores':40}{'wall s':>12}{'CPU s':>12}{'MB/CPU s':>12}{'largest MB':>12}")
    for megabytes in sorted({50, size}):
        path = folder / "large.txt"
        with path.open("wb") as file:
            for _ in range(megabytes // 10):
                file.write(block)
        wall, cpu, most = command("--rules-only", "--output", str(folder / "out.jsonl"), str(path))
        print(f"  {megabytes:>8,} MB{'':27}{wall:>12.1f}{cpu:>12.1f}{megabytes / cpu:>12.1f}{most:>12,}")
        path.unlink()


def engines(folder: Path) -> None:
    """Rows a second by workers, and that all engines find the same."""
    path = folder / "rows.jsonl"
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows():
            file.write(json.dumps({"text": row}) + "\n")
            count += 1
    print(
        f"\n{f'{count:,} rows of JSON lines, rules only':40}{'wall s':>12}{'rows/s':>12}{'CPU s':>12}   same findings"
    )
    first = b""
    ways = [("1 worker", ["--workers", "1"]), ("2 workers", ["--workers", "2"])]
    if find_spec("ray") is not None:
        ways.append(("Ray on this machine", ["--engine", "ray"]))
    for name, options in ways:
        out = folder / "findings.jsonl"
        wall, cpu, _ = command("--rules-only", "--output", str(out), *options, str(path))
        first = first or out.read_bytes()
        same = "yes" if out.read_bytes() == first else "NO"
        print(f"  {name:38}{wall:>12.1f}{count / wall:>12,.0f}{cpu:>12.1f}   {same}")
    if find_spec("ray") is None:
        print("  Ray is not installed: pip install 'guard-integrations[ray]'")


def rows() -> Iterator[str]:
    """A thousand characters each; one in fifty has something in it."""
    text = prose(1_000_000)
    for number in range(60_000):
        at = number * 997 % (len(text) - 1000)
        yield text[at : at + 1000] + (" Write to marie@example.com." if number % 50 == 0 else "")


def main() -> None:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {load:.1f} at the start\n")
    cores()
    with tempfile.TemporaryDirectory() as folder:
        memory(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
        engines(Path(folder))
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\nthis script itself: {largest // 1024} MB")


if __name__ == "__main__":
    main()
