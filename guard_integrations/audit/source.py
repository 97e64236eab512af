"""One file as checks see it.

What is costly (a parsed tree, the settings of a configuration file, its secrets) is worked out when it is asked for,
once. `hit` turns a node of whatever kind into a place.
"""

import ast
import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Final

from ast_grep_py import SgNode

from guard_integrations.audit.model import Guard, Hit, Language, Project
from guard_integrations.audit.notebook import Notebook
from guard_integrations.audit.python import PythonModule
from guard_integrations.audit.script import ScriptModule
from guard_integrations.audit.secrets import Secret, find_secrets, wherever
from guard_integrations.audit.settings import Setting, read_settings
from guard_integrations.core.findings import Severity

__all__ = ["SourceFile"]

_TEST_FOLDERS: Final = frozenset({"test", "tests", "testing", "__tests__", "e2e", "spec"})
_TEST: Final = re.compile(r"test_.*|.*_test\.py|conftest\.py|.*\.(?:test|spec)\.\w+")


class SourceFile:
    """One file of a project.

    Args:
        path: relative to the root, POSIX.
        language: how it is read.
        text: what is read; of a notebook, its code cells, one under the other, or its Markdown and output.
        project: what is known of the project.
        tree: of Python, the parsed module.
        notebook: of a notebook, where its cells stand in `text`.
    """

    def __init__(  # noqa: PLR0913 - what there is to know of a file
        self,
        *,
        path: str,
        language: Language,
        text: str,
        project: Project,
        tree: ast.Module | None = None,
        notebook: Notebook | None = None,
    ) -> None:
        self.path = path
        self.language = language
        self.text = text
        self.project = project
        self.notebook = notebook
        self._tree = tree

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return PurePosixPath(self.path).name

    @cached_property
    def is_test(self) -> bool:
        """Whether it is part of the project's tests, by its path."""
        parts = PurePosixPath(self.path).parts
        return not _TEST_FOLDERS.isdisjoint(parts[:-1]) or bool(_TEST.match(self.name))

    @cached_property
    def lower(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @cached_property
    def python(self) -> PythonModule:
        """The Python module; empty where the file is none."""
        return PythonModule(self._tree or ast.Module(body=[], type_ignores=[]))

    @cached_property
    def script(self) -> ScriptModule:
        """The TypeScript or JavaScript module; empty where the file is none."""
        plain = self.path.endswith((".ts", ".mts", ".cts"))
        return ScriptModule(self.text if self.language is Language.SCRIPT else "", "typescript" if plain else "tsx")

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """What a configuration file sets; nothing where the file is none."""
        return read_settings(self.path, self.text) if self.language is Language.CONFIG else ()

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """The keys, tokens and passwords in the text, in their order."""
        return find_secrets(self.text)

    @cached_property
    def hidden(self) -> tuple[tuple[int, int], ...]:
        """From where to where there is something that must not be shown."""
        return wherever(self.text, self.secrets)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines, ends of line included."""
        return tuple(self.text.split("\n"))

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(line) + 1 for line in self.lines)]

    def offset(self, line: int, column: int) -> int:
        """Characters before a place, which is given as Python does: line from 1, column in bytes of UTF-8."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        if not text.isascii():
            column = len(text.encode()[:column].decode(errors="ignore"))
        return self._starts[min(line, len(self.lines)) - 1] + column

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character."""
        line = min(bisect_right(self._starts, offset), len(self.lines))
        return line, offset - self._starts[line - 1] + 1

    def hit(
        self,
        node: ast.AST | SgNode | Secret | Setting | tuple[int, int],
        message: str,
        *,
        unless: frozenset[Guard] = frozenset(),
        given: frozenset[str] = frozenset(),
        severity: Severity | None = None,
    ) -> Hit:
        """A fault at a node, a secret, a setting, or from one character up to another."""
        if isinstance(node, ast.AST):
            start, end = self._span(node)
        elif isinstance(node, SgNode):
            start, end = node.range().start.index, node.range().end.index
        elif isinstance(node, Secret | Setting):
            start, end = node.start, node.end
        else:
            start, end = node
        return Hit(start=start, end=end, message=message, unless=unless, given=given, severity=severity)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        if not isinstance(node, ast.expr | ast.stmt | ast.arg | ast.keyword | ast.alias | ast.ExceptHandler):
            return 0, 0
        last, column = node.end_lineno or node.lineno, node.end_col_offset
        return self.offset(node.lineno, node.col_offset), self.offset(last, column or 0)
