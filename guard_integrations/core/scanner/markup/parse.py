"""What a Markdown parser sees in a text: its code, links, images, and the places where blocks begin."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, cast

import pyromark

__all__ = ["Fence", "Link", "Seen", "parse"]

_BARE: Final = pyromark.Options(0)
_PLAIN: Final = pyromark.Options.ENABLE_FOOTNOTES
_TABLES: Final = _PLAIN | pyromark.Options.ENABLE_TABLES
_LISTS: Final = frozenset({"List", "FootnoteDefinition"})
_CONTAINERS: Final = _LISTS | {"Item", "BlockQuote"}
_BLOCKS: Final = _CONTAINERS | {"Paragraph", "Heading", "CodeBlock", "HtmlBlock", "Table"}
_LINE_BREAK: Final = re.compile(r"[\r\n]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link or an image. Places are characters.

    Args:
        image: whether it is an image.
        start: where it begins.
        end: one past its end.
        opening: where its destination's parenthesis opens; None where that stands elsewhere.
        destination: where it goes, resolved.
    """

    image: bool
    start: int
    end: int
    opening: int | None
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A fenced code block.

    Args:
        start: the first character of the opening fence.
        end: one past the block's last line.
        top: whether it stands in no list and no quotation.
    """

    start: int
    end: int
    top: bool


@dataclass(slots=True, kw_only=True)
class Seen:
    """What there is in a text. Places are characters.

    Args:
        code: fenced and indented code blocks.
        spans: code spans of one line.
        links: links and images.
        definitions: link reference definitions: start, end.
        blocks: where blocks begin.
        fences: the fenced code blocks.
    """

    code: list[tuple[int, int]] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    definitions: list[tuple[int, int]] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)


def parse(text: str) -> Seen:
    """Reads a text as GitHub-flavoured Markdown.

    Renderers differ in whether there are tables and footnotes. What is code for some of them only does not count.
    """
    plain = text if text.isascii() else _SURROGATE.sub("?", text)
    readings = [_Reader(plain).read(_PLAIN)]
    if "[^" in plain:
        readings.append(_Reader(plain).read(_BARE))
    if "|" in plain:
        readings.append(_Reader(plain).read(_TABLES))
    seen = readings[0]
    for other in readings[1:]:
        seen.code = list(_common(seen.code, other.code))
        seen.spans = list(_common(seen.spans, other.spans))
        seen.links += other.links
        seen.definitions += other.definitions
        seen.blocks += other.blocks
        seen.fences = [fence for fence in seen.fences if fence in other.fences]
    return seen


class _Places(dict[int, int]):
    """Place of a character, by its first byte in UTF-8. Events come nearly in order, so each counts on from the last."""

    def __init__(self, text: str) -> None:
        self._text = b"" if text.isascii() else text.encode()
        self._last = (0, 0)

    def __missing__(self, byte: int) -> int:
        if not self._text:
            return byte
        start, place = self._last if self._last[0] <= byte else (0, 0)
        place += len(self._text[start:byte].decode("utf-8", "ignore"))
        self._last = (byte, place)
        self[byte] = place
        return place


class _Reader:
    """Listens to the parser's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places = _Places(text)
        self._seen = Seen()
        self._open: list[tuple[int, int]] = []  # links: their index, and the end of what their text holds so far
        self._depth = self._lists = 0

    def read(self, options: pyromark.Options) -> Seen:
        for event, span in pyromark.events_with_range(self._text, options=options):
            if isinstance(event, str):
                if event == "Rule":
                    self._seen.blocks.append(self._places[span["start"]])
                continue
            if "Text" in event and not self._open:
                continue
            start, end = self._places[span["start"]], self._places[span["end"]]
            kind, value = next(iter(cast("Mapping[str, object]", event).items()))
            name, about = next(iter(value.items())) if isinstance(value, dict) else (str(value), None)
            if kind == "Start":
                self._begin(name, about, start, end)
            elif kind == "End":
                self._end(name, end)
            else:
                # Where a span goes on in the next line, some renderers see another block begin there.
                if kind == "Code" and _LINE_BREAK.search(self._text, start, end) is None:
                    self._seen.spans.append((start, end))
                self._inside(end)
        for definition in pyromark.reference_definitions(self._text, options=options).values():
            self._seen.definitions.append(
                (self._places[definition["span"]["start"]], self._places[definition["span"]["end"]])
            )
        return self._seen

    def _begin(self, name: str, about: object, start: int, end: int) -> None:
        if name in _BLOCKS:
            self._seen.blocks.append(start)
        if name in _CONTAINERS:
            self._depth += 1
            self._lists += name in _LISTS
        elif name == "CodeBlock":
            fenced = about != "Indented"
            # Where a list is open, renderers do not agree on what is indented code.
            if fenced or not self._lists:
                self._seen.code.append((start, end))
            if fenced:
                self._seen.fences.append(Fence(start=start, end=end, top=not self._depth))
        elif name in {"Link", "Image"}:
            self._open.append((len(self._seen.links), start + 1 + (name == "Image")))
            # Autolinks and what is linked by reference have no destination of their own; `_end` finds the others'.
            known = cast("Mapping[str, str]", about)
            self._seen.links.append(
                Link(
                    image=name == "Image",
                    start=start,
                    end=end,
                    opening=-1 if known["link_type"] == "Inline" else None,
                    destination=known["dest_url"],
                )
            )

    def _end(self, name: str, end: int) -> None:
        if name in _CONTAINERS:
            self._depth -= 1
            self._lists -= name in _LISTS
        elif name in {"Link", "Image"}:
            index, inside = self._open.pop()
            link = self._seen.links[index]
            if link.opening is not None:
                opening = self._text.find("](", inside, link.end)
                self._seen.links[index] = replace(link, opening=None if opening < 0 else opening + 1)
        self._inside(end)

    def _inside(self, end: int) -> None:
        if self._open:
            self._open[-1] = (self._open[-1][0], max(end, self._open[-1][1]))


def _common(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What two lists of stretches have in common; in each, none overlap."""
    waiting = sorted(other, reverse=True)
    for start, end in sorted(one):
        while waiting and waiting[-1][1] <= start:
            waiting.pop()
        for first, last in reversed(waiting):
            if first >= end:
                break
            yield max(start, first), min(end, last)
