"""From a path to what checks read. What does not parse is read as plain text: secrets are found in it all the same."""

import ast
import tokenize
import warnings
from io import BytesIO
from pathlib import Path
from typing import Final

from guard_integrations.audit.model import Language, Project, Skipped
from guard_integrations.audit.notebook import read_notebook
from guard_integrations.audit.source import SourceFile
from guard_integrations.audit.walk import language_of

__all__ = ["read", "reason_of"]

_LARGEST: Final = 10_000_000
"""Bytes of a file that is read."""
_LARGEST_CONFIG: Final = 256_000
"""Characters of a configuration file that is parsed; what is larger is data."""
_LARGEST_SCRIPT: Final = 1_000_000
"""Characters of a script that is parsed; what is larger is put together by a bundler."""
_LONGEST_LINE: Final = 10_000
"""Characters of a line of a script that a person has written."""
_HEAD: Final = 8192


def read(project: Project, path: str) -> tuple[tuple[SourceFile, ...], tuple[Skipped, ...]]:
    """Reads a file: two of a notebook, its code and the rest of it.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is too large, binary, or not in the encoding that it should be in.
    """
    text = _text(Path(project.root) / path)
    language = language_of(path) or Language.TEXT
    if path.endswith(".ipynb"):
        return _notebook(project, path, text)
    limit = {Language.CONFIG: _LARGEST_CONFIG, Language.SCRIPT: _LARGEST_SCRIPT}.get(language, _LARGEST)
    if len(text) > limit:
        return _as_text(project, path, text, f"is larger than {limit // 1000} KB")
    if language is Language.SCRIPT and any(len(line) > _LONGEST_LINE for line in text.split("\n")):
        return _as_text(project, path, text, "is minified")
    reason = ""
    tree: ast.Module | None = None
    try:
        tree = _parsed(text) if language is Language.PYTHON else None
        file = SourceFile(path=path, language=language, text=text, project=project, tree=tree)
        if language is not Language.CONFIG or file.settings is not None:
            broken = file.script.broken if language is Language.SCRIPT else None
            said = f"does not parse (line {broken}): read as far as it goes"
            return (file,), (Skipped(path=path, reason=said),) if broken else ()
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = reason_of(error)
    return _as_text(project, path, text, reason)


def reason_of(error: BaseException) -> str:
    """Why a file could not be read; no word of what is in it."""
    match error:
        case SyntaxError():
            return f"does not parse (line {error.lineno})"
        case UnicodeDecodeError() | LookupError():
            return "is not UTF-8"
        case OSError():
            return f"cannot be read: {error.strerror}"
        case ValueError() if type(error) is ValueError and str(error).startswith("is "):
            return str(error)
        case _:
            return f"does not parse ({type(error).__name__})"


def _as_text(project: Project, path: str, text: str, reason: str) -> tuple[tuple[SourceFile, ...], tuple[Skipped, ...]]:
    file = SourceFile(path=path, language=Language.TEXT, text=text, project=project)
    return (file,), (Skipped(path=path, reason=f"{reason}: only looked through for keys"),)


def _notebook(project: Project, path: str, text: str) -> tuple[tuple[SourceFile, ...], tuple[Skipped, ...]]:
    reason = ""
    try:
        code, rest = read_notebook(text)
        tree = _parsed(code.text) if code.python else None
        language = Language.PYTHON if code.python else Language.TEXT
        return (
            SourceFile(path=path, language=language, text=code.text, project=project, tree=tree, notebook=code),
            SourceFile(path=path, language=Language.TEXT, text=rest.text, project=project, notebook=rest),
        ), ()
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = reason_of(error)
    return _as_text(project, path, text, reason)


def _text(full: Path) -> str:
    if full.stat().st_size > _LARGEST:
        raise ValueError(f"is larger than {_LARGEST // 1_000_000} MB")
    data = full.read_bytes()
    if b"\0" in data[:_HEAD]:
        raise ValueError("is binary")
    encoding = "utf-8-sig"
    problem = False
    if full.suffix == ".py":
        try:
            encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
        except SyntaxError:
            problem = True
    if problem:
        raise ValueError("is not UTF-8, nor in an encoding that it names")
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the audited code's escapes
        return ast.parse(text)
