"""Ordinary text that packages ship, as benign training documents in many languages.

    python -m training.benign FOLDER... --out benign.jsonl.gz

FOLDER holds unpacked Debian packages (`apt-get download $(cat training/debian-packages.txt)`, then `dpkg -x`),
or any tree with documentation in it: manual pages, HTML, Markdown, reStructuredText, fortunes, message catalogues,
Python sources. What comes out are documents of 200 to 8000 characters and, from catalogues, short messages.
"""

import argparse
import gettext
import gzip
import hashlib
import html
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

SEED = 20261123
PER_SOURCE = 400
"""Documents of one package at most, so that no package drowns the others."""

_TAG = re.compile(r"<[^>]*>")
_GONE = re.compile(r"<(script|style|head)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
_BLOCK = re.compile(r"</?(?:p|div|li|h[1-6]|tr|br|pre|dt|dd|table|ul|ol)\b[^>]*>", re.IGNORECASE)
_ROFF_FONT = re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)|\\s[+-]?\d|\\[&/,|^]|\\%")
_ROFF_ESCAPES = {
    r"\-": "-",
    r"\(aq": "'",
    r"\(dq": '"',
    r"\e": "\\",
    r"\ ": " ",
    r"\~": " ",
    r"\(lq": '"',
    r"\(rq": '"',
    r"\(co": "©",
    r"\(bu": "•",
    r"\(em": "—",
    r"\(en": "–",
}
_BLANKS = re.compile(r"[ \t\u00a0]+")
_EMPTY = re.compile(r"\n\s*\n\s*")


def from_html(raw: str) -> str:
    text = _TAG.sub("", _BLOCK.sub("\n", _GONE.sub(" ", raw)))
    return _EMPTY.sub("\n\n", _BLANKS.sub(" ", html.unescape(text)))


def from_roff(raw: str) -> str:
    lines = []
    for line in raw.splitlines():
        if line.startswith(('.\\"', "'\\\"")):
            continue
        if line.startswith((".SH", ".SS", ".TP", ".PP", ".P", ".IP", ".LP")):
            lines.append("\n" + line.partition(" ")[2].strip('"'))
        elif line.startswith((".B", ".I", ".R")):
            lines.append(line.partition(" ")[2])
        elif not line.startswith((".", "'")):
            lines.append(line)
    text = _ROFF_FONT.sub("", "\n".join(lines))
    for escape, plain in _ROFF_ESCAPES.items():
        text = text.replace(escape, plain)
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


def read(path: Path) -> str:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return raw[:400_000].decode("utf-8", "replace")


def documents(path: Path) -> Iterator[str]:
    """The texts in one file."""
    name = path.name.removesuffix(".gz")
    parts = path.parts
    if path.suffix == ".mo":
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog  # noqa: SLF001 - the only way to list a catalogue
        messages = [m for m in catalogue.values() if isinstance(m, str) and 20 < len(m) < 600]
        yield from messages
        return
    if "man" in parts and re.search(r"\.[1-8][a-z]*$", name):
        yield from chunks(from_roff(read(path)))
    elif name.endswith((".html", ".xhtml", ".page")) or re.search(r"\.html\.[a-z-]+(\.utf8)?$", name):
        yield from chunks(from_html(read(path)))
    elif "fortunes" in parts and not name.endswith((".dat", ".u8")):
        yield from (piece.strip() for piece in read(path).split("\n%\n") if 20 < len(piece) < 2000)
    elif name.endswith((".md", ".rst", ".txt", ".py", "METADATA")) and not name.startswith(
        ("top_level", "entry_points")
    ):
        yield from chunks(read(path))


def chunks(text: str) -> Iterator[str]:
    """Pieces of random length cut at blank lines: short ones and long ones are both ordinary."""
    chooser = random.Random(hashlib.sha256(text[:500].encode("utf-8", "replace")).digest())
    piece: list[str] = []
    size, wanted = 0, int(200 * 30 ** chooser.random())
    for paragraph in re.split(r"\n\s*\n", text):
        piece.append(paragraph.strip())
        size += len(paragraph)
        if size >= wanted:
            yield "\n\n".join(piece)[:8000]
            piece, size, wanted = [], 0, int(200 * 30 ** chooser.random())
    if size >= 200:
        yield "\n\n".join(piece)[:8000]


def source_of(path: Path, root: Path) -> str:
    """A name for where the file is from: the package, or the catalogue's language."""
    parts = path.relative_to(root).parts
    if path.suffix == ".mo":
        return "mo-" + path.parts[-3]
    if "man" in parts:
        after = parts[parts.index("man") + 1]
        return "man-" + (after if not after.startswith("man") else "en")
    for anchor in ("doc", "help", "fortunes", "site-packages"):
        if anchor in parts[:-1]:
            return "-".join([anchor, *parts[parts.index(anchor) + 1 :][: 2 if anchor in {"doc", "help"} else 1]])
    return parts[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pools: dict[str, list[str]] = {}
    chooser = random.Random(SEED)
    for root in options.folders:
        files = sorted(
            p for p in root.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size < 3_000_000
        )
        chooser.shuffle(files)
        for path in files:
            pool = pools.setdefault(source_of(path, root), [])
            if len(pool) >= PER_SOURCE * 3:
                continue
            try:
                pool.extend(list(documents(path))[:40])
            except (OSError, ValueError, IndexError):  # a file that is not what its name says
                continue
    seen: set[str] = set()
    with gzip.open(options.out, "wt", encoding="utf-8") as out:
        for source, pool in sorted(pools.items()):
            chooser.shuffle(pool)
            kept = 0
            for text in pool:
                if text in seen or kept >= PER_SOURCE or len(text) < 20 or text.count("\ufffd") > 2:
                    continue
                seen.add(text)
                kept += 1
                out.write(json.dumps({"text": text, "source": source}, ensure_ascii=False) + "\n")
            print(source, kept)


if __name__ == "__main__":
    main()
