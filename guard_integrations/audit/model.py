"""What the audit speaks of: checks, what they hit, and the report.

A check is data and a function. `Check.inspect` gets one file at a time, in a worker process, and yields `Hit`s;
`Check.conclude` gets, once, what is known of the project without opening a file. A hit that is only a fault as long
as nothing in the project guards against it names what would (`Hit.unless`): the engine drops it when it has seen all
files. Everything here can be pickled, and nothing here holds a secret.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from guard_integrations.core.findings import Severity

if TYPE_CHECKING:
    from guard_integrations.audit.source import SourceFile

__all__ = [
    "DOCS",
    "KEY",
    "RANK",
    "AuditFinding",
    "AuditReport",
    "Check",
    "CheckResult",
    "Example",
    "FileFacts",
    "Guard",
    "Hit",
    "Language",
    "Project",
    "Skipped",
]

DOCS: Final = "docs/audit.md"
"""Where the checks are explained, each under its id in lower case: in this package's repository."""
KEY: Final = "{{KEY}}"
"""Stands in examples for an API key, which a test makes at random."""
RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
"""Severities in order, LOW first."""


class Language(StrEnum):
    """How a file is read."""

    PYTHON = "python"
    """Modules and the code cells of notebooks; what notebooks hold besides comes as `TEXT`."""
    SCRIPT = "script"
    """TypeScript and JavaScript, with or without JSX."""
    CONFIG = "config"
    """YAML, TOML, JSON, `.env` and Dockerfiles: see `SourceFile.settings`."""
    TEMPLATE = "template"
    """HTML, Jinja and single-file components: text alone."""
    TEXT = "text"
    """Everything else that people write keys into: shell, Make, INI, Markdown."""


class Guard(StrEnum):
    """What protects, whoever made it."""

    INPUT = "input"
    OUTPUT = "output"
    MODERATION = "moderation"
    NODES = "nodes"
    TOOLS = "tools"
    LOGGING = "logging"
    ROTATION = "rotation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One fault that a check has found; made by `SourceFile.hit`, or by hand in `Check.conclude`.

    Args:
        start: first character, counted in `SourceFile.text`.
        end: one past the last character.
        message: what is wrong here, in one sentence; holds no text of the file but names.
        unless: guards, any of which somewhere in the project makes this no fault.
        given: traits, one of which some file of the project must have, or this is no fault; none: it is one anyway.
        severity: where it is another than the check's.
        path: for hits of `Check.conclude`: the file meant, relative to the root.
    """

    start: int = 0
    end: int = 0
    message: str
    unless: frozenset[Guard] = frozenset()
    given: frozenset[str] = frozenset()
    severity: Severity | None = None
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A little project.

    Args:
        files: text by path; `KEY` stands for an API key.
        repository: whether it is a git repository, all of its files but the ignored ones tracked.
    """

    files: Mapping[str, str]
    repository: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What is known before a file is read.

    Args:
        root: the folder, absolute.
        repository: whether git answers for it.
        files: what is audited, relative to the root, POSIX; left out where a check looks at one file.
        tracked_env: `.env` files that git tracks, or that are there where there is no git and nothing ignores them.
        env_ignored: whether git (without one: the ignore file) would ignore a new `.env` in the root.
    """

    root: str
    repository: bool = False
    files: tuple[str, ...] = ()
    tracked_env: tuple[str, ...] = ()
    env_ignored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a file adds to what is known of the project.

    Args:
        path: relative to the root.
        guards: what it guards.
        model: whether it uses a language model: a client of Mistral, a chat model of LangChain or LlamaIndex.
        traits: what a hit in another file may depend on (`Hit.given`): "web" for a server, "answers:f" for a function
            `f` that returns what a model answers.
    """

    path: str
    guards: frozenset[Guard] = frozenset()
    model: bool = False
    traits: frozenset[str] = frozenset()


Inspect: TypeAlias = Callable[["SourceFile"], Iterable[Hit]]
Conclude: TypeAlias = Callable[[Project, tuple[FileFacts, ...]], Iterable[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing the audit looks for.

    Args:
        id: "GI" and three digits; stable, never used again for something else.
        name: kebab-case, for people.
        severity: how bad it is.
        title: what it looks for, in a few words.
        rationale: why it is a fault.
        remediation: what to do.
        bad: examples in which it finds something; the first is shown in the documentation. A test runs them all.
        good: examples in which it finds nothing.
        languages: of the files `inspect` wants.
        keywords: lower-case words, one of which a file must hold, else `inspect` is not called; none: always is.
        inspect: yields what is wrong in one file.
        conclude: yields what is wrong with the project.
        in_tests: whether it looks at tests, too, which do dangerous things on purpose.
        in_history: whether it looks at what git keeps of earlier days, too, where that is asked for.
        once: report the first place only.
        checklist: whether it answers one of the six questions of the textbook checklist.
    """

    id: str
    name: str
    severity: Severity
    title: str
    rationale: str
    remediation: str
    bad: tuple[Example, ...]
    good: tuple[Example, ...]
    languages: frozenset[Language] = frozenset({Language.PYTHON})
    keywords: tuple[str, ...] = ()
    inspect: Inspect | None = None
    conclude: Conclude | None = None
    in_tests: bool = False
    in_history: bool = False
    once: bool = False
    checklist: bool = False

    @property
    def link(self) -> str:
        """Where it is explained."""
        return f"{DOCS}#{self.id.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """A fault and its place.

    Args:
        check: the check's id.
        name: the check's name.
        severity: how bad it is.
        message: what is wrong here.
        path: the file, relative to the root, POSIX.
        line: the first line, from 1; of a notebook, the line in the cell.
        column: the first character, from 1.
        end_line: the last line.
        end_column: one past the last character, from 1.
        snippet: the first line, secrets masked; left out of `repr`.
        mark: from which character of the snippet up to which the fault reaches, from 0.
        fingerprint: 16 hex digits that stay when the lines around it change.
        cell: of a notebook, the number of the cell, from 1.
        output: whether it stands in what the cell has put out, or in Markdown, not in code.
        file_line: the line in the file itself, which is another one in notebooks.
        commit: for what is found in the history alone, the commit that brought it.
        justification: what the comment says that suppresses it.
    """

    check: str
    name: str
    severity: Severity
    message: str
    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    snippet: str = field(default="", repr=False)
    mark: tuple[int, int] = (0, 0)
    fingerprint: str = ""
    cell: int | None = None
    output: bool = False
    file_line: int = 1
    commit: str | None = None
    justification: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What became of one check.

    Args:
        id: the check's id.
        name: its name.
        passed: whether it found nothing that counts.
        findings: how many findings it has.
    """

    id: str
    name: str
    passed: bool
    findings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file that was not audited, or only in part.

    Args:
        path: relative to the root.
        reason: why.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found.

    Args:
        root: the folder.
        files: how many files were read.
        checks: every check that ran, in the order of the ids.
        findings: in the order of path and line.
        suppressed: findings that a comment in the code suppresses.
        known: how many findings the baseline holds, which are left out.
        skipped: files that were not audited, and why.
        fail_on: from which severity on a finding counts.
    """

    root: str
    files: int
    checks: tuple[CheckResult, ...]
    findings: tuple[AuditFinding, ...]
    suppressed: tuple[AuditFinding, ...] = ()
    known: int = 0
    skipped: tuple[Skipped, ...] = ()
    fail_on: Severity = Severity.LOW

    @property
    def passed(self) -> bool:
        """Whether nothing was found that counts."""
        return not any(RANK[finding.severity] >= RANK[self.fail_on] for finding in self.findings)
