"""An answer streamed token by token: microseconds a token, and how many characters are held back.

Beside it, in the same run: what is held back by a look-back of fixed width, and what it costs to search a
fixed window of that width with `re` for every token.
"""

import re
import time

from guard_integrations import GuardPolicy, OutputSanitizer

PROSE = (
    "The committee met on Tuesday to discuss the new timetable, and most of its members agreed that the trains should "
    "run later in the evening. Nobody could say what it would cost. A second meeting will be held in the spring; until "
    "then the old timetable stays in force, with two more trains on Fridays. How it will be paid for is not known yet: "
    'the treasurer spoke of "considerable uncertainty", and asked for patience. '
)
LOOK_BACK = 128
LONGEST = 7


def tokens(text: str) -> list[str]:
    """Cut the way models cut: a word with the space before it, punctuation apart, long words in two."""
    out: list[str] = []
    for piece in re.findall(r" ?[A-Za-z]+|[^\sA-Za-z]+|\s+", text):
        out += (piece[:LONGEST], piece[LONGEST:]) if len(piece) > LONGEST + 1 else (piece,)
    return out


BATCH = 1000


def measure(sanitizer: OutputSanitizer, pieces: list[str]) -> tuple[float, float, int]:
    """Microseconds a token in the best thousand, so that others on the machine count for little; characters held."""
    stream = sanitizer.stream()
    fed = shown = held = most = 0
    best = float("inf")
    for start in range(0, len(pieces) - BATCH, BATCH):
        batch = pieces[start : start + BATCH]
        began = time.thread_time()
        out = [stream.feed(piece) for piece in batch]
        best = min(best, time.thread_time() - began)
        for piece, text in zip(batch, out, strict=True):
            fed += len(piece)
            shown += len(text)
            held += fed - shown
            most = max(most, fed - shown)
    stream.finish()
    return best / BATCH * 1e6, held / (len(pieces) // BATCH * BATCH), most


def measure_re(pieces: list[str]) -> float:
    patterns = [
        re.compile(p) for p in (r"[\w.+-]+@[\w-]+\.[\w.-]+", r"\b\d{3}-\d{2}-\d{4}\b", r"<script\b", r"\b4\d{15}\b")
    ]
    window = ""
    start = time.thread_time()
    for piece in pieces:
        window = (window + piece)[-LOOK_BACK:]
        for pattern in patterns:
            pattern.search(window)
    return (time.thread_time() - start) / len(pieces) * 1e6


def main() -> None:
    text = PROSE * 200
    cuts = {"as models cut": tokens(text), "4 characters each": [text[at : at + 4] for at in range(0, len(text), 4)]}
    for name, pieces in cuts.items():
        print(f"{name}: {len(pieces)} tokens, {sum(map(len, pieces)) / len(pieces):.1f} characters each")
        print(f"{'':34}{'µs/token':>10}{'held':>10}{'most':>10}   held: characters, mean after a token")
        for policy in (GuardPolicy.basic(), GuardPolicy()):
            sanitizer = OutputSanitizer(policy)
            measure(sanitizer, pieces[: 2 * BATCH + 1])
            cost, held, most = measure(sanitizer, pieces)
            print(f"{'OutputSanitizer, ' + policy.profile:34}{cost:>10.2f}{held:>10.2f}{most:>10}")
        fixed = f"re, 4 patterns, {LOOK_BACK} characters back"
        print(f"{fixed:34}{measure_re(pieces):>10.2f}{LOOK_BACK:>10.2f}{LOOK_BACK:>10}\n")


if __name__ == "__main__":
    main()
