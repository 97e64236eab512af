"""`guard-integrations scan`: megabytes a second on clean prose, memory on a large file, and rows a second by workers.

    python benchmarks/bench_scan_command.py [MEGABYTES]    of the large file; 1000 unless told
    python benchmarks/bench_scan_command.py --table        and writes the README's table; in five minutes, with Ray

Clean prose is English in paragraphs with dates, numbers and names, in which nothing is found: twelve sentences, in random
order. Texts with more words in them, other letters, or things that look like findings take longer: so do real ones, the
topics of Python's `help()` and the licences of the packages that are installed, in which links and addresses are found.

What a core does is told in CPU seconds, since that is the same on a machine that does other things beside; what workers
do together, by the wall. Their start, that of a scan of two rows, is told beside it: what is left is what grows with rows.
"""

import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from pydoc_data import topics
from typing import Final, TypeAlias

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


Speeds: TypeAlias = dict[int, tuple[float, float]]
AIMS: Final = (50, 5)
"""Megabytes a second of a core in documents: with rules, and with the model beside."""
DOCUMENT: Final = 2_000_000
README: Final = Path(__file__).parents[1] / "README.md"


def cores() -> Speeds:
    """What one core does: by the characters of a row, with rules and with the model beside."""
    text = prose(DOCUMENT)
    found: Speeds = {}
    print(f"{'scan_batch, clean prose, MB/s a core':40}" + "".join(f"{n:>12}" for n in ("rules", "and model")))
    for size in (300, 1_000, 4_000, DOCUMENT):
        speeds = []
        for disabled, share in (({"injection-model"}, 1), (set(), 5)):
            scanner = Scanner(GuardPolicy(disabled_rules=frozenset(disabled)))
            rows = [text[at : at + size] for at in range(0, len(text) // share, min(size, len(text) // share))]
            rows = [row[: len(text) // share] for row in rows]
            data = table(rows)
            scanner.scan_batch(data.slice(0, 1))
            best = min(seconds(scanner, data) for _ in range(5))
            speeds.append(sum(map(len, rows)) / 1e6 / best)
        print(f"  rows of {size:>9,} characters{'':13}" + "".join(f"{speed:>12.1f}" for speed in speeds))
        found[size] = speeds[0], speeds[1]
    print(f"  {'aim, in documents':38}" + "".join(f"{aim:>12.1f}" for aim in AIMS))
    return found


def seconds(scanner: Scanner, data: pa.Table) -> float:
    start = time.thread_time()
    scanner.scan_batch(data)
    return time.thread_time() - start


def real() -> dict[str, list[str]]:
    """Texts that people have written and that every machine with Python has, by what they are."""
    files = [file for one in distributions() for file in one.files or () if "LICENSE" in file.name.upper()]
    paths = [path for file in files if (path := Path(str(file.locate()))).is_file()]
    licences = sorted({path.read_text(encoding="utf-8", errors="replace") for path in paths})
    return {"Python's help topics": list(topics.topics.values()), "licences of packages": licences}


def real_prose() -> dict[str, tuple[float, float]]:
    """What one core does with texts that people have written."""
    found: dict[str, tuple[float, float]] = {}
    print(f"\n{'real prose, MB/s a core':40}{'rules':>12}{'and model':>12}{'MB':>8}{'findings':>10}")
    for name, texts in real().items():
        data = table(texts)
        size = sum(map(len, texts)) / 1e6
        speeds = []
        for disabled in ({"injection-model"}, set()):
            scanner = Scanner(GuardPolicy(disabled_rules=frozenset(disabled)))
            count = scanner.scan_batch(data).num_rows
            speeds.append(size / min(seconds(scanner, data) for _ in range(3)))
        print(f"  {name:38}{speeds[0]:>12.1f}{speeds[1]:>12.1f}{size:>8.2f}{count:>10,}")
        found[name] = speeds[0], speeds[1]
    return found


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to scan: rows a second with the start, seconds of the start, and rows a second without it."""

    name: str
    speed: float
    start: float
    after: float


def engines(folder: Path, count: int, *options: str) -> list[Way]:
    """Rows a second by workers, and that all engines find the same."""
    small = [folder / f"small-{number}.txt" for number in range(2)]
    for one in small:
        one.write_text("Two files are two units: the workers are started.", encoding="utf-8")
    path = folder / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": row}) + "\n" for row in rows(count))
    what = f"{count:,} rows of JSON lines, {'rules' if options else 'rules and model'}"
    print(f"\n{what:40}{'wall s':>12}{'start s':>12}{'rows/s':>12}{'without':>12}{'CPU s':>12}   same findings")
    found: list[Way] = []
    first = b""
    ways = [("1 worker", ["--workers", "1"]), ("2 workers", ["--workers", "2"])]
    if find_spec("ray") is not None:
        ways.append(("Ray on this machine", ["--engine", "ray"]))
    for name, way in ways:
        out = folder / "findings.jsonl"
        start = min(command(*options, "--output", str(out), *way, *map(str, small))[0] for _ in range(2))
        wall, cpu, _ = command(*options, "--output", str(out), *way, str(path))
        first = first or out.read_bytes()
        same = "yes" if out.read_bytes() == first else "NO"
        done = Way(name=name, speed=count / wall, start=start, after=count / max(wall - start, 0.001))
        print(f"  {name:38}{wall:>12.1f}{start:>12.1f}{done.speed:>12,.0f}{done.after:>12,.0f}{cpu:>12.1f}   {same}")
        found.append(done)
    if find_spec("ray") is None:
        print("  Ray is not installed: pip install 'guard-integrations[ray]'")
    return found


def rows(count: int) -> Iterator[str]:
    """A thousand characters each; one in fifty has something in it."""
    text = prose(1_000_000)
    for number in range(count):
        at = number * 997 % (len(text) - 1000)
        yield text[at : at + 1000] + (" Write to marie@example.com." if number % 50 == 0 else "")


def written(
    speeds: Speeds, real_: dict[str, tuple[float, float]], counts: tuple[int, int], engines_: list[list[Way]]
) -> str:
    """The README's table."""
    lines = ["| one core: clean prose, then two real texts | rules | rules and model |", "|---|--:|--:|"]
    for size, (rules, model) in speeds.items():
        name = "documents" if size == DOCUMENT else f"rows of {size:,} characters"
        lines.append(f"| {name} | {rules:.0f} MB/s | {model:.1f} MB/s |")
    lines += [f"| {name} | {rules:.1f} MB/s | {model:.1f} MB/s |" for name, (rules, model) in real_.items()]
    head = "rows of 1,000 characters, one in fifty with a finding"
    lines += ["", f"| {head} | start | rules | slope | rules and model | slope |", "|---|--:|--:|--:|--:|--:|"]
    for by_rules, by_model in zip(*engines_, strict=True):
        slopes = (one.after / ways[0].after for one, ways in zip((by_rules, by_model), engines_, strict=True))
        cells = [
            f"{one.speed:,.0f} rows/s | {slope:.2f}" for one, slope in zip((by_rules, by_model), slopes, strict=True)
        ]
        lines.append(f"| {by_rules.name} | {by_rules.start:.1f} s | {' | '.join(cells)} |")
    said = (
        f"By `python benchmarks/bench_scan_command.py --table` on {os.cpu_count()} cores, Python "
        f"{platform.python_version()}. {counts[0]:,} rows with rules, {counts[1]:,} with the model beside, from the "
        "command's start to its end. The start is that of a scan of two rows; the slope is against one worker, without it. "
        "The help topics are Python's, the licences those of the packages that are installed: links and addresses are "
        "found in them, which takes longer than finding nothing."
    )
    lines += ["", said]
    return "\n".join(lines)


def put(table: str) -> None:
    """Writes the table where the README has its place."""
    begin, end = "<!-- scan table -->", "<!-- /scan table -->"
    before, _, rest = README.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"README.md has no place for the table: {begin} and {end}")
    README.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def main() -> None:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {load:.1f} at the start\n")
    tabled = "--table" in sys.argv[1:]
    if tabled and find_spec("ray") is None:
        sys.exit("the table needs Ray: pip install 'guard-integrations[ray]'")
    speeds = cores()
    by_people = real_prose()
    with tempfile.TemporaryDirectory() as folder:
        if tabled:
            counts = 400_000, 60_000
            found = [engines(Path(folder), counts[0], "--rules-only"), engines(Path(folder), counts[1])]
            put(written(speeds, by_people, counts, found))
            return
        memory(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
        engines(Path(folder), 60_000, "--rules-only")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\nthis script itself: {largest // 1024} MB")


if __name__ == "__main__":
    main()
