"""Reading through disguises, as large models do: what an instruction hides in does not keep it from being read."""

import base64
import binascii
import re
import unicodedata

__all__ = ["legible"]

_TAGS = 0xE0000  # the Unicode block that mirrors ASCII invisibly
_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406"
    "\u03bf\u03b1\u03b5\u03b9\u03bd\u03c1\u03c5\u0391\u0392\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7",
    "aeopcyxijshdqABEKMHOPCTXI" + "oaeivpuABEHIKMNOPTX",
)
_WORD = re.compile(r"\w+")
_LATIN = re.compile(r"[A-Za-z]")
_SPACED = re.compile(r"(?<!\S)(?:\w[ .-]){3,}\w(?!\S)")
_BASE64 = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{20,}={0,2}(?![\w+/=])")


def _visible(letter: str) -> str:
    code = ord(letter)
    if _TAGS + 0x20 <= code <= _TAGS + 0x7E:
        return chr(code - _TAGS)
    return "" if unicodedata.category(letter) in ("Cf", "Mn") else letter


def _latin(word: re.Match[str]) -> str:
    # Only words of mixed scripts: Russian and Greek stay what they are.
    return word.group().translate(_LOOKALIKES) if _LATIN.search(word.group()) else word.group()


def _decoded(text: str) -> list[str]:
    found = []
    for block in _BASE64.findall(text):
        try:
            plain = base64.b64decode(block + "=" * (-len(block) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
        if plain.isprintable():
            found.append(plain)
    return found


def legible(text: str) -> str:
    """The text without its disguises.

    Invisible characters go, Unicode tags and compatibility forms become what they stand for, lookalikes from other
    scripts become Latin in words that are partly Latin, letters spaced apart are joined, and what was base64 stands decoded
    behind the text.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", "".join(map(_visible, unicodedata.normalize("NFKC", text))))
        text = _WORD.sub(_latin, text)
    joined = _SPACED.sub(lambda run: run.group()[::2], text)
    return "\n".join([joined, *_decoded(text)])
