"""Texts made from rules: matches, beginnings of matches, and what lies between them. For properties and the fuzzer."""

import re
from collections.abc import Iterable
from random import Random
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits

from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.rule import Rule, Run
from guard_integrations.core.scanner.syntax import Alternatives, Characters, Edge, Node, Repeat, Sequence

_GLUE = [
    "",
    "",
    " ",
    " ",
    "\n",
    "  ",
    "-",
    ".",
    ",",
    "x",
    "1",
    "_",
    ":",
    ": ",
    "@",
    "/",
    "é",
    "漢",
    "😀",
    "\ud800",
    "\x00",
]
INVISIBLE = ["\u200b", "\u200d", "\u202e", "\u2060", "\ufeff", "\x1b[31m", "\x1b]8;;", "\x07", "\U000e0041", "\u00ad"]
MARKUP = [
    *(
        "<b>",
        "</b>",
        "<img src=",
        "https://e.example/x?q=1",
        "![a](",
        "](",
        ")",
        "[a]: ",
        "[a]",
        "```",
        "`",
        "<!--",
        "-->",
    ),
    *(
        "&lt;",
        "\n\n",
        "\n    ",
        "\n> ",
        "\n- ",
        "<a href='",
        "'>",
        "<script",
        "</script>",
        "<svg/onload=x>",
        "javascript:",
    ),
    *("//e.example", "data:text/html;base64,", "<https://e.example/", ">", "<", "\n```\n", "~~~", "*", "_", "\\"),
]
_FEW = 3
_KINDS = {
    "aws": ascii_uppercase + "234567",
    "alnum": ascii_letters + digits,
    "alpha": ascii_letters,
    "base64": ascii_letters + digits + "+/",
    "digits": digits,
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "lower": ascii_lowercase + digits,
    "upper": ascii_uppercase + digits,
    "url": ascii_letters + digits + "-_",
}
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(_KINDS)}):(\d+)\}}")


def written_out(example: str) -> str:
    """An example with its placeholders filled: `{hex:32}` with 32 characters, the same each time, of every kind that it may have."""
    chance = Random(example)  # noqa: S311 - no secret

    def fill(place: re.Match[str]) -> str:
        kind = _KINDS[place[1]]
        while True:
            text = "".join(chance.choices(kind, k=int(place[2])))
            wanted = [set(kind) & set(some) for some in (ascii_lowercase, ascii_uppercase, digits)]
            if len(text) < len(wanted) or all(not some or some & set(text) for some in wanted):
                return text

    return _PLACEHOLDER.sub(fill, example)


def sample(node: Node, chance: Random) -> str:
    """A text that the node stands for, more often short than long; edges are left to luck."""
    match node:
        case Characters(ranges, negated):
            while True:
                low, high = chance.choice(
                    ((32, 126), (32, 126), (0xA0, 0x24F), (0x4E00, 0x4E50)) if negated else ranges
                )
                code = chance.randint(low, high)
                if not negated or not any(first <= code <= last for first, last in ranges):
                    return chr(code)
        case Edge():
            return ""
        case Sequence(items):
            return "".join(sample(item, chance) for item in items)
        case Alternatives(branches):
            return sample(chance.choice(branches), chance)
        case Repeat(item, low, high):
            most = low + _FEW if high is None or chance.random() < 0.9 else high
            number = chance.randint(low, most if high is None else min(most, high))
            return "".join(sample(item, chance) for _ in range(number))


def matching(rule: Rule, chance: Random) -> str:
    """A head of the rule, in any case where case does not matter, with a lead, a tail and context words now and then."""
    text = sample(rule.head.root, chance)
    if rule.ignore_case:
        text = chance.choice((str, str.lower, str.upper, str.title))(text)
    if rule.lead and chance.random() < 0.5:
        text = sample(Pattern.parse(rule.lead).root, chance) + text
    for phase in rule.tail:
        if chance.random() < 0.7:
            source = phase.run if isinstance(phase, Run) else phase.until
            times = chance.randint(1, 30) if isinstance(phase, Run) else 1
            text += "".join(sample(Pattern.parse(source).root, chance) for _ in range(times))
    if rule.context and chance.random() < 0.5:
        text = chance.choice(rule.context.raises + rule.context.lowers) + chance.choice((" ", ": ", "x")) + text
    return text


def fragment(rules: Iterable[Rule], chance: Random) -> str:
    """A match, an example, or a piece of one."""
    rule = chance.choice(tuple(rules))
    told = rule.examples + rule.counterexamples
    text = written_out(chance.choice(told)) if chance.random() < 0.3 else matching(rule, chance)
    if chance.random() < 0.4:
        start, end = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
        text = text[start:end]
    return text


def hostile(rules: Iterable[Rule], chance: Random, pieces: int = 8) -> str:
    """Fragments with little or nothing between them."""
    rules = tuple(rules)
    parts: list[str] = []
    for _ in range(chance.randint(1, pieces)):
        parts += (fragment(rules, chance), chance.choice(_GLUE))
        if chance.random() < 0.1:
            at = chance.randint(0, len(parts[-2]))
            parts[-2] = parts[-2][:at] + chance.choice(INVISIBLE) * chance.choice((1, 1, 2)) + parts[-2][at:]
    return "".join(parts)


def chunks(text: str, chance: Random) -> list[str]:
    """The text in pieces: character by character now and then, else of any length."""
    if chance.random() < 0.3:
        return list(text)
    out: list[str] = []
    at = 0
    while at < len(text):
        size = chance.choice((0, 1, 1, 2, 3, 4, 5, 8, 13, 40))
        out.append(text[at : at + size])
        at += size
    return out
