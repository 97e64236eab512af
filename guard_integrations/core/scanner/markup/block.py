"""One block of Markdown, made safe: whatever GitHub-like renderers would let act, and nothing inside code."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from guard_integrations.core.scanner.markup.draft import Change, Draft
from guard_integrations.core.scanner.markup.parse import Link, Seen, parse
from guard_integrations.core.scanner.markup.seams import filler, joint
from guard_integrations.core.scanner.markup.tags import ALLOWED, KNOWN, is_placeholder, judge_tag, match_tag, tag_name
from guard_integrations.core.scanner.markup.urls import BARE_URL, Fault, UrlPolicy, bare_end
from guard_integrations.core.scanner.terminal import WRITTEN_ESCAPE, WRITTEN_OPENING

__all__ = ["NO_LINK", "TRIGGER", "Memory", "rewrite"]

NO_LINK: Final = "[link removed]"
_NO_DESTINATION: Final = " (link removed)"
_ROUNDS: Final = 6
_MOST_CHANGES: Final = 256
"""Changes of one round in one block; what would take more is hostile, and is taken apart at once."""
_MOST_TAG: Final = 2048
"""Characters of a tag at most; what is longer is escaped."""

TRIGGER: Final = re.compile(
    r"!\[|\]\(|\]:|\\?<[A-Za-z/!?]|(?:https?://|ftp://|wss?://|www\.)|" + WRITTEN_OPENING,
    re.IGNORECASE,
)
"""What a change may begin at. Before the first one in a block nothing is ever changed."""
_AUTOLINK: Final = re.compile(r"<([A-Za-z][A-Za-z0-9+.\-]{1,31}:[^\s<>]*)>")
_DESTINATION: Final = re.compile(r"\(\s{0,99}<?([^\s<>)]{0,2100})")
_DEFINED: Final = re.compile(r":[ \t]*(?:\r\n?|\n)?[ \t]*(<[^<>\r\n]*>|\S+|\Z)")
_LABEL: Final = re.compile(r"[\s>*+\-\d.)]*\[(?!\^)")
_EMAIL: Final = re.compile(r"<[\w.+\-]+@[\w.\-]+>")
_OPEN_TAG: Final = re.compile(  # CommonMark 0.31.2, section 6.6
    r"</?[A-Za-z][A-Za-z0-9-]*(?:\s+[A-Za-z_:][\w.:-]*(?:\s*=\s*(?:[^\s\"'=<>`]+|'[^']*'|\"[^\"]*\"))?)*\s*/?>"
)
_LETTERS: Final = re.compile("[^a-z0-9]")
_HIDDEN: Final = {
    "script": re.compile(r"</script\b[^>]*>", re.IGNORECASE),
    "style": re.compile(r"</style\b[^>]*>", re.IGNORECASE),
}
_TANGLE: Final = re.compile(r"[<>\[\]\\&!`]|(?<=:)//|www\.", re.IGNORECASE)
_RUN: Final = re.compile(r"\S{1,2100}")
_OPENERS: Final = re.compile(r"[\[({\"']")
_BLOT: Final = "\x1f"
"""Stands for a character of code: a space to every pattern."""
_WITH_USER: Final = re.compile(r"(?:https?|ftp|wss?)://[^\s@/\[\]()]{1,256}@[^\s<]*", re.IGNORECASE)
"""A URL with a user before its host; for markdown-it that may hold anything, even a tag."""
_RUNS_ON: Final = re.compile(rf"{BARE_URL.pattern}{_BLOT}?", re.IGNORECASE)
_LINE_BREAK: Final = re.compile(r"\r\n?|\n")


@dataclass(slots=True, kw_only=True)
class Memory:
    """What of a text's earlier blocks bears on the later ones: images by reference, whose definition stands elsewhere.

    Args:
        images: whether an image waits for a definition: then a definition must bear being loaded from.
        definitions: whether there is a definition that must not be loaded from: then no image may wait for one.
    """

    images: bool = False
    definitions: bool = False


def rewrite(
    block: str,
    *,
    context: str,
    urls: UrlPolicy,
    memory: Memory,
    lost: bool = False,
) -> Draft:
    """Makes a block safe, round by round until there is nothing left to do.

    Args:
        block: whole lines; every paragraph in it has ended.
        context: what stands before it in the same top-level block, already safe.
        urls: where links and images may go.
        memory: of the earlier blocks; brought up to date.
        lost: whether the place in the text is unknown, so that nothing counts as code.
    """
    draft = Draft(block)
    for _ in range(_ROUNDS):
        reader = _Round(context, draft.text, urls, memory, lost=lost)
        wanted = (change for change in reader.changes() if change.rule not in urls.disabled)
        changes = list(islice(wanted, _MOST_CHANGES + 1))
        if len(changes) > _MOST_CHANGES:
            break
        if draft.apply(changes):
            continue
        if reader.images and reader.definitions and not memory.definitions:
            memory.definitions = True  # within one block, whichever comes first
            continue
        memory.images |= reader.images
        memory.definitions |= reader.definitions
        return draft
    # Too tangled to be decided: nothing that markup is made of stays, from the first trigger on, which is not shown yet.
    first = TRIGGER.search(block)
    start = len(draft.text) if first is None else first.start()
    text = _TANGLE.sub(" ", draft.text[start:])
    draft.apply([Change(start=start, end=len(draft.text), text=text, rule="markup-overflow")])
    return draft


class _Round:
    """One look at a block."""

    def __init__(self, context: str, block: str, urls: UrlPolicy, memory: Memory, *, lost: bool) -> None:
        self._urls = urls
        self._memory = memory
        self._lost = lost
        self.images = False
        self.definitions = False
        seen = Seen() if lost else parse(context + block)
        start = len(context)
        self._block = block
        blocks = [(max(0, first - start), last - start) for first, last in seen.code if last > start]
        spans = [(first - start, last - start) for first, last in seen.spans if first >= start]
        self._code = sorted(blocks + spans)
        self._text = _masked(block, self._code)
        if spans and self._is_doubtful(spans):
            self._code = sorted(blocks)
            self._text = _masked(block, blocks)
        self._openings = {link.opening - start: link for link in seen.links if link.opening is not None}
        self._images = {link.start - start: link for link in seen.links if link.image}
        self._shift = start
        self._defined = [(first - start, last - start) for first, last in seen.definitions]
        # Where the last end stands: without it, each beginning would be searched from to the end of the text.
        self._closes = {"-->": self._text.rfind("-->")}
        for name, end in _HIDDEN.items():
            self._closes[name] = max((found.start() for found in end.finditer(self._text)), default=-1)
        self._kept: set[int] = set()  # openings of images that stay

    def _is_doubtful(self, spans: list[tuple[int, int]]) -> bool:
        """Whether some renderers see other code spans.

        Where a URL runs into a backtick, it may be a part of it. Where backticks inside a span stand before a closing
        bracket, marked takes them for the end of a span, and the bracket for the end of a link's text.
        """
        return any(self._block.find("`]", first + 1, last) >= 0 for first, last in spans) or any(
            "`" in found[0] or found[0].endswith(_BLOT) for found in _RUNS_ON.finditer(self._text)
        )

    def changes(self) -> Iterator[Change]:
        """What is to be done, from left to right."""
        at = 0
        while match := TRIGGER.search(self._text, at):
            start = match.start()
            change, at = self._look(match[0], start)
            if change is not None:
                yield change

    def _look(self, trigger: str, at: int) -> tuple[Change | None, int]:
        """The change at a trigger, and where to look on."""
        after = at + len(trigger)
        if trigger == "![":
            return self._image(at), after
        if trigger == "](":
            return self._destination(at + 1), after
        if trigger == "]:":
            return self._definition(at + 1), after
        if "<" in trigger:
            return self._escaped_angle(after - 2) if self._is_escaped(after - 2) else self._angle(after - 2)
        return self._escape(at) if trigger[0] == "\\" else self._bare(at)

    def _escape(self, at: int) -> tuple[Change | None, int]:
        found = WRITTEN_ESCAPE.match(self._text, at)
        if found is None:
            return None, at + 1
        change = Change(
            start=at, end=found.end(), text=filler(self._text[max(0, at - 1) : at]), rule="terminal-escape-written"
        )
        return change, found.end()

    def _image(self, at: int) -> Change | None:
        image = self._images.get(at)
        if image is not None:
            if self._urls.load(image.destination) is None:
                if image.opening is not None:
                    self._kept.add(image.opening - self._shift)
                return None
        elif self._is_escaped(at) and not self._lost:
            return None
        elif not (self._lost or self._memory.definitions or "](" in self._text[at:]):
            self.images = True
            return None
        # One more mark before it would make another image.
        text = " " if self._text[at - 1 : at] == "!" else ""
        return Change(start=at, end=at + 1, text=text, rule=Fault.IMAGE)

    def _destination(self, at: int) -> Change | None:
        """The change to a destination whose parenthesis opens at a place."""
        link: Link | None = self._openings.get(at)
        if at in self._kept:
            return None
        if link is not None:
            fault = self._urls.link(link.destination)
            end = link.end - self._shift
            if fault is None:
                return None
            return Change(start=at, end=end, text=_NO_DESTINATION + self._breaks(at, end), rule=fault)
        found = _DESTINATION.match(self._text, at)
        if found is None:
            return None
        fault = self._urls.link(found[1], certain=False)
        if fault is None and self._lost and found.end() == len(self._text):
            fault = Fault.LINK
        return None if fault is None else Change(start=at, end=at + 1, text=" (", rule=fault)

    def _definition(self, at: int) -> Change | None:
        """The change to a definition whose colon stands at a place."""
        found = _DEFINED.match(self._text, at)
        if found is None:
            return None
        certain = any(start <= at < end for start, end in self._defined)
        line = max(self._text.rfind("\n", 0, at), self._text.rfind("\r", 0, at)) + 1
        is_definition = certain or _LABEL.match(self._text, line, at) is not None
        destination = found[1].removeprefix("<").removesuffix(">")
        fault = self._urls.link(destination, certain=certain)
        if fault is None and is_definition and self._urls.load(destination) is not None:
            if self._memory.images or self.images:
                fault = Fault.IMAGE
            else:
                self.definitions = True
        if fault is None and not (self._lost and not destination):
            return None
        end = found.end()
        return Change(start=at, end=end, text=_NO_DESTINATION + self._breaks(at, end), rule=fault or Fault.LINK)

    def _escaped_angle(self, at: int) -> tuple[Change | None, int]:
        """The change to a bracket behind a backslash, which some renderers do not heed."""
        end = match_tag(self._text, at, _MOST_TAG)
        tag = self._text[at:end] if end else ""
        if tag and (is_placeholder(tag) or judge_tag(tag, self._urls).text is None):
            return None, at + 1
        return Change(start=at - 1, end=at + 1, text="&lt;", rule="markup-active-html"), at + 1

    def _angle(self, at: int) -> tuple[Change | None, int]:
        """The change to what begins with an angle bracket, and where to look on."""
        text = self._text
        link = _AUTOLINK.match(text, at)
        if link is not None:
            fault = self._urls.link(link[1])
            if fault is None:
                return None, link.end()
            if fault is not Fault.SCHEME:
                return Change(start=at, end=link.end(), text=self._label(at), rule=fault), link.end()
        if text.startswith("<!--", at):
            end = text.find("-->", at + 2) + 3 if self._closes["-->"] > at else 0
            if end and not self._is_code(at, end):
                return self._gone(at, end), end
        closed = match_tag(text, at, _MOST_TAG)
        name = tag_name(text[at : at + 40])
        if closed is None or self._is_code(at, closed):
            harmless = closed is None and name and _LETTERS.split(name)[0] not in KNOWN and not self._lost
            return (None if harmless else self._escaped(at)), at + 1
        return self._tag(at, closed, name)

    def _tag(self, at: int, end: int, name: str) -> tuple[Change | None, int]:
        tag = self._text[at:end]
        if is_placeholder(tag) or _EMAIL.fullmatch(tag):
            return None, end
        hidden = _HIDDEN.get(name)
        closed = hidden.search(self._text, end) if hidden and self._closes[name] >= end else None
        if closed and not self._is_code(at, closed.end()):
            return self._gone(at, closed.end()), closed.end()
        if name not in ALLOWED or name == "pre" or not _OPEN_TAG.fullmatch(tag) or _LINE_BREAK.search(tag):
            return self._escaped(at), at + 1
        verdict = judge_tag(tag, self._urls)
        if verdict.text is None:
            return None, end
        text = self._label(at, verdict.text) if verdict.text.startswith("[") else verdict.text
        return Change(start=at, end=end, text=text, rule=verdict.rule), end

    def _bare(self, at: int) -> tuple[Change | None, int]:
        found = _WITH_USER.match(self._text, at) or BARE_URL.match(self._text, at)
        if found is None:
            return None, at + 1
        end = at + bare_end(found[0])
        fault = self._link_fault(self._text[at:end])
        if fault is None and (longer := self._enclosing(at, found.end())):
            fault = self._link_fault(longer)
        if fault is None and self._lost and found.end() == len(self._text):
            fault = Fault.LINK
        # What looks on inside a URL finds what a link's end hides there.
        return (Change(start=at, end=end, text=self._label(at), rule=fault), end) if fault else (None, at + 4)

    def _link_fault(self, url: str) -> Fault | None:
        return self._urls.link(url if "://" in url[:8] else f"http://{url}")

    def _enclosing(self, at: int, end: int) -> str:
        """A bare URL with what stands in its brackets and quotes: for markdown-it a part of it, even a tag."""
        run = _RUN.match(self._text, at)
        longer = "" if run is None else run[0]
        tag = longer.find("<", end - at)
        return longer if tag >= 0 and _OPENERS.search(longer, 0, tag) else ""

    def _label(self, at: int, label: str = NO_LINK) -> str:
        """A label for a place: after an exclamation mark it would begin an image, and a word must not end there."""
        before = self._text[at - 1 : at]
        return f" {label}" if before == "!" else f"{joint(before)}{label}"

    def _escaped(self, at: int) -> Change:
        return Change(start=at, end=at + 1, text="&lt;", rule="markup-active-html")

    def _gone(self, start: int, end: int) -> Change:
        text = self._breaks(start, end) or filler(self._text[max(0, start - 1) : start])
        return Change(start=start, end=end, text=text, rule="markup-active-html")

    def _breaks(self, start: int, end: int) -> str:
        """The line breaks of a stretch: they stay, so that the blocks of the text do."""
        return "".join(_LINE_BREAK.findall(self._block[start:end]))

    def _is_escaped(self, at: int) -> bool:
        """Whether an odd number of backslashes stands before a place."""
        start = at
        while start and self._text[start - 1] == "\\":
            start -= 1
        return (at - start) % 2 == 1

    def _is_code(self, start: int, end: int) -> bool:
        index = bisect_left(self._code, (end, 0))
        return index > 0 and self._code[index - 1][1] > start


def _masked(block: str, code: list[tuple[int, int]]) -> str:
    """The block with its code blotted out, line breaks and all places as they are."""
    if not code:
        return block
    pieces, at = [], 0
    for start, end in code:
        if end > at:
            pieces += [block[at : max(start, at)], re.sub(r"[^\r\n]", _BLOT, block[max(start, at) : end])]
            at = end
    return "".join([*pieces, block[at:]])
