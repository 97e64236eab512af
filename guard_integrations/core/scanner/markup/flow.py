"""HTML and plain text on their way to the reader, decided token by token.

HTML: a tag is decided when it has ended, and written anew; whatever else looks like one is escaped. So of all that
comes out, only what is written here can begin a tag, however a browser reads the rest. The content of scripts and
styles is swallowed, to the end of the text where they are not closed; comments and declarations, too.

Plain text: URLs that stand by themselves, as chats and terminals make links of them, and written-out escapes.
"""

import re
from dataclasses import dataclass
from typing import Final

from guard_integrations.core.scanner.markup.block import NO_LINK
from guard_integrations.core.scanner.markup.seams import begun_in_plain, filler, joint
from guard_integrations.core.scanner.markup.tags import is_placeholder, judge_tag, match_tag, tag_name
from guard_integrations.core.scanner.markup.urls import BARE_URL, MOST_URL, Fault, UrlPolicy, bare_end
from guard_integrations.core.scanner.terminal import WRITTEN_ESCAPE, WRITTEN_OPENING

__all__ = ["Flow"]

_ACTIVE: Final = "markup-active-html"
_MOST_TAG: Final = 8192
_MOST_ESCAPE: Final = 2200
_HTML: Final = r"<(?:[A-Za-z/!?]|\Z)|"
_PLAIN: Final = r"(?:https?://|ftp://|wss?://|www\.)|" + WRITTEN_OPENING
_HIDDEN: Final = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in ("script", "style")}
_ENDS: Final = {"<!--": re.compile("-->"), "<![cdata[": re.compile(r"\]\]>")}
_BRACKET: Final = re.compile(">")
_NAME: Final = re.compile("</?[A-Za-z]")
_URL_END: Final = re.compile(r"[\s<]")
_TAIL: Final = 12
"""Characters that are looked back at, or on to."""


