"""Notebooks: code cells as one text, with a map back to the cells, and what the cells put out."""

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Notebook", "Output", "read_notebook"]

_MAGIC: Final = re.compile(r"^(\s*)[%!?](?=.)|^(\s*)(?=\w[\w.]*\?+\s*$)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a cell has put out, as text.

    Args:
        cell: the number of the cell, from 1, counted over all cells.
        text: what was put out.
    """

    cell: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """Where the code cells of a notebook stand in the joined text.

    Args:
        cells: the number of each code cell, from 1, counted over all cells.
        starts: the line of the joined text that each begins at, from 1.
        outputs: what was put out.
        python: whether the code is Python.
    """

    cells: tuple[int, ...]
    starts: tuple[int, ...]
    outputs: tuple[Output, ...] = ()
    python: bool = True

    def cell(self, line: int) -> tuple[int, int]:
        """The cell that a line of the joined text belongs to, and the line in the cell, both from 1."""
        at = bisect_right(self.starts, line) - 1
        return (self.cells[at], line - self.starts[at] + 1) if at >= 0 else (1, 1)


def read_notebook(text: str) -> tuple[str, Notebook]:
    """The code of a notebook, magics turned into comments, and the map back.

    Raises:
        ValueError: when it is not a notebook of format 4.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise ValueError("not a notebook of format 4")  # noqa: TRY004 - what a file holds, not what a caller passes
    codes: list[str] = []
    cells: list[int] = []
    starts: list[int] = []
    outputs: list[Output] = []
    line = 1
    for number, cell in enumerate(content["cells"], start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        code = _plain(_text(cell.get("source")))
        codes.append(code)
        cells.append(number)
        starts.append(line)
        line += code.count("\n") + 1
        outputs += [Output(cell=number, text=shown) for shown in _shown(cell.get("outputs")) if shown]
    notebook = Notebook(
        cells=tuple(cells), starts=tuple(starts), outputs=tuple(outputs), python=_is_python(content.get("metadata"))
    )
    return "\n".join(codes), notebook


def _text(value: object) -> str:
    """A text that may be cut into lines."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _plain(code: str) -> str:
    """Code without what only IPython understands, as long as before."""
    if code.lstrip().startswith("%%"):
        return "\n".join("#" + line[1:] for line in code.split("\n"))
    return _MAGIC.sub(lambda match: f"{match[1] or match[2] or ''}#", code)


def _shown(outputs: object) -> list[str]:
    found: list[str] = []
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            continue
        found += [_text(output.get("text")), _text(output.get("traceback")), _text(output.get("evalue"))]
        data = output.get("data")
        if isinstance(data, dict):
            found += [_text(value) for kind, value in data.items() if str(kind).startswith("text/")]
    return found


def _is_python(metadata: object) -> bool:
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    language = kernel.get("language", "python") if isinstance(kernel, dict) else "python"
    return str(language).lower().startswith(("python", "ipython"))
