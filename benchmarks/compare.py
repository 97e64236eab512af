r"""Ours beside every peer that can be installed, in one run: injection, secrets, streams, import time, install size.

    make compare

makes a throwaway environment with the peers in it and runs this and `bench_pii.py`, which compares personal data. None
of them becomes part of the project. Every peer runs at its defaults. What is not installed is named, not guessed.
"""

import argparse
import asyncio
import gzip
import importlib
import json
import logging
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from guard_integrations import InputSanitizer, OutputSanitizer
from guard_integrations.core.scanner.classifier import Classifier
from training import data

Flags = Callable[[str, str], bool]
"""Whether a text that stands at a stage is flagged."""

SAMPLE = 60
"""Texts of a set and label at most: some peers take 20 ms each."""
PACKAGES = {
    "guard-integrations": ("", "guard_integrations"),
    "datafog": ("datafog", "datafog"),
    "presidio-analyzer": ("presidio-analyzer", "presidio_analyzer"),
    "stackone-defender": ("stackone-defender[onnx]", "stackone_defender"),
    "forcefield": ("forcefield", "forcefield"),
    "zn-gate": ("zn-gate", "zn_gate"),
    "detect-secrets": ("detect-secrets", "detect_secrets"),
    "nemoguardrails": ("nemoguardrails", "nemoguardrails"),
    "llm-guard": ("llm-guard", "llm_guard"),
}
missing: dict[str, str] = {}


