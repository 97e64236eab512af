r"""Escape sequences that a terminal obeys, raw or written out (`\x1b[31m`, `\033[31m`, `\u001b[31m`).

Source: ECMA-48, sections 5.3 to 5.6; the hyperlink sequence OSC 8.
"""

import re
from typing import Final

__all__ = ["WRITTEN_BEGUN", "WRITTEN_ESCAPE", "WRITTEN_OPENING", "control_end", "string_end"]

_CSI_BODY: Final = re.compile(r"[0-?]{0,64}[ -/]{0,8}")
_CSI_MOST: Final = 72
_STRINGS: Final = "\x90\x98\x9d\x9e\x9f"
"""C1 introducers of control strings: DCS, SOS, OSC, PM, APC. In seven bits: ESC and one of `PX]^_`."""
_STRING_END: Final = re.compile("[\x07\x18\x1a\x1b\x9c\r\n]")
_INTERMEDIATE: Final = 4

_WRITTEN_ESC: Final = r"\\(?:x1b|u001b|u\{0{0,4}1b\}|U0000001b|0?33)"
_WRITTEN_BEL: Final = r"\\(?:x07|u0007|0?07|7|a)"
_WRITTEN_ST: Final = rf"(?:{_WRITTEN_ESC}|\\e)\\{{1,2}}|\\(?:x9c|u009c)"
WRITTEN_OPENING: Final = r"\\(?:x1b|x9[0bd-f8]|u00(?:1b|9[0bd-f8])|u\{0{0,4}1b\}|U0000001b|0?33|e[\[\]PX^_]|27\[)"
"""What a written-out escape sequence begins with, upper or lower case; for a pattern."""
WRITTEN_BEGUN: Final = r"\\(?:x[19]?|u(?:0(?:0[19]?)?)?|u\{0{0,4}(?:1b?)?|U0{0,6}1?|0?3?|e|27?)?\Z"
"""What such an opening may begin with, at the end of a text; for a pattern."""
WRITTEN_ESCAPE: Final = re.compile(
    # OSC and its kin, with their payload in the same line
    rf"(?:(?:{_WRITTEN_ESC}|\\e)[\]PX^_]|\\(?:x|u00)(?:9[0d-f8]))"
    rf"(?:[^\n]{{0,2000}}?(?:{_WRITTEN_BEL}|{_WRITTEN_ST})|)"
    # CSI
    rf"|(?:{_WRITTEN_ESC}\[|\\(?:x|u00)9b)(?:[0-?]{{0,32}}[ -/]{{0,4}}[@-~])?(?:{_WRITTEN_BEL})?"
    rf"|\\(?:e|27)\[[0-?]{{0,32}}[@-~](?:{_WRITTEN_BEL})?"
    # and the short ones
    rf"|{_WRITTEN_ESC}(?:[()#%][0-9A-Za-z]|[78=>cDEHMNOZ](?![0-9A-Za-z]))",
    re.IGNORECASE,
)
r"""A written-out escape sequence, whole. A lone `\x1b` without what makes it a sequence is left alone."""


def control_end(text: str, at: int, *, final: bool) -> tuple[int, bool] | None:
    """Where the control sequence or character at `at` ends, and whether a control string opens there.

    None when more text must decide; that is so for 72 characters at most.
    """
    char = text[at]
    if char == "\x9b":
        return _csi_end(text, at + 1, final=final)
    if char != "\x1b":
        return at + 1, char in _STRINGS
    following = text[at + 1 : at + 2]
    if following == "[":
        return _csi_end(text, at + 2, final=final)
    if following and following in "]PX^_":
        return at + 2, True
    end = at + 1
    while end < len(text) and end <= at + _INTERMEDIATE and " " <= text[end] <= "/":
        end += 1
    if end == len(text) and not final:
        return None
    return end + (end < len(text) and "0" <= text[end] <= "~"), False


def _csi_end(text: str, at: int, *, final: bool) -> tuple[int, bool] | None:
    body = _CSI_BODY.match(text, at)
    end = body.end() if body else at
    if end == len(text):
        return (end, False) if final or end - at >= _CSI_MOST else None
    return end + ("@" <= text[end] <= "~"), False


def string_end(text: str, at: int) -> tuple[int, bool]:
    r"""Where a control string that is open at `at` ends, and whether it is still open there.

    It ends after BEL or ST, before a line break or another escape: an unterminated one reaches to the end of its
    line. The backslash of a seven-bit ST goes with its ESC, as any two-character escape does.
    """
    found = _STRING_END.search(text, at)
    if found is None:
        return len(text), True
    return (found.start() if found[0] in "\x1b\r\n" else found.end()), False
