"""What a reader does not see and a terminal or a model does: escapes, control characters, invisible and bidi characters.

They are removed. What a script or an emoji needs stays: ZWNJ and ZWJ after a letter of a joining script, ZWJ between
emoji, one variation selector where one is defined, the tags of the three subdivision flags, a direction mark beside
right-to-left letters, ZWSP in scripts that are written without spaces.

Every keeping rule looks at the character kept before and at the next one only, and the next one must not itself be
invisible. So a second pass changes nothing, and a stream holds back one character, or one short escape sequence.

Sources: ECMA-48 (escape sequences), Unicode UTS 51 (emoji), UAX 9 (bidi), UTS 55 (source code spoofing).
"""

import re
import unicodedata
from typing import Final

from guard_integrations.core.findings import Action, Category, Finding, Severity
from guard_integrations.core.scanner.detector import Edit, Step
from guard_integrations.core.scanner.terminal import control_end, string_end

__all__ = ["INVISIBLE_RULES", "InvisibleDetector", "strip_invisible"]

INVISIBLE_RULES: Final[dict[str, tuple[Severity, str]]] = {
    "bidi-control": (Severity.HIGH, "Direction controls make a text read differently from what it is."),
    "control-character": (Severity.LOW, "Control characters overwrite, ring or confuse what shows the text."),
    "invisible-tags": (Severity.HIGH, "Unicode tags carry whole hidden messages."),
    "terminal-escape": (Severity.HIGH, "An escape sequence makes a terminal hide text, follow links or run commands."),
    "variation-selector": (Severity.MEDIUM, "Variation selectors that select nothing carry hidden bytes."),
    "zero-width": (Severity.MEDIUM, "Zero-width characters split words past a filter, or carry hidden bits."),
}
"""Rule id to severity and rationale; the catalogue of rules reads this."""

_SUSPECT: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_PLAIN: Final = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F)])

_FLAG: Final = "\U0001f3f4"
_FLAGS: Final = frozenset(
    "".join(chr(0xE0000 + ord(char)) for char in code) + "\U000e007f" for code in ("gbeng", "gbsct", "gbwls")
)
_FLAG_LENGTH: Final = 6