def loaded(name: str, make: Callable[[], Flags]) -> Iterator[tuple[str, Flags]]:
    """A peer with its version, or nothing where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield f"{name} {version(name)}", make()
    except (ImportError, PackageNotFoundError) as error:
        missing[name] = type(error).__name__


# -- injection ---------------------------------------------------------------------------------------------------------


def ours() -> Flags:
    """The shipped scanner. Its model was trained on these very sets: the model card has the fair figures."""
    guard = InputSanitizer()
    return lambda text, stage: guard.scan(text, stage).is_injection  # type: ignore[arg-type]


def stackone() -> Flags:
    """Both tiers, its own model included."""
    defense = importlib.import_module("stackone_defender").create_prompt_defense(block_high_risk=True)
    return lambda text, _: not defense.defend_tool_result(text, "read_file").allowed


def forcefield() -> Flags:
    """The default sensitivity."""
    guard = importlib.import_module("forcefield").Guard()
    return lambda text, _: bool(guard.scan(text).blocked)


def zn_gate() -> Flags:
    """The rules that it ships."""
    evaluate = importlib.import_module("zn_gate").evaluate
    return lambda text, _: evaluate(text).verdict != "allow"


def nemo_yara() -> Flags:
    """The YARA rules of its injection rail: SQL, templates, code and markup, not orders to a model."""
    yara = importlib.import_module("yara")
    rules = Path(importlib.import_module("nemoguardrails.library.injection_detection").__file__ or "").parent
    compiled = yara.compile(filepaths={file.stem: str(file) for file in sorted(rules.glob("yara_rules/*.yara"))})
    return lambda text, _: bool(compiled.match(data=text))


def injection() -> None:
    """Recall and false alarms, the mean over sets, and microseconds a text."""
    print("\n## Prompt injection (development data, at most 60 texts of a set and label; means over sets)\n")
    chance = Random(1)  # noqa: S311 - a sample
    groups: dict[tuple[str, int], list[data.Row]] = defaultdict(list)
    for fold in data.FOLDS:
        for row in data.rows(fold):
            groups[row.set, row.label].append(row)
    samples = {key: chance.sample(rows, min(SAMPLE, len(rows))) for key, rows in groups.items()}
    scanners: dict[str, Flags] = {"guard-integrations (trained on these sets; left out: see the model card)": ours()}
    for name, make in (
        ("stackone-defender", stackone),
        ("forcefield", forcefield),
        ("zn-gate", zn_gate),
        ("nemoguardrails", nemo_yara),
    ):
        scanners |= dict(loaded(name, make))
    print("| scanner | caught | flagged for nothing | median µs | worst set flagged |")
    print("|---|--:|--:|--:|--:|")
    for name, flags in scanners.items():
        rates: dict[int, list[float]] = {0: [], 1: []}
        times: list[float] = []
        for (_, label), rows in samples.items():
            hits = 0
            for row in rows:
                started = time.thread_time()
                hits += flags(row.text, row.stage)
                times.append(time.thread_time() - started)
            rates[label].append(hits / len(rows))
        caught, flagged = statistics.mean(rates[1]), statistics.mean(rates[0])
        print(f"| {name} | {caught:.1%} | {flagged:.1%} | {statistics.median(times) * 1e6:.0f} | {max(rates[0]):.1%} |")


# -- secrets -----------------------------------------------------------------------------------------------------------


def our_secrets() -> Flags:
    """Any finding of the category `secret` in an answer."""
    sanitizer = OutputSanitizer(render="text")
    return lambda text, _: any(found.category == "secret" for found in sanitizer.sanitize(text).findings)


def detect_secrets() -> Flags:
    """All its plug-ins, line by line."""
    settings = importlib.import_module("detect_secrets.settings")
    scan_line = importlib.import_module("detect_secrets.core.scan").scan_line

    def flags(text: str, _: str) -> bool:
        with settings.default_settings():
            return any(True for line in text.splitlines() for _ in scan_line(line))

    return flags


def secrets() -> None:
    """How many of the examples of rules and of the counterexamples are flagged."""
    print("\n## Secrets (examples and counterexamples of other scanners' rules)\n")
    scanners: dict[str, Flags] = {"guard-integrations": our_secrets()}
    for name, make in (("detect-secrets", detect_secrets), ("zn-gate", zn_gate)):
        scanners |= dict(loaded(name, make))
    print("| scanner | set | found | of | flagged for nothing | of |")
    print("|---|---|--:|--:|--:|--:|")
    for path in sorted(data.folder().glob("secrets_*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        for name, flags in scanners.items():
            counts = {
                label: [flags(row["text"], "output") for row in rows if int(row["label"]) == label] for label in (0, 1)
            }
            found, wrong = counts[1], counts[0]
            print(
                f"| {name} | {path.name.removesuffix('.jsonl.gz').removeprefix('secrets_')} | {sum(found) / max(1, len(found)):.1%} "
                f"| {len(found)} | {sum(wrong) / max(1, len(wrong)):.1%} | {len(wrong)} |"
            )


# -- streams -----------------------------------------------------------------------------------------------------------

STREAMS = 200
FILLER = "The committee met on Tuesday to discuss the new timetable, and most of its members agreed. "


def streams() -> None:
    """An agent's answer with an e-mail address, streamed in random pieces: how often does a piece of it come out?"""
    print(f"\n## Streams ({STREAMS} answers of an agent with one e-mail address each, in random pieces)\n")
    print("| middleware | streams in which part of the address came out | last characters lost |")
    print("|---|--:|--:|")
    try:
        agents = importlib.import_module("langchain.agents")
        peer = importlib.import_module("langchain.agents.middleware").PIIMiddleware
        ours = importlib.import_module("guard_integrations.langchain").GuardMiddleware
    except ImportError as error:
        missing["langchain"] = type(error).__name__
        return
    middlewares = {
        "guard-integrations GuardMiddleware": ours,
        f"langchain {version('langchain')} PIIMiddleware": lambda: peer("email", apply_to_output=True),
    }
    for name, make in middlewares.items():
        chance, leaked, lost = Random(1), 0, 0  # noqa: S311 - random pieces
        for number in range(STREAMS):
            local = "".join(chance.choice("bcdfghjklmnpqrstvwxz") for _ in range(8))
            text = f"{FILLER * chance.randint(0, 4)}Write to {local}@example.com {FILLER}End {number}."
            pieces = list(_pieces(text, chance))
            agent = agents.create_agent(_model(pieces), tools=[], middleware=[make()])
            shown = asyncio.run(_shown(agent))
            leaked += any(local[start : start + 4] in shown for start in range(5))
            lost += not shown.endswith(f"End {number}.")
        print(f"| {name} | {leaked / STREAMS:.1%} | {lost / STREAMS:.1%} |")


