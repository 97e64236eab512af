"""The character tables behind `normalise`: what looks like what, what nobody sees, and the words attacks hide."""

import re
from typing import Final

__all__ = [
    "ANCHORS",
    "CONFUSABLES",
    "INVISIBLE",
    "LEET",
    "LIGATURES",
    "LOOK_ALIKE",
    "MIXED",
    "MORSE",
    "SELECTORS",
    "SINGLE",
    "TAGS",
    "UNSEEN",
    "disguised",
]


def _pairs(those: str, these: str) -> dict[int, int]:
    return dict(zip(map(ord, those), map(ord, these), strict=True))


def _run(first: int, letters: str) -> dict[int, int]:
    return {first + i: ord(letter) for i, letter in enumerate(letters)}


_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"

SINGLE: Final[dict[int, int]] = {
    **_pairs("ıİłŁøØđĐħĦŧŦƀɓɗƙƥƭɨɫɵ", "iillooddhhttbbdkptilo"),
    **_pairs("ᴀʙᴄᴅᴇғɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprtuvwyz"),
    **dict.fromkeys(range(0x2018, 0x201C), ord("'")),
    **dict.fromkeys(range(0x201C, 0x2020), ord('"')),
    **dict.fromkeys([*range(0x2010, 0x2016), 0x2212], ord("-")),
    **dict.fromkeys((0x2044, 0x2215), ord("/")),
    **_pairs("ёأإآٱى", "еااااي"),
    **_run(0x249C, _ALPHABET),  # parenthesised
    **_run(0x1F110, _ALPHABET),
    **_run(0x1F150, _ALPHABET),  # negative circled
    **_run(0x1F170, _ALPHABET),  # negative squared
    **_run(0x1F1E6, _ALPHABET),  # regional indicators
}
"""Letters that Unicode does not decompose to the plain letter they stand for."""

_CYRILLIC: Final = _pairs("аеорсухіјѕһԁԛԝвкмнтгпАВЕКМНОРСТУХІЈЅԌ", "aeopcyxijshdqwbkmhtrnABEKMHOPCTYXIJSG")
_GREEK: Final = _pairs("αοεικνρτυχγηωωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aoeikvptuxynwwABEZHIKMNOPTYX")
_OTHERS: Final = _pairs("օոսցհեɑɡɩʋԍꓮꓐꓚꓓꓰꓖꓧꓲꓡꓟꓠꓳꓑꓢꓔꓴ", "onugheagivgABCDEGHILMNOPSTU")
_FLIPPED: Final = _pairs("ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ", "acefghijkmrtvwy")
CONFUSABLES: Final[dict[int, int]] = {**_CYRILLIC, **_GREEK, **_OTHERS, **_FLIPPED}
"""Letters of other scripts, and upside-down ones, that read as Latin (after Unicode TR 39, the ones in use)."""

_FOREIGN: Final = "".join(map(chr, CONFUSABLES))
MIXED: Final = re.compile(
    rf"[A-Za-z][{_FOREIGN}]|[{_FOREIGN}][A-Za-z]|[{''.join(map(chr, _FLIPPED))}]{{2}}"
    rf"|[A-Za-z]{{3}}\W{{1,3}}[{_FOREIGN}]{{3,}}\b|\b[{_FOREIGN}]{{3,}}\W{{1,3}}[A-Za-z]{{3}}"
)
"""Latin letters and look-alikes side by side: in one word, or a word of look-alikes beside a Latin one."""

TAGS: Final = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0001-\U000e007f]{2,}")
"""ASCII in Unicode's tag characters, which no font draws. After a black flag they are a region's flag."""

SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
"""Runs of variation selectors, each of which can stand for a byte."""

_UNSEEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e01ef"
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u0640\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\ufe20-\ufe2f"
)
_JOINED: Final = "\u200d\ufe00-\ufe0f"

INVISIBLE: Final = re.compile(rf"(?:[{_UNSEEN}]|(?<=\w)[{_JOINED}])+")
"""What no reader sees, and marks that only decorate the letter before them."""

UNSEEN: Final = re.compile(f"[{_UNSEEN}{_JOINED}]")
"""A character without which neither `TAGS` nor `SELECTORS` nor `INVISIBLE` has a match."""

LOOK_ALIKE: Final = re.compile(f"[{_FOREIGN}]")
"""A character without which `MIXED` has no match."""

LIGATURES: Final = re.compile("[\ufb00-\ufb06]|[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?")
"""Several letters in one character, and Korean syllables taken apart."""

TELLING: Final = re.compile(
    f"[{_FOREIGN}{''.join(map(chr, _FLIPPED))}"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e01ef"
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u0640\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\ufe20-\ufe2f\ufb00-\ufb06\u1100-\u1112]"
)
"""A character without which none of the patterns above has a match."""

LEET: Final = str.maketrans("0134578@$!|€£+9", "oieastbasiiclt" + "g")
"""Digits and signs that stand for letters."""

MORSE: Final[dict[str, str]] = dict(
    zip(
        (
            ".-",
            "-...",
            "-.-.",
            "-..",
            ".",
            "..-.",
            "--.",
            "....",
            "..",
            ".---",
            "-.-",
            ".-..",
            "--",
            "-.",
            "---",
            ".--.",
            "--.-",
            ".-.",
            "...",
            "-",
            "..-",
            "...-",
            ".--",
            "-..-",
            "-.--",
            "--..",
            "-----",
            ".----",
            "..---",
            "...--",
            "....-",
            ".....",
            "-....",
            "--...",
            "---..",
            "----.",
        ),
        _ALPHABET + "0123456789",
        strict=True,
    )
)

ANCHORS: Final = (
    "ignore", "disregard", "forget", "override", "bypass", "previous", "instructions", "instruction", "guidelines",
    "system", "prompt", "reveal", "password", "secret", "developer", "jailbreak", "unrestricted", "restrictions",
    "assistant", "confidential", "execute", "command", "rules", "above", "prior", "message", "hidden", "filters",
    "safety", "print", "repeat", "pretend", "without", "ignora", "ignorez", "ignoriere", "anweisungen", "instrucciones",
    "pwned", "output", "respond", "answer", "delete", "credentials", "database",
)  # fmt: skip
"""Words that an injection needs. A decoding that shows none of them is taken for an accident and dropped."""

_LOOKS: Final = {
    "a": "a4@", "b": "b8", "c": "c(", "e": "e3", "g": "g9", "i": "i1!|l", "l": "l1|", "o": "o0", "s": "s5$", "t": "t7+",
}  # fmt: skip


def disguised(word: str) -> str:
    """A pattern for a word in leetspeak, with or without something between its letters."""
    classes = [
        "[" + "".join(f"\\{c}" if c in "!|$+(@" else c for c in _LOOKS.get(letter, letter)) + "]" for letter in word
    ]
    return "[ ._*~-]{0,2}".join(classes)
