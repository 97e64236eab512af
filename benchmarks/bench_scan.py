"""Scanning and sanitising whole texts, side by side with `re`: microseconds a call, and megabytes a second."""

import random
import re
import time
from collections.abc import Callable

from guard_integrations import GuardPolicy, InputSanitizer, OutputSanitizer
from guard_integrations.core.sanitizer.output import detector_of
from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.rule import Rule, rules_of

PROSE = (
    "The committee met on Tuesday to discuss the new timetable, and most of its members agreed that the trains should "
    "run later in the evening. Nobody could say what it would cost. A second meeting will be held in the spring; until "
    "then the old timetable stays in force, with two more trains on Fridays. "
)


def microseconds(call: Callable[[], object], least: float = 0.2) -> float:
    """The best of five runs, each long enough to be measured."""
    call()
    start = time.thread_time()
    call()
    once = max(time.thread_time() - start, 1e-7)
    number = max(1, int(least / 5 / once))
    best = float("inf")
    for _ in range(5):
        start = time.thread_time()
        for _ in range(number):
            call()
        best = min(best, (time.thread_time() - start) / number)
    return best * 1e6


def textbook(rules: tuple[Rule, ...]) -> Callable[[str], int]:
    """The same heads with the standard library, one after the other."""
    patterns = []
    for rule in rules:
        source = Pattern.parse(rule.pattern, ignore_case=rule.ignore_case)
        python = re.sub(r"\\x\{([0-9a-f]+)\}", lambda code: rf"\U{int(code[1], 16):08x}", source.re2)
        patterns.append(re.compile(python))
    return lambda text: sum(1 for pattern in patterns for _ in pattern.finditer(text))


def main() -> None:
    prose = (PROSE * 20)[:4096]
    chat = PROSE[:200]
    print(f"{'':34}{'200 B':>10}{'4 KB':>10}   microseconds, clean prose")
    for stage in ("input", "output"):
        rules = rules_of(GuardPolicy(), stage)
        detector = detector_of(GuardPolicy(), rules)
        name, aims = f"{stage}: {len(rules)} rules alone", (4.0, 40.0) if stage == "input" else ()
        row(name, lambda text, d=detector: d.start().feed(text, final=True), chat, prose, aims=aims)
        row(f"{stage}: the same heads with re", textbook(rules), chat, prose)
    for policy in (GuardPolicy.basic(), GuardPolicy()):
        row(f"InputSanitizer, {policy.profile}", InputSanitizer(policy).sanitize, chat, prose)
        row(f"OutputSanitizer, {policy.profile}", OutputSanitizer(policy).sanitize, chat, prose)
    started = time.thread_time()
    detector_of(GuardPolicy(), rules_of(GuardPolicy(), "output")[:-1]).start().feed(prose, final=True)
    print(f"compiling the output rules and their first use: {1000 * (time.thread_time() - started):.0f} ms")

    print(f"\n{'':34}{'rules':>10}{'all':>10}   MB/s, 1 MB of hostile text, output")
    chance = random.Random(1)  # noqa: S311 - the same text every time
    hostile = {
        "forget forget …": "forget " * 150_000,
        "<script<script…": "<script" * 150_000,
        "![a](//![a](//…": "![a](//" * 150_000,
        "a@a@a@…": "a@" * 500_000,
        "1 1 1 1 …": "1 " * 500_000,
        "one character": "a" * 1_000_000,
        "random digits": "".join(chance.choice("0123456789 -.") for _ in range(1_000_000)),
        "random letters and digits": "".join(
            chance.choice("abcdefABCDEF0123456789_-./=:@+ ") for _ in range(1_000_000)
        ),
        "e-mail addresses": "john.doe@example.com " * 50_000,
        "random characters": "".join(
            chr(chance.choice((50, 900, 8000, 65000, 128000)) + chance.randrange(60)) for _ in range(300_000)
        ),
    }
    detector = detector_of(GuardPolicy(), rules_of(GuardPolicy(), "output"))
    sanitizer = OutputSanitizer()
    for name, text in hostile.items():
        size = len(text.encode()) / 1e6
        alone = size / seconds(lambda t=text: detector.start().feed(t, final=True))
        whole = size / seconds(lambda t=text: sanitizer.sanitize(t))
        print(f"{name:34}{alone:>10.1f}{whole:>10.1f}")


def seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


def row(name: str, call: Callable[[str], object], *texts: str, aims: tuple[float, ...] = ()) -> None:
    took = [microseconds(lambda t=text: call(t)) for text in texts]
    said = "" if not aims else "   within the aim" if all(map(float.__le__, took, aims)) else "   OVER THE AIM"
    print(f"{name:34}" + "".join(f"{each:>10.1f}" for each in took) + said + "".join(f" {aim:g}" for aim in aims))


if __name__ == "__main__":
    main()
