"""JSON made safe while it arrives: value by value, each in a session of its own.

Keys and numbers stay, and so does the spelling of what does not change.
"""

import json
import re
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from guard_integrations.core.findings import Finding
from guard_integrations.core.sanitizer.json_tokens import JsonTokens, Kind, Token
from guard_integrations.errors import GuardUnavailable

__all__ = ["JsonStream", "Start", "TextSession", "ValueStream"]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class TextSession(Protocol):
    """One text that arrives in pieces."""

    def feed(self, chunk: str, /) -> str:
        """What may go out now."""

    def finish(self) -> str:
        """What was still held."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""


class _LastSession(TextSession, Protocol):
    """One that can be told that a piece is the last, which spares it to look for what more text could make of it."""

    def feed_last(self, chunk: str, /) -> str:
        """`feed` and `finish` in one."""


Start: TypeAlias = Callable[[str | None], _LastSession]
"""Begins the session of a text, given the key that it stands under, if any."""


class JsonStream:
    """One JSON document on its way out. However it is cut into chunks, the joined result is the same.

    A string is made safe as a text of its own; one that itself holds a JSON object or array is made safe inside.
    What stops being JSON is a text from there on, and is read together with all that came before it.

    Args:
        start: begins the session of a value, or of a text that is no JSON.
        depth: how deep the document stands in others.
    """

    def __init__(self, start: Start, depth: int = 0) -> None:
        self._start = start
        self._tokens = JsonTokens(depth)
        self._value: ValueStream | None = None
        self._unread = ""
        self._spelling = _Spelling()
        self._shown: list[str] = []
        self._text: _Continued | None = None
        self._findings: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far; offsets in characters of each value."""
        open_ones = [one for one in (self._value, self._text) if one is not None]
        return (*self._findings, *(found for one in open_ones for found in one.findings))

    def feed(self, chunk: str) -> str:
        """Takes the next piece of the document, and gives back what may be shown.

        Raises:
            GuardBlocked: a rule refuses one of the values.
            GuardUnavailable: the document is nested more than 100 deep; or it stopped being JSON after a part of it had
                been shown, and what follows changes what that part is.
        """
        return self._all_taken(self._tokens.feed(chunk))

    def finish(self) -> str:
        """The rest. What stands unfinished around the values is read as a text.

        Raises:
            GuardBlocked: a rule refuses one of the values.
            GuardUnavailable: as in `feed`.
        """
        rest = self._all_taken(self._tokens.finish())
        return rest if self._text is None else rest + self._text.finish()

    def feed_last(self, chunk: str) -> str:
        """`feed` and `finish` in one."""
        return self.feed(chunk) + self.finish()

    def _all_taken(self, tokens: list[Token]) -> str:
        shown = [self._taken(token) for token in tokens]
        if self._unread:
            shown.append(self._show(self._feed_unread(last=False)))
        return "".join(shown)

    def _taken(self, token: Token) -> str:
        text = token.text or ""
        if token.kind is Kind.BROKEN:
            return self._go_on_as_text(text)
        if token.kind is Kind.BEGIN:
            self._value = ValueStream(self._start, token.text, self._tokens.depth)
            self._spelling = _Spelling()
            return ""
        if token.kind is Kind.PIECE:
            self._spelling.read(text, token.spelled)
            self._unread += text
            return ""
        if token.kind is Kind.END:
            text = self._end_value()
        elif token.kind is Kind.UNFINISHED:
            session = self._start(None)
            text = session.feed(text) + session.finish()
            self._findings.extend(session.findings)
        return self._show(text)

    def _show(self, text: str) -> str:
        self._shown.append(text)
        return text

    def _feed_unread(self, *, last: bool) -> str:
        """What the value's session makes of the pieces that have come."""
        if self._value is None:
            return ""
        text, self._unread = self._unread, ""
        return self._spelling.write(self._value.feed_last(text) if last else self._value.feed(text))

    def _end_value(self) -> str:
        if self._value is None:
            return ""
        text = self._feed_unread(last=True)
        self._findings.extend(self._value.findings)
        self._value = None
        return text

    def _go_on_as_text(self, text: str) -> str:
        if self._text is not None:
            return self._text.feed(text)
        tail = self._end_value()
        self._text = _Continued(self._start(None), "".join([*self._shown, tail]))
        return tail + self._text.feed(text)


