"""The notebooks run from top to bottom, offline, and still say what they said when they were last looked at."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 5


def said(notebook):
    """What each code cell printed, less what changes from run to run."""
    return [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def drawn(path):
    """A notebook with pictures needs what only `make check` installs."""
    slow = [pytest.mark.slow] if "matplotlib" in path.read_text(encoding="utf-8") else []
    return pytest.param(path, id=path.stem, marks=slow)


@pytest.mark.parametrize("path", [drawn(path) for path in NOTEBOOKS])
def test_the_notebook_runs_and_says_the_same(path):
    committed = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    NotebookClient(fresh, timeout=120, kernel_name="python3").execute()
    for cell, before, now in zip(
        (cell for cell in committed.cells if cell.cell_type == "code"), said(committed), said(fresh), strict=True
    ):
        if "as_dict" not in cell.source:  # a record holds times and ids
            assert now == before, cell.source
