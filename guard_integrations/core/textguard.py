"""What is done to a text on its way in and out, and told to the observers; and pseudonyms' values put back."""

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from guard_integrations.core.findings import Finding, Sanitized, Stage
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.reports import report, report_blocked
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.json_stream import JsonStream, TextSession
from guard_integrations.core.sanitizer.orders import sanitize_document
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.values import map_strings
from guard_integrations.core.sanitizer.vault import PseudonymVault, Restorer
from guard_integrations.errors import GuardBlocked

__all__ = ["Checking", "Restoring", "Screening", "TextGuard"]


class TextGuard(Protocol):
    """What `AnswerGuard` needs to know of a sanitizer."""

    def session(self) -> TextSession:
        """A session for one text."""

    def json(self, tool: str | None = None) -> TextSession:
        """A session for the JSON of a tool's arguments; or of an answer, where there is no tool."""

    def text(self, text: str) -> Sanitized:
        """A whole text."""

    def arguments(self, value: Any, tool: str | None) -> tuple[Any, tuple[Finding, ...]]:  # noqa: ANN401 - whatever JSON holds
        """A tool's arguments, or JSON where there is no tool."""


@dataclass(frozen=True, slots=True)
class Screening:
    """Makes safe what comes in.

    Args:
        sanitizer: does it.
    """

    sanitizer: InputSanitizer

    def text(self, text: str, stage: Stage) -> Sanitized:
        """A whole text.

        Raises:
            GuardBlocked: when the policy refuses it.
        """
        return self._reported(partial(self.sanitizer.sanitize, text, stage), stage)

    def document(self, text: str) -> Sanitized:
        """A document, or a part of it: with an injection that is filtered goes what follows it in its paragraph.

        Raises:
            GuardBlocked: when the policy refuses it.
        """
        return self._reported(partial(sanitize_document, self.sanitizer, text), "document")

    def _reported(self, sanitize: Callable[[], Sanitized], stage: Stage) -> Sanitized:
        try:
            clean = sanitize()
        except GuardBlocked as blocked:
            report_blocked(blocked, stage, self.sanitizer.policy)
            raise
        report(stage, clean.findings, self.sanitizer.policy)
        return clean


@dataclass(frozen=True, slots=True)
class Checking:
    """Takes out what must not go out.

    Args:
        sanitizer: does it.
        restore: whether the vault's values come back at once; not where moderation has yet to look.
        restore_tools: tools whose arguments may hold the vault's values.
    """

    sanitizer: OutputSanitizer
    restore: bool = True
    restore_tools: Container[str] = ()

    def session(self) -> TextSession:
        """A session for one text."""
        return _Reporting(self.sanitizer.stream(restore=self.restore), self.sanitizer.policy)

    def json(self, tool: str | None = None) -> TextSession:
        """A session for the JSON of a tool's arguments; or of an answer, where there is no tool."""
        return _Reporting(self.sanitizer.json_stream(restore=self._restores(tool)), self.sanitizer.policy)

    def text(self, text: str) -> Sanitized:
        """A whole text."""
        with _refusals_reported(self.sanitizer.policy):
            clean = self.sanitizer.sanitize(text, restore=self.restore)
        report("output", clean.findings, self.sanitizer.policy)
        return clean

    def arguments(self, value: Any, tool: str | None) -> tuple[Any, tuple[Finding, ...]]:  # noqa: ANN401 - as above
        """A tool's arguments, or JSON where there is no tool."""
        with _refusals_reported(self.sanitizer.policy):
            clean = self.sanitizer.sanitize_value(value, restore=self._restores(tool))
        report("output", clean.findings, self.sanitizer.policy)
        return clean.value, clean.findings

    def _restores(self, tool: str | None) -> bool:
        return self.restore and (tool is None or tool in self.restore_tools)


@dataclass(frozen=True, slots=True)
class _Reporting:
    """A session that tells the observers, when it is over, what was found in it."""

    session: TextSession
    policy: GuardPolicy

    def feed(self, chunk: str) -> str:
        with _refusals_reported(self.policy):
            return self.session.feed(chunk)

    def finish(self) -> str:
        with _refusals_reported(self.policy):
            rest = self.session.finish()
        report("output", self.session.findings, self.policy)
        return rest

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.session.findings


class _refusals_reported:  # noqa: N801 - a context manager; a class, since a generator costs microseconds a token
    __slots__ = ("_policy",)

    def __init__(self, policy: GuardPolicy) -> None:
        self._policy = policy

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, GuardBlocked):
            report_blocked(error, "output", self._policy)


@dataclass(frozen=True, slots=True)
class Restoring:
    """Puts a vault's values back, after all checks.

    Args:
        vault: holds them.
        restore_tools: tools whose arguments may hold them.
    """

    vault: PseudonymVault
    restore_tools: Container[str] = ()

    def session(self) -> TextSession:
        """A session for one text."""
        return self._start(None)

    def json(self, tool: str | None = None) -> TextSession:
        """A session for the JSON of a tool's arguments; or of an answer, where there is no tool."""
        return _AsItIs() if self._stays(tool) else JsonStream(self._start)

    def text(self, text: str) -> Sanitized:
        """A whole text."""
        return Sanitized(text=self.vault.restore(text))

    def arguments(self, value: Any, tool: str | None) -> tuple[Any, tuple[Finding, ...]]:  # noqa: ANN401 - as above
        """A tool's arguments, or JSON where there is no tool."""
        return (value, ()) if self._stays(tool) else map_strings(value, self._start)

    def _stays(self, tool: str | None) -> bool:
        return tool is not None and tool not in self.restore_tools

    def _start(self, _: str | None) -> "_RestoringSession":
        return _RestoringSession(self.vault.restorer())


@dataclass(frozen=True, slots=True)
class _RestoringSession:
    restorer: Restorer
    findings: tuple[Finding, ...] = ()

    def feed(self, chunk: str) -> str:
        return self.restorer.feed(chunk)

    def finish(self) -> str:
        return self.restorer.finish()

    def feed_last(self, chunk: str) -> str:
        return self.restorer.feed(chunk) + self.restorer.finish()


class _AsItIs:
    findings: tuple[Finding, ...] = ()

    def feed(self, chunk: str) -> str:
        return chunk

    def finish(self) -> str:
        return ""
