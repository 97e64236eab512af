"""HTML tags: which may stay, and as what. Attributes are read by a real parser and written anew."""

import html
import re
from dataclasses import dataclass
from typing import Final

import nh3

from guard_integrations.core.scanner.markup.urls import Fault, UrlPolicy

__all__ = ["ALLOWED", "KNOWN", "Tag", "is_placeholder", "judge_tag", "match_tag", "tag_name"]

ALLOWED: Final = frozenset(
    "a abbr b bdi bdo blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption "  # noqa: SIM905 - read as a text
    "figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strike strong sub summary "
    "sup table tbody td tfoot th thead tr tt u ul var wbr".split()
)
"""Tags that show something and do nothing."""
_ATTRIBUTES: Final[dict[str, frozenset[str]]] = {
    "a": frozenset({"href", "title"}),
    "abbr": frozenset({"title"}),
    "bdo": frozenset({"dir"}),
    "details": frozenset({"open"}),
    "img": frozenset({"src", "alt", "title", "width", "height"}),
    "li": frozenset({"value"}),
    "ol": frozenset({"start", "type", "reversed"}),
    "td": frozenset({"colspan", "rowspan"}),
    "th": frozenset({"colspan", "rowspan", "scope"}),
}
_EVERYWHERE: Final = frozenset({"align", "dir", "lang"})
KNOWN: Final = ALLOWED | frozenset(
    "address animate animatemotion animatetransform annotation annotation-xml applet area article aside audio base "  # noqa: SIM905 - read as a text
    "basefont bgsound blink body button canvas command content data datalist dialog dir discard element embed fieldset "
    "font footer foreignobject form frame frameset head header hgroup html iframe ilayer image input isindex keygen label "
    "layer legend link listing main map marquee math menu menuitem meta meter mglyph multicol nav nextid nobr noembed "
    "noframes noscript object optgroup option output param picture plaintext portal progress rb rtc script search section "
    "select selectedcontent set shadow slot source spacer style svg template textarea time title track use video xmp".split()
)
"""Tags that mean something to a browser."""

_VALUE: Final = r"\"[^\"]*+\"|'[^']*+'|(?=>)|[^\s>\"'][^\s>]*+"
_ATTRIBUTE: Final = rf"[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:{_VALUE})|(?!\s*+=))"
_ATTRIBUTES_OF: Final = re.compile(_ATTRIBUTE)
_TAG: Final = re.compile(rf"</?([A-Za-z][^\s/>]*+)(?:[\s/]++|{_ATTRIBUTE})*+>")
_TAG_BEGUN: Final = re.compile(r"</?([A-Za-z][^\s/>]*)|<[!?/]")
"""What a browser takes for the beginning of a tag, a comment, or something that it treats as a comment."""
_PLAIN: Final = re.compile(r"</?[A-Za-z][A-Za-z0-9]*\s?/?>")
_WRITTEN: Final = re.compile(r'<[a-z0-9]+(?: [a-z]+="[^"<>\n]*")*>')
_PLACEHOLDER: Final = re.compile(r"</?[A-Za-z][\w.,| ]*/?>")
_HANDLER: Final = re.compile(r"\bon", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What becomes of a tag.

    Args:
        text: what stands in its stead; None where it stays as it is, empty where it goes.
        rule: why; empty where nothing was wrong with it but its spelling.
    """

    text: str | None = None
    rule: str = ""


_STAYS: Final = Tag()
_GOES: Final = Tag(text="", rule="markup-active-html")


def match_tag(text: str, at: int, most: int) -> int | None:
    """Where the tag ends that begins at a place, as a browser's tokenizer delimits it; `most` characters on at most."""
    if text.find(">", at, at + most) < 0:
        return None  # which would take the pattern a thousand times as long to say
    found = _TAG.match(text, at, at + most)
    return found and found.end()


def tag_name(tag: str) -> str:
    """A tag's name in lower case."""
    found = _TAG_BEGUN.match(tag)
    return (found[1] or "").lower() if found else ""


_HALF: Final = re.compile("[\ud800-\udfff]")
"""Half a character, which no parser of HTML reads; a browser shows the replacement character."""
_REPLACEMENT: Final = "\ufffd"


def is_placeholder(tag: str) -> bool:
    """Whether something in angle brackets is nothing to a browser: `<your name>`, `vector<int>`."""
    name = tag_name(tag)
    return name not in KNOWN and _PLACEHOLDER.fullmatch(tag) is not None and not _HANDLER.search(tag[len(name) + 1 :])


def judge_tag(tag: str, urls: UrlPolicy) -> Tag:
    """What becomes of a whole tag, as `TAG` delimits it."""
    name = tag_name(tag)
    if name not in ALLOWED:
        return _GOES
    if tag.startswith("</"):
        return _STAYS if _PLAIN.fullmatch(tag) else Tag(text=f"</{name}>")
    return _STAYS if name != "img" and _PLAIN.fullmatch(tag) else _rewritten(tag, name, urls)


def _rewritten(tag: str, name: str, urls: UrlPolicy) -> Tag:
    """What becomes of an allowed tag with attributes."""
    attributes, fault = _attributes(tag, name, urls)
    if name == "img" and (fault is not None or "src" not in attributes):
        return Tag(text="[image removed]", rule=fault or Fault.IMAGE)
    written = f"<{name}" + "".join(f' {key}="{_quoted(value)}"' for key, value in attributes.items()) + ">"
    if not _WRITTEN.fullmatch(written):
        return _GOES
    if written == tag:
        return _STAYS
    dropped = len(_ATTRIBUTES_OF.findall(tag, len(name) + 1)) > len(attributes)
    return Tag(text=written, rule=fault or ("markup-active-html" if dropped else ""))


def _quoted(value: str) -> str:
    return html.escape(value).replace("\n", " ").replace("\r", " ").replace("&#x27;", "'")


def _attributes(tag: str, name: str, urls: UrlPolicy) -> tuple[dict[str, str], Fault | None]:
    """The attributes that may stay, and the fault of a destination that may not."""
    kept: dict[str, str] = {}
    faults: list[Fault] = []
    allowed = _ATTRIBUTES.get(name, frozenset()) | _EVERYWHERE

    def take(_element: str, attribute: str, value: str) -> str | None:
        fault = None
        if attribute in {"href", "src"}:
            fault = urls.load(value) if attribute == "src" else urls.link(value)
        if fault is None:
            kept.setdefault(attribute, value)
        else:
            faults.append(fault)
        return None

    # Every tag is read as a span: as itself, a table's cell would be dropped for want of its table.
    nh3.clean(
        f"<span{_HALF.sub(_REPLACEMENT, tag[len(name) + 1 :])}",
        tags={"span"},
        attributes={"span": set(allowed)},
        attribute_filter=take,
        url_schemes={"http", "https", "mailto", "tel", "ftp"},
        link_rel=None,
    )
    return kept, faults[0] if faults else None
