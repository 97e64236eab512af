"""Where the development data stands: beside the repository, or where GUARD_SHARED_DATA says. It is not part of it."""

import os
from pathlib import Path

import pytest

__all__ = ["shared_data"]


def shared_data(name: str) -> Path:
    """The path of a file or folder of the development data; skips the test, saying so, where it is not there."""
    folder = os.environ.get("GUARD_SHARED_DATA")
    root = Path(folder) if folder else Path(__file__).parents[1] / ".." / "shared" / "data"
    path = root / name
    if not path.exists():
        pytest.skip(f"{name} is not there: GUARD_SHARED_DATA names the folder of the development data")
    return path