class Flow:
    """One text on its way.

    Args:
        urls: where links and images may go.
        tags: whether it is HTML.
    """

    def __init__(self, urls: UrlPolicy, *, tags: bool) -> None:
        self.edits: list[tuple[int, int, str]] = []
        """Start, end and what is to stand there. One that begins where the last ended, without text, goes on with it."""
        self.findings: list[tuple[str, int, int]] = []
        """Rule, start and end."""
        self._urls = urls
        self._trigger = re.compile((_HTML if tags else "") + _PLAIN, re.IGNORECASE)
        self._buffer = ""
        self._base = 0  # place of the buffer in the text
        self._at = 0  # up to where the buffer is decided
        self._url_end = -1  # place where the last URL ended that stood by itself
        self._edited = -1  # place where the last edit ended
        self._swallowed: _Swallowed | None = None

    def feed(self, text: str, *, final: bool) -> int:
        """Takes the next piece; returns the place before which everything is decided."""
        self._buffer += text
        while self._at < len(self._buffer) and (
            self._swallow(final=final) if self._swallowed else self._look(final=final)
        ):
            pass
        if final and self._swallowed:
            self.findings.append((self._swallowed.rule, self._swallowed.since, self._base + self._at))
        decided = self._base + self._at
        keep = max(0, self._at - _TAIL)  # what stands before a URL says whether it is one
        self._buffer = self._buffer[keep:]
        self._base += keep
        self._at -= keep
        return decided

    def _look(self, *, final: bool) -> bool:
        """Looks at the next trigger. Says whether there is more to be decided."""
        buffer = self._buffer
        found = self._trigger.search(buffer, self._at)
        if found is None:
            self._at = len(buffer) if final else max(self._at, begun_in_plain(buffer))
            return False
        self._at = found.start()
        if found[0] == "<" and not final:
            return False
        if found[0] == "<":
            self._at += 1
            return True
        if found[0][0] == "<" and _ACTIVE in self._urls.disabled:
            self._at = found.end()
            return True
        if found[0][0] == "<":
            return self._angle(final=final)
        return self._escape(final=final) if found[0][0] == "\\" else self._bare(final=final)

    def _angle(self, *, final: bool) -> bool:
        """Decides what begins with an angle bracket."""
        buffer, at = self._buffer, self._at
        if _NAME.match(buffer, at) is None:
            return (final or len(buffer) > at + 2) and self._declaration(final=final)
        end = match_tag(buffer, at, _MOST_TAG)
        if end is None and not final and len(buffer) - at < _MOST_TAG:
            return False
        tag = buffer[at:end]
        if end is None or is_placeholder(tag):
            self._edit(at, at + 1, "&lt;", _ACTIVE)
            return True
        name = tag_name(tag)
        if name in _HIDDEN and not tag.startswith("</"):
            self._edit(at, end, "")
            self._swallowed = _Swallowed(until=_HIDDEN[name], whole=False, rule=_ACTIVE, since=self._base + at)
            return True
        verdict = judge_tag(tag, self._urls)
        if verdict.text is None:
            self._at = end
        else:
            self._edit(at, end, verdict.text, verdict.rule)
        return True

    def _declaration(self, *, final: bool) -> bool:
        """Begins to swallow a comment, a declaration, or what a browser takes for a comment."""
        buffer, at = self._buffer, self._at
        begun = buffer[at : at + 9].lower()
        long = next((opening for opening in _ENDS if begun.startswith(opening)), None)
        if long is None and not final and any(opening.startswith(begun) for opening in _ENDS):
            return False
        # the end of a comment may share its dashes with the beginning: <!-->
        self._edit(at, at + (2 if long else 1), "")
        end = _ENDS[long] if long else _BRACKET
        self._swallowed = _Swallowed(until=end, whole=True, rule=_ACTIVE, since=self._base + at)
        return True

    def _swallow(self, *, final: bool) -> bool:
        """Goes on swallowing. Says whether there is more to be decided."""
        swallowed = self._swallowed
        assert swallowed is not None  # noqa: S101 - or `feed` would not have come here
        buffer, at = self._buffer, self._at
        found = swallowed.until.search(buffer, at)
        if found is None:
            self._edit(at, len(buffer) if final else max(at, len(buffer) - _TAIL), "")
            return False
        end = found.end() if swallowed.whole else found.start()
        self._edit(at, end, "")
        self.findings.append((swallowed.rule, swallowed.since, self._base + end))
        self._swallowed = None
        return True

    def _escape(self, *, final: bool) -> bool:
        """Decides whether a backslash begins a written-out escape sequence."""
        buffer, at = self._buffer, self._at
        ended = final or len(buffer) - at > _MOST_ESCAPE or "\n" in buffer[at:]
        if not ended:
            return False
        found = WRITTEN_ESCAPE.match(buffer, at)
        if found is None:
            self._at += 1
            return True
        self._edit(at, found.end(), "", "terminal-escape-written")
        return True

    def _bare(self, *, final: bool) -> bool:
        """Decides a URL that stands by itself, once it has ended."""
        buffer, at = self._buffer, self._at
        found = BARE_URL.match(buffer, at)
        if found is None:
            self._at += final or not self._trigger.fullmatch(buffer, at)
            return self._at > at
        if found.end() == len(buffer) and not final and len(found[0]) <= MOST_URL:
            return False
        if len(found[0]) > MOST_URL:
            self._edit(at, found.end(), joint(buffer[max(0, at - 1) : at]) + NO_LINK)
            self._swallowed = _Swallowed(until=_URL_END, whole=False, rule=Fault.LINK, since=self._base + at)
            return True
        self._url_end = self._base + found.end()
        end = at + bare_end(found[0])
        url = buffer[at:end]
        fault = self._urls.link(url if "://" in url[:8] else f"http://{url}")
        if fault is None:
            self._at = end
        else:
            self._edit(at, end, joint(buffer[max(0, at - 1) : at]) + NO_LINK, fault)
        return True

    def _edit(self, start: int, end: int, text: str, rule: str = "") -> None:
        """Replaces a stretch that is decided, and goes on after it."""
        if rule in self._urls.disabled:
            self._at = end
            return
        # What stands before must not begin something new together with what follows.
        if self._base + start == self._url_end:
            text = f" {text}"
        elif not text and self._base + start != self._edited:
            text = filler(self._buffer[max(0, start - 1) : start])
        self.edits.append((self._base + start, self._base + end, text))
        self._edited = self._base + end
        if rule:
            self.findings.append((rule, self._base + start, self._base + end))
        self._at = end


@dataclass(frozen=True, slots=True, kw_only=True)
class _Swallowed:
    """What is being swallowed.

    Args:
        until: what ends it.
        whole: whether that goes, too.
        rule: why.
        since: where it began, in the whole text.
    """

    until: re.Pattern[str]
    whole: bool
    rule: str
    since: int
