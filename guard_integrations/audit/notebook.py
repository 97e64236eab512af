"""Notebooks: the code of the cells as one text, and what stands in other cells and comes out of all as another.

Each has a map back to the cells.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ast_grep_py import SgNode, SgRoot

__all__ = ["Notebook", "read_notebook"]

_MAGIC: Final = re.compile(r"^(\s*)[%!?](?=.)|^(\s*)(?=\w[\w.]*\?+\s*$)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """Where the cells of a notebook stand in a joined text.

    Args:
        text: the joined text.
        cells: the number of the cell of each part, from 1.
        starts: the line of the joined text that each part begins at, from 1.
        output: whether the text is Markdown and output, not code.
        python: whether the code is Python.
        raw: the file.
    """

    text: str = field(repr=False)
    cells: tuple[int, ...]
    starts: tuple[int, ...]
    output: bool = False
    python: bool = True
    raw: str = field(default="", repr=False)

    def cell(self, line: int) -> tuple[int, int]:
        """The cell that a line of the joined text belongs to, and the line in the cell, both from 1."""
        at = bisect_right(self.starts, line) - 1
        return (self.cells[at], line - self.starts[at] + 1) if at >= 0 else (1, 1)

    def file_line(self, line: int) -> int:
        """The line of the file, from 1, that holds a line of the joined text; of output, where the outputs begin."""
        cell, within = self.cell(line)
        root = SgRoot(self.raw, "json").root()
        top = next((child for child in root.children() if child.kind() == "object"), None)
        cells = _items(_member(top, "cells"))
        if cell > len(cells):
            return 1
        part = _member(cells[cell - 1], "outputs" if self.output else "source") or _member(cells[cell - 1], "source")
        lines = _items(part)
        if not self.output and within <= len(lines):
            part = lines[within - 1]
        return (part or cells[cell - 1]).range().start.line + 1


def read_notebook(text: str) -> tuple[Notebook, Notebook]:
    """The code of a notebook, magics turned into comments, and the rest of it.

    Raises:
        ValueError: when it is not a notebook of format 4.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise ValueError("is not a notebook of format 4")  # noqa: TRY004 - what a file holds, not what a caller passes
    code: list[tuple[int, str]] = []
    rest: list[tuple[int, str]] = []
    for number, cell in enumerate(content["cells"], start=1):
        if not isinstance(cell, dict):
            continue
        source = _text(cell.get("source"))
        (code if cell.get("cell_type") == "code" else rest).append((number, source))
        rest += [(number, shown) for shown in _shown(cell.get("outputs")) if shown]
    python = _is_python(content.get("metadata"))
    code = [(number, _plain(source)) for number, source in code] if python else code
    return _joined(code, text, python=python), _joined(rest, text, output=True, python=python)


def _joined(parts: list[tuple[int, str]], raw: str, *, output: bool = False, python: bool = True) -> Notebook:
    starts: list[int] = []
    line = 1
    for _, part in parts:
        starts.append(line)
        line += part.count("\n") + 1
    return Notebook(
        text="\n".join(part for _, part in parts),
        cells=tuple(number for number, _ in parts),
        starts=tuple(starts),
        output=output,
        python=python,
        raw=raw,
    )


def _text(value: object) -> str:
    """A text that may be cut into lines."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _plain(code: str) -> str:
    """Code without what only IPython understands, with as many lines as before."""
    if code.lstrip().startswith("%%"):
        return "\n".join("#" + line[1:] for line in code.split("\n"))
    return _MAGIC.sub(lambda match: f"{match[1] or match[2] or ''}#", code)


def _shown(outputs: object) -> Iterator[str]:
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            continue
        yield from (_text(output.get("text")), _text(output.get("traceback")), _text(output.get("evalue")))
        data = output.get("data")
        if isinstance(data, dict):
            yield from (_text(value) for kind, value in data.items() if str(kind).startswith("text/"))


def _is_python(metadata: object) -> bool:
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    language = kernel.get("language", "python") if isinstance(kernel, dict) else "python"
    return str(language).lower().startswith(("python", "ipython"))


def _member(node: SgNode | None, key: str) -> SgNode | None:
    for pair in node.children() if node is not None and node.kind() == "object" else []:
        name = pair.field("key") if pair.kind() == "pair" else None
        if name is not None and name.text().strip('"') == key:
            return pair.field("value")
    return None


def _items(node: SgNode | None) -> list[SgNode]:
    return (
        [child for child in node.children() if child.is_named()] if node is not None and node.kind() == "array" else []
    )