_JOINING: Final = re.compile(
    "[\u0600-\u07ff\u0840-\u085f\u0860-\u109f\u1780-\u17b3\u17b6-\u180a\u1810-\u18af\u1900-\u1cff\ua800-\ua95f\ua980-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010fff\U00011000-\U00011fff\U0001e900-\U0001e95f]"
)
_SPACELESS: Final = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff\u1980-\u19df\u1a20-\u1aaf\ua980-\ua9df]"
)
_MONGOLIAN: Final = re.compile("[\u1810-\u18af]")
_IDEOGRAPH: Final = re.compile("[\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_EMOJI: Final = re.compile(
    "[\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_KEYCAP: Final = "0123456789#*"
_MARKS: Final = "\u061c\u200e\u200f"


class InvisibleDetector:
    """Removes terminal escapes, control characters, and invisible and bidi characters.

    Args:
        action: what the policy does with the category `invisible`; `flag` reports and removes nothing.
        disabled: ids of rules that are not to run.
    """

    def __init__(self, *, action: Action = Action.FILTER, disabled: frozenset[str] = frozenset()) -> None:
        self._action = action
        self._disabled = disabled

    def start(self) -> "InvisibleSession":
        """A session for one text."""
        return InvisibleSession(self._action, self._disabled)

    @staticmethod
    def clears(text: str) -> bool:
        """As `Clearing.clears`."""
        return not _suspicious(text)


class InvisibleSession:
    """One text on its way; see `detector.Session`."""

    def __init__(self, action: Action, disabled: frozenset[str]) -> None:
        self._action = action
        self._disabled = disabled
        self._base = 0  # where in the whole text the held text begins
        self._held = ""
        self._kept = ""  # the last character that stays
        self._in_string = False  # inside an OSC or another control string
        self._run: tuple[str, int, int] | None = None  # the removed stretch that may still grow: rule, start, end

    def feed(self, text: str, *, final: bool = False) -> Step:
        """Takes the next piece of the text."""
        held = self._held
        if not held and not self._in_string and self._run is None:  # the way of nearly all texts
            if not _suspicious(text):
                self._kept = text[-1:] or self._kept
                self._base += len(text)
                return Step(decided=self._base)
            buffer = text
        else:
            buffer = held + text
        removed: list[tuple[str, int, int]] = []
        at = self._scan(buffer, removed, final=final)
        step = self._step(removed, ended=final or self._gap(removed, at), at=at)
        self._base += at
        self._held = buffer[at:]
        return step

    def _scan(self, text: str, removed: list[tuple[str, int, int]], *, final: bool) -> int:
        """Collects what goes: rule, start and end in the whole text. Returns up to where `text` is decided."""
        at = 0
        while at < len(text):
            rule: str
            if self._in_string:
                rule = "terminal-escape"
                end, self._in_string = string_end(text, at)
            else:
                found = _SUSPECT.search(text, at)
                start = found.start() if found else len(text)
                if start > at:
                    self._kept = text[start - 1]
                at = start
                verdict = self._judge(text, at, final=final) if found else None
                if verdict is None:
                    break
                rule, end = verdict
                if not rule or rule in self._disabled:
                    self._kept, at = text[end - 1], end
                    continue
            if end > at:
                removed.append((rule, self._base + at, self._base + end))
            at = end
        return at

    def _gap(self, removed: list[tuple[str, int, int]], at: int) -> bool:
        last = removed[-1] if removed else self._run
        return last is not None and last[2] < self._base + at

    def _step(self, removed: list[tuple[str, int, int]], *, ended: bool, at: int) -> Step:
        """Edits for what was removed now; findings for the stretches of one rule that have ended."""
        stretches = [self._run] if self._run else []
        edits: list[Edit] = []
        for rule, start, end in removed:
            last = stretches[-1] if stretches else None
            joined = last is not None and last[2] == start
            if edits and edits[-1].end == start:
                edits[-1] = Edit(start=edits[-1].start, end=end, continues=edits[-1].continues)
            else:
                edits.append(Edit(start=start, end=end, continues=joined))
            if last is not None and joined and last[0] == rule:
                stretches[-1] = (rule, last[1], end)
            else:
                stretches.append((rule, start, end))
        self._run = None if ended or not stretches else stretches.pop()
        findings = tuple(
            Finding(
                rule=rule,
                category=Category.INVISIBLE,
                severity=INVISIBLE_RULES[rule][0],
                start=start,
                end=end,
                action=self._action,
            )
            for rule, start, end in stretches
        )
        kept_edits = () if self._action is Action.FLAG else tuple(edits)
        return Step(edits=kept_edits, findings=findings, decided=self._base + at)

    def _judge(self, text: str, at: int, *, final: bool) -> tuple[str, int] | None:
        """Rule and end of what goes here; an empty rule for what stays; None when more text must decide."""
        char = text[at]
        if char < "\xa0":
            return self._control(text, at, final=final)
        if at + 1 == len(text) and not final and self._needs_next(char):
            return None
        code = ord(char)
        if 0xE0000 <= code <= 0xE00FF or code >= 0xE01F0:  # noqa: PLR2004 - code points
            return self._tag(text, at, final=final)
        return self._single(char, text[at + 1 : at + 2]), at + 1

    def _single(self, char: str, following: str) -> str:
        """The rule that removes an invisible character, or none."""
        if "\ufe00" <= char <= "\ufe0f" or char >= "\U000e0100":
            return "" if self._selects(char, following) else "variation-selector"
        if char in _MARKS:
            beside = any(unicodedata.bidirectional(c) in {"R", "AL"} for c in (self._kept, following) if c)
            return "" if beside else "bidi-control"
        if "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069":
            return "bidi-control"
        return "" if self._joins(char, following) else "zero-width"

    def _control(self, text: str, at: int, *, final: bool) -> tuple[str, int] | None:
        ended = control_end(text, at, final=final)
        if ended is None:
            return None
        end, opens = ended
        escape = opens or text[at] in "\x1b\x9b"
        rule = "terminal-escape" if escape else "control-character"
        self._in_string = opens and rule not in self._disabled
        return rule, end

    @staticmethod
    def _needs_next(char: str) -> bool:
        return char in "\u200d\ufe0e\ufe0f" or char in _MARKS

    def _selects(self, char: str, following: str) -> bool:
        """Whether a variation selector selects something."""
        kept = self._kept
        if char in "\ufe0e\ufe0f":
            return bool(_EMOJI.match(kept)) or (kept in _KEYCAP and kept != "" and following == "\u20e3")
        if _IDEOGRAPH.match(kept):
            return True
        symbol = kept != "" and unicodedata.category(kept) == "Sm"
        return "\ufe00" <= char <= "\ufe0d" and (symbol or bool(re.match("[\u1000-\u109f\ua840-\ua87f]", kept)))

    def _joins(self, char: str, following: str) -> bool:
        """Whether a zero-width character does the work that it is there for."""
        kept = self._kept
        if char == "\u200b":
            return bool(_SPACELESS.match(kept))
        if "\u180b" <= char <= "\u180f":
            return bool(_MONGOLIAN.match(kept))
        if char == "\u1160":
            return "\u1100" <= kept <= "\u115e"
        if char == "\u200d" and (_EMOJI.match(kept) or kept == "\ufe0f"):
            return bool(_EMOJI.match(following))
        return char in "\u200c\u200d" and bool(_JOINING.match(kept))

    def _tag(self, text: str, at: int, *, final: bool) -> tuple[str, int] | None:
        if self._kept == _FLAG:
            tags = text[at : at + _FLAG_LENGTH]
            if tags in _FLAGS:
                return "", at + _FLAG_LENGTH
            if not final and any(flag.startswith(tags) for flag in _FLAGS):
                return None
        return "invisible-tags", at + 1


def _suspicious(text: str) -> bool:
    """Whether there is anything to look at. What is plain ASCII goes first, 25 times as fast as the pattern."""
    rest = text.encode("utf-8", "surrogatepass").translate(None, _PLAIN)
    return bool(rest) and _SUSPECT.search(rest.decode("utf-8", "surrogatepass")) is not None


def strip_invisible(text: str) -> str:
    """The text without its invisible characters, terminal escapes and direction controls."""
    step = InvisibleDetector().start().feed(text, final=True)
    if not step.edits:
        return text
    pieces, at = [], 0
    for edit in step.edits:
        pieces.append(text[at : edit.start])
        at = edit.end
    return "".join([*pieces, text[at:]])
