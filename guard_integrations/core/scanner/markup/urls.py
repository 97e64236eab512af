"""Where a link or an image goes, read as leniently as a browser would, and whether it may."""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

__all__ = ["BARE_URL", "BARE_URL_BEGUN", "Fault", "UrlPolicy", "bare_end"]

MOST_OPAQUE: Final = 32
"""Characters that say nothing to a reader which a link to an unlisted host may carry."""
MOST_URL: Final = 2048
"""Characters of a URL at most; a longer one is refused."""

_WEB: Final = frozenset({"http", "https", "ftp", "ws", "wss"})
_HARMLESS: Final = frozenset({"tel", "sms"})
_ACTIVE: Final = frozenset(
    {"javascript", "vbscript", "livescript", "data", "file", "blob", "view-source", "jar", "about"}
)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_EDGES: Final = "".join(map(chr, range(0x21)))
_SPACES: Final = str.maketrans("", "", "\t\n\r")
_BACKSLASH: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_NUMBER: Final = re.compile(r"\d{1,8}")
_VOWEL: Final = re.compile("[aeiouyäöüáàâãåæéèêëíìîïóòôõøœúùûý]")
_CONSONANTS: Final = re.compile("[bcdfghjklmnpqrstvwxz]{6}")
_PIECE: Final = re.compile(r"[^\W_]+")
_LONGEST_WORD: Final = 20
_SHORT: Final = 3

BARE_URL: Final = re.compile(r"(?:https?://|ftp://|wss?://|www\.)[^\s<]+", re.IGNORECASE)
"""A URL that stands in a text by itself, with the punctuation that follows it; GFM's autolinks and more."""
BARE_URL_BEGUN: Final = r"(?:h(?:t(?:tps?:?/?|t)?)?|f(?:tp?:?/?)?|w(?:ww?|ss?:?/?)?)\Z"
"""What a bare URL may begin with, at the end of a text; for a pattern."""
_TRAILING: Final = "?!.,:;*_~'\"&|"


class Fault(StrEnum):
    """Why a destination is refused: also the id of the rule."""

    IMAGE = "markup-image"
    LINK = "markup-link-exfiltration"
    SCHEME = "markup-dangerous-scheme"


def bare_end(url: str) -> int:
    """Length of a bare URL without the punctuation that follows it."""
    end = len(url)
    while end:
        last = url[end - 1]
        unpaired = last in ")]}" and url.count(last, 0, end) > url.count("([{"[")]}".index(last)], 0, end)
        if last not in _TRAILING and not unpaired:
            break
        end -= 1
    return end


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlPolicy:
    """Which destinations pass, and what is not looked for at all.

    Args:
        allowed_hosts: hosts that, with their subdomains, may be loaded from and linked to.
        listed_only: whether every link needs the list.
        disabled: ids of markup rules that are not to run.
    """

    allowed_hosts: frozenset[str] = frozenset()
    listed_only: bool = False
    disabled: frozenset[str] = frozenset()

    def load(self, destination: str) -> Fault | None:
        """The fault of something that loads by itself: it needs a listed host."""
        return next((Fault.IMAGE for reading in _readings(destination) if not self._is_listed(reading)), None)

    def link(self, destination: str, *, certain: bool = True) -> Fault | None:
        """The fault of a link that a reader would have to follow.

        Args:
            destination: as it is written.
            certain: whether it is a link beyond doubt; then an unknown scheme is a fault, too.
        """
        if len(destination) > MOST_URL:
            return Fault.LINK
        for reading in _readings(destination):
            fault = self._link(reading, certain=certain)
            if fault is not None:
                return fault
        return None

    def _is_listed(self, url: str) -> bool:
        scheme, rest = _scheme(url)
        if scheme not in _WEB and (scheme or not _has_authority(url)):
            return False
        return self._lists(_authority(rest)[1])

    def _lists(self, host: str) -> bool:
        return any(host == listed or host.endswith(f".{listed}") for listed in self.allowed_hosts)

    def _link(self, url: str, *, certain: bool) -> Fault | None:
        scheme, rest = _scheme(url)
        if scheme in _ACTIVE:
            return Fault.SCHEME
        if scheme == "mailto":
            address, _, query = rest.partition("?")
            host = _host(address.rpartition("@")[2])
            return Fault.LINK if not self._lists(host) and (query or self.listed_only) else None
        if scheme in _HARMLESS or (not scheme and not _has_authority(url)):
            return None
        if scheme and scheme not in _WEB:
            return Fault.SCHEME if certain else None
        user, host, path = _authority(rest)
        if self._lists(host):
            return None
        carries = bool(user) or not host or _query(path) or _opaque(host) + _opaque(path) > MOST_OPAQUE
        return Fault.LINK if carries or self.listed_only else None


def _readings(destination: str) -> Iterator[str]:
    """A destination as it is written, and as it is once entities, backslashes and percent signs are resolved."""
    seen: set[str] = set()
    waiting = [destination]
    while waiting:
        text = waiting.pop().translate(_SPACES).strip(_EDGES)
        if text in seen:
            continue
        seen.add(text)
        yield text
        if "&" in text:
            waiting.append(html.unescape(text))
        if "\\" in text:
            waiting.append(_BACKSLASH.sub(r"\1", text))
        head, colon, tail = text.partition("/") if ":" not in text else text.partition(":")
        if "%" in head or ("%" in text[:64] and not _SCHEME.match(text)):
            waiting.append(unquote(head) + colon + tail if "%" in head else unquote(text))


def _scheme(url: str) -> tuple[str, str]:
    found = _SCHEME.match(url)
    return (found[1].lower(), url[found.end() :]) if found else ("", url)


def _has_authority(url: str) -> bool:
    return len(url) > 1 and url[0] in "/\\" and url[1] in "/\\"


def _authority(rest: str) -> tuple[str, str, str]:
    r"""User, host and what follows, of a URL without its scheme. Browsers take `\` for `/`, and any number of them."""
    rest = rest.replace("\\", "/").lstrip("/")
    end = next((at for at, char in enumerate(rest) if char in "/?#"), len(rest))
    user, _, host = rest[:end].rpartition("@")
    return user, _host(host), rest[end:]


def _host(host: str) -> str:
    plain = unicodedata.normalize("NFKC", unquote(host)).lower()
    if not plain.startswith("["):
        plain = plain.partition(":")[0]
    return plain.replace("\u3002", ".").strip(".")


def _query(path: str) -> bool:
    """Whether there is a query, be it behind the fragment's sign."""
    return any(map(str.isalnum, unquote(path.partition("?")[2])))


def _opaque(path: str) -> int:
    """Characters of the pieces that are neither words nor short numbers."""
    plain = unquote(path)
    if " " in plain or not plain.isprintable():
        return len(plain)
    return sum(len(piece) for piece in _PIECE.findall(plain) if not _is_word(piece))


def _is_word(piece: str) -> bool:
    if len(piece) <= _SHORT or _NUMBER.fullmatch(piece):
        return True
    letters = piece.rstrip("0123456789")
    if len(piece) - len(letters) > _SHORT or not letters.isalpha() or len(letters) > _LONGEST_WORD:
        return False
    if not letters.isascii():
        return True
    lower = letters.lower()
    cased = letters in {lower, letters.upper(), letters.capitalize()} or _is_camel(letters)
    return cased and _VOWEL.search(lower) is not None and _CONSONANTS.search(lower) is None


def _is_camel(letters: str) -> bool:
    humps = re.findall("[A-Z]?[a-z]+|[A-Z]+", letters)
    return len(humps) * 4 <= len(letters)