def _pieces(text: str, chance: Random) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = chance.randint(1, 12)
        yield text[at : at + size]
        at += size


def _model(pieces: list[str]) -> Any:  # noqa: ANN401 - a class made where LangChain is known to be there
    chat = importlib.import_module("langchain_core.language_models.chat_models")
    messages = importlib.import_module("langchain_core.messages")
    outputs = importlib.import_module("langchain_core.outputs")

    class Streaming(chat.BaseChatModel):  # type: ignore[misc, name-defined] # as above
        """Says its pieces."""

        @property
        def _llm_type(self) -> str:
            return "pieces"

        def _generate(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - the parent's signature
            return outputs.ChatResult(
                generations=[outputs.ChatGeneration(message=messages.AIMessage(content="".join(pieces)))]
            )

        def _stream(self, *_: Any, run_manager: Any = None, **__: Any) -> Any:  # noqa: ANN401 - as above
            for piece in pieces:
                chunk = outputs.ChatGenerationChunk(message=messages.AIMessageChunk(content=piece, id="1"))
                if run_manager:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk

    return Streaming()


async def _shown(agent: Any) -> str:  # noqa: ANN401 - as above
    shown = []
    async for chunk, _ in agent.astream({"messages": [("user", "Hello")]}, stream_mode="messages"):
        if type(chunk).__name__ == "AIMessageChunk":
            shown.append(chunk.text)
    return "".join(shown)


# -- import and size ---------------------------------------------------------------------------------------------------


def weight(sizes: bool) -> None:  # noqa: FBT001 - the command's own flag
    """What it costs to have them: milliseconds to import, and megabytes with all that they need."""
    print("\n## Import time (median of 5, the interpreter's own taken off) and install size (with dependencies)\n")
    print("| package | import ms | installed MB |")
    print("|---|--:|--:|")
    bare = _import_ms("sys")
    for name, (requirement, module) in PACKAGES.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            missing[name] = type(error).__name__
            continue
        size = _installed_mb(requirement or str(Path(__file__).parents[1])) if sizes else "not measured"
        print(f"| {name} | {_import_ms(module) - bare:.0f} | {size} |")


def _import_ms(module: str) -> float:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True, capture_output=True)  # noqa: S603 - ourselves
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def _installed_mb(requirement: str) -> str:
    uv = shutil.which("uv")
    if uv is None:
        return "needs uv"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - a package manager and our own list
            [uv, "pip", "install", "--quiet", "--target", folder, requirement], check=False, capture_output=True
        )
        if done.returncode:
            return "does not install"
        return f"{sum(file.stat().st_size for file in Path(folder).rglob('*') if file.is_file()) / 1e6:.0f}"


def main() -> None:
    """Runs every scene."""
    options = argparse.ArgumentParser()
    options.add_argument("--sizes", action="store_true", help="also install each into a folder of its own")
    given = options.parse_args()
    logging.disable()
    Classifier.load()
    print(
        f"{platform.machine()}, Python {platform.python_version()}, guard-integrations {version('guard-integrations')}"
    )
    streams()
    try:
        injection()
        secrets()
    except FileNotFoundError as error:
        print(f"\nInjection and secrets are not compared: {error}")
    weight(given.sizes)
    if missing:
        print(f"\nNot installed: {', '.join(f'{name} ({why})' for name, why in sorted(missing.items()))}")


if __name__ == "__main__":
    main()