class ValueStream:
    """One string value on its way out. One that may yet be a JSON object or array is held until it is whole.

    Args:
        start: begins its session.
        key: what it stands under, if anything.
        depth: how deep it stands.
    """

    def __init__(self, start: Start, key: str | None, depth: int) -> None:
        self._start = start
        self._key = key
        self._depth = depth
        self._held = ""
        self._probe: JsonTokens | None = None
        self._session: _LastSession | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        return () if self._session is None else self._session.findings

    def feed(self, chunk: str) -> str:
        """Takes the next piece of the value, and gives back what may be shown."""
        if self._session is not None:
            return self._session.feed(chunk)
        self._held += chunk
        if self._probe is None:
            begins = self._held.lstrip()[:1]
            if not begins:
                return ""
            if begins in "[{":
                self._probe, chunk = JsonTokens(), self._held
        if self._probe is not None and _goes_on(self._probe, chunk):
            return ""
        return self._begin(self._start(self._key))

    def feed_last(self, chunk: str) -> str:
        """`feed` and `finish` in one."""
        if self._session is not None:
            return self._session.feed_last(chunk)
        if self._held or chunk.lstrip()[:1] in {"[", "{"}:
            shown = self.feed(chunk)
            if self._session is not None:
                return shown + self._session.finish()
            chunk = ""
        self._held, held = "", self._held + chunk
        self._session = self._start(self._key)
        if self._probe is not None and self._probe.complete:
            self._session = JsonStream(lambda key: self._start(self._key if key is None else key), self._depth + 1)
        return self._session.feed_last(held)

    def _begin(self, session: _LastSession) -> str:
        self._session = session
        held, self._held = self._held, ""
        return session.feed(held)


def _goes_on(probe: JsonTokens, chunk: str) -> bool:
    """Whether a text may still be JSON; what is nested too deep is taken for a text."""
    try:
        probe.feed(chunk)
    except GuardUnavailable:
        return False
    return not probe.broken


class _Continued:
    """A text of which the beginning has been shown: the rest, unless it would change what has been shown."""

    def __init__(self, session: TextSession, shown: str) -> None:
        self._session = session
        self._due = shown
        self._began = session.feed(shown)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self._session.findings

    def feed(self, chunk: str) -> str:
        began, self._began = self._began, ""
        return self._after(began + self._session.feed(chunk))

    def finish(self) -> str:
        rest = self._after(self._session.finish())
        if self._due:
            raise _inseparable()
        return rest

    def _after(self, text: str) -> str:
        if not self._due:
            return text
        again = text[: len(self._due)]
        if not self._due.startswith(again):
            raise _inseparable()
        self._due = self._due[len(again) :]
        return text[len(again) :]


def _inseparable() -> GuardUnavailable:
    return GuardUnavailable(
        "sanitizer", "the answer stopped being JSON, and what follows changes what has been shown of it: ask again"
    )


class _Spelling:
    """How a value is written: as it came, as far as nothing in it has changed; from there on in JSON's usual form."""

    def __init__(self) -> None:
        self._due = ""
        """What has been read and not written."""
        self._read = 0
        self._odd: dict[int, str] = {}
        """By place in the value, what came for a character that is usually spelled otherwise."""
        self._changed = False

    def read(self, text: str, spelled: str) -> None:
        if self._changed:
            return
        if len(text) == 1 and spelled != _encoded(text):
            self._odd[self._read] = spelled
        self._read += len(text)
        self._due += text

    def write(self, text: str) -> str:
        if self._changed or not text:
            return _encoded(text)
        same = len(text) if self._due.startswith(text) else _alike(self._due, text)
        self._changed = same < len(text)
        kept = text[:same]
        if self._odd:
            at = self._read - len(self._due)
            kept = "".join([self._odd.get(at + place) or _encoded(char) for place, char in enumerate(kept)])
        else:
            kept = _encoded(kept)
        self._due = self._due[same:]
        return kept + _encoded(text[same:])


def _encoded(text: str) -> str:
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(text, ensure_ascii=False)[1:-1])


def _alike(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return next(
        (place for place, (mine, its) in enumerate(zip(one, other, strict=False)) if mine != its),
        min(len(one), len(other)),
    )
