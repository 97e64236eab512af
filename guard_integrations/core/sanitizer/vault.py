"""Pseudonyms: tokens that stand for the values of one conversation, and the way back."""

import re
import secrets
import threading
from typing import Final, NoReturn

__all__ = ["PseudonymVault", "Restorer"]

_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without the letters and digits that are mistaken for each other."""
_SUFFIX: Final = 6
_OTHER: Final = re.compile(r"[^A-Z_]+")
_LONGEST: Final = 80
"""Characters of the longest token, with every underscore escaped."""
_PARTIAL: Final = re.compile(rf"\\?(?:\[[A-Za-z0-9_\\]{{0,{_LONGEST}}})?\Z")
_URL: Final = re.compile(
    r"://|www\.|\]\(|\b(?:mailto|data|tel|sms|ftp|javascript):|(?:href|src|action|url)[=(]|[\w-]\.[a-z]{2,24}[/?#:]",
    re.IGNORECASE,
)
_TELLING: Final = 6
"""Characters from which on a value is known wherever it stands; a shorter one could be part of another word."""
_URL_LOOK_BACK: Final = 40
"""Characters in which the beginning of a URL is recognised."""


class PseudonymVault:
    """Which token stands for which value; for one conversation, in memory only.

    Give the same vault to the sanitizers of both directions: on the way in a value becomes a token such as
    `[EMAIL_1_k3x9wq]`, the same one each time, and on the way out the token becomes the value again. The suffix is
    random per vault, so that nobody can write a token of somebody else's conversation. A vault shows no value in its
    `repr` and refuses to be copied or pickled. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._suffix = "".join(secrets.choice(_ALPHABET) for _ in range(_SUFFIX))
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], str] = {}
        self._values: dict[str, tuple[str, int]] = {}
        self._counts: dict[str, int] = {}
        self._token = re.compile(rf"\\?\[([A-Z_\\]{{1,40}}?)\\?_(\d{{1,9}})\\?_{self._suffix}\\?\]")

    @property
    def name(self) -> str:
        """What its tokens end in: tells it from other vaults, and nothing of what it holds."""
        return self._suffix

    def token(self, kind: str, value: str) -> str:
        """The token for a value.

        Args:
            kind: what kind of value it is, such as "EMAIL"; a rule's label serves.
            value: the value, as it stands in the text.
        """
        name = _OTHER.sub("", kind.upper())[:20].strip("_") or "VALUE"
        with self._lock:
            known = self._tokens.get((name, value))
            if known is not None:
                return known
            number = self._counts[name] = self._counts.get(name, 0) + 1
            token = f"[{name}_{number}_{self._suffix}]"
            self._tokens[name, value] = token
            self._values[token] = (value, len(self._values))
            return token

    def restore(self, text: str) -> str:
        """Puts the values back, except inside URLs."""
        restorer = self.restorer()
        return restorer.feed(text) + restorer.finish()

    def conceal(self, text: str) -> str:
        """Puts the tokens back in the place of the values that the vault holds: `restore`, undone.

        An earlier answer, which a reader has seen with its values, goes to the model with the tokens it was written in.
        """
        with self._lock:
            tokens: dict[str, str] = {}
            for token, (value, _) in self._values.items():
                tokens.setdefault(value, token)
        # Few of them stand in any one text, and to ask for each costs less than to look for all.
        present = sorted((value for value in tokens if value in text), key=len, reverse=True)
        if not present:
            return text
        anywhere = "|".join(
            re.escape(value) if len(value) >= _TELLING else rf"(?<!\w){re.escape(value)}(?!\w)" for value in present
        )
        return re.sub(anywhere, lambda found: tokens[found[0]], text)

    def restorer(self) -> "Restorer":
        """A session that puts values back in a text that arrives in pieces.

        It knows the tokens that the vault holds now: what is made a token later stays one.
        """
        return Restorer(self)

    def lookup(self, token: "re.Match[str]", known: int) -> str | None:
        """The value of a token, if it was among the first `known`. A model may have escaped the token's underscores."""
        with self._lock:
            found = self._values.get(f"[{token[1].replace(chr(92), '')}_{token[2]}_{self._suffix}]")
        return found[0] if found is not None and found[1] < known else None

    @property
    def pattern(self) -> "re.Pattern[str]":
        """Finds the tokens of this vault, also where a model has escaped them for Markdown."""
        return self._token

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"PseudonymVault({len(self)} values)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vault holds what must not leave the process: it is neither copied nor pickled")


class Restorer:
    """One text on its way back to the values.

    However the text is cut into chunks, the joined result is `PseudonymVault.restore` of the whole. A token inside a
    URL, or glued to one, stays a token: a link must not carry a value away.

    Args:
        vault: whose tokens are put back.
    """

    def __init__(self, vault: PseudonymVault) -> None:
        self._vault = vault
        self._known = len(vault)
        self._held = ""
        self._run = ""
        self._in_url = False
        self._in_angle = False

    def feed(self, chunk: str) -> str:
        """Takes the next piece of the text and gives back what is decided."""
        return self._advance(chunk, final=False)

    def finish(self) -> str:
        """Says that the text has ended, and gives back the rest."""
        return self._advance("", final=True)

    def _advance(self, chunk: str, *, final: bool) -> str:
        text = self._held + chunk
        if not self._known:
            return text
        pieces: list[str] = []
        done = 0
        hold = len(text)
        for token in self._vault.pattern.finditer(text):
            after = text[token.end() : token.end() + 2]
            if not final and after in {"", "."}:
                hold = token.start()
                break
            before = text[done : token.start()]
            self._see(before)
            pieces.append(before)
            value = None if self._in_url or _glued(after) else self._vault.lookup(token, self._known)
            pieces.append(token[0] if value is None else value)
            self._see(token[0])
            done = token.end()
        if not final and hold == len(text):
            hold = self._partial(text, done)
        rest = text[done:hold]
        self._see(rest)
        pieces.append(rest)
        self._held = text[hold:]
        return "".join(pieces)

    @staticmethod
    def _partial(text: str, done: int) -> int:
        """Where a token may have begun that is not all there."""
        start = max(done, len(text) - _LONGEST)
        opened = text.rfind("[", start)
        if opened > done and text[opened - 1] == "\\":
            opened -= 1
        if opened >= start and _PARTIAL.fullmatch(text, opened):
            return opened
        return len(text) - 1 if len(text) > done and text.endswith("\\") else len(text)

    def _see(self, text: str) -> None:
        """Keeps account of whether what comes next would stand inside a URL."""
        for part in re.split(r"([\s<>])", text):
            if not part:
                continue  # two separators side by side
            if part in "<>" or part.isspace():
                self._end_run(part)
                continue
            run = self._run + part
            self._in_url = self._in_url or _URL.search(run) is not None
            self._run = run[-_URL_LOOK_BACK:]

    def _end_run(self, separator: str) -> None:
        """Only `](<` lets a URL go on after a space."""
        if separator == "<" and self._run.endswith("]("):
            self._in_angle = True
        elif separator in ">\n\r":
            self._in_angle = False
        self._run = ""
        self._in_url = self._in_angle


def _glued(after: str) -> bool:
    """Whether what follows a token makes it the beginning of a host or an address."""
    return after[:1] == "@" or (after[:1] == "." and after[1:].isalnum())
