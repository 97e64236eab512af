"""An answer streamed token by token: microseconds a token, and how many characters are held back, and by which rule.

Beside it, in the same run: what is held back by a look-back of fixed width, and what it costs to search a
fixed window of that width with `re` for every token.

*Held* is what has come and is not out yet, counted after each token. No stream can hold less than the *bound* and hide
e-mail addresses from their first character on: a token that ends inside a word, or with it, may be followed by `@`,
so that all of the word so far has to wait.
"""

import re
import time
from collections.abc import Callable

from guard_integrations import GuardPolicy, OutputSanitizer
from guard_integrations.core.scanner.live import Live
from guard_integrations.core.scanner.rule import rules_of

PROSE = (
    "The committee met on Tuesday to discuss the new timetable, and most of its members agreed that the trains should "
    "run later in the evening. Nobody could say what it would cost. A second meeting will be held in the spring; until "
    "then the old timetable stays in force, with two more trains on Fridays. How it will be paid for is not known yet: "
    'the treasurer spoke of "considerable uncertainty", and asked for patience. '
)
LOOK_BACK = 128
LONGEST = 7
MOST_RULES = 6
_WORD = re.compile(r"\w*\Z")


def tokens(text: str) -> list[str]:
    """Cut the way models cut: a word with the space before it, punctuation apart, long words in two."""
    out: list[str] = []
    for piece in re.findall(r" ?[A-Za-z]+|[^\sA-Za-z]+|\s+", text):
        out += (piece[:LONGEST], piece[LONGEST:]) if len(piece) > LONGEST + 1 else (piece,)
    return out


CUTS: dict[str, Callable[[str], list[str]]] = {
    "as models cut": tokens,
    "4 characters each": lambda text: [text[at : at + 4] for at in range(0, len(text), 4)],
    "as LangChain's fake models cut, words and spaces apart": lambda text: [
        piece for piece in re.split(r"(\s)", text) if piece
    ],
}
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


def bound(pieces: list[str]) -> float:
    """The mean length of the word that each token ends in."""
    come = ""
    held = 0
    for piece in pieces:
        come = (come + piece)[-LOOK_BACK:]
        held += len(_WORD.findall(come)[0])
    return held / len(pieces)


def held_by_rule(pieces: list[str]) -> list[tuple[float, str]]:
    """What each rule would hold back by itself, the most first. Together they hold the longest of it, not the sum."""
    found: list[tuple[float, str]] = []
    for rule in rules_of(GuardPolicy(), "output"):
        live = Live([rule])
        data = b""
        at = held = 0
        for piece in pieces:
            data += piece.encode()
            at = live.hold(data, at)
            held += len(data) - at
        found.append((held / len(pieces), rule.id))
    return sorted(found, reverse=True)


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
    for name, cut in CUTS.items():
        pieces = cut(text)
        print(f"{name}: {len(pieces)} tokens, {sum(map(len, pieces)) / len(pieces):.1f} characters each")
        print(f"{'':34}{'µs/token':>10}{'held':>10}{'most':>10}   held: characters, mean after a token")
        for policy in (GuardPolicy.basic(), GuardPolicy()):
            sanitizer = OutputSanitizer(policy)
            measure(sanitizer, pieces[: 2 * BATCH + 1])
            cost, held, most = measure(sanitizer, pieces)
            print(f"{'OutputSanitizer, ' + policy.profile:34}{cost:>10.2f}{held:>10.2f}{most:>10}")
        fixed = f"re, 4 patterns, {LOOK_BACK} characters back"
        print(f"{fixed:34}{measure_re(pieces):>10.2f}{LOOK_BACK:>10.2f}{LOOK_BACK:>10}")
        print(f"{'bound: the word that a token ends in':44}{bound(pieces):>10.2f}")
        for held, rule in held_by_rule(cut(PROSE * 2))[:MOST_RULES]:
            print(f"{'  by itself, ' + rule:44}{held:>10.2f}")
        print()


if __name__ == "__main__":
    main()
