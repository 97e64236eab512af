"""What is done to a text on its way out: taking out, and afterwards putting pseudonyms' values back."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Any, Protocol

from guard_integrations.core.findings import Finding, Sanitized
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.values import map_strings
from guard_integrations.core.sanitizer.vault import PseudonymVault, Restorer

__all__ = ["Checking", "Restoring", "Session", "TextGuard"]


class Session(Protocol):
    """One text that arrives in pieces."""

    def feed(self, chunk: str) -> str:
        """What may go out now."""

    def finish(self) -> str:
        """What was still held."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""


class TextGuard(Protocol):
    """What `AnswerGuard` needs to know of a sanitizer."""

    def session(self) -> Session:
        """A session for one text."""

    def text(self, text: str) -> Sanitized:
        """A whole text."""

    def arguments(self, value: Any, tool: str | None) -> tuple[Any, tuple[Finding, ...]]:
        """A tool's arguments, or JSON where there is no tool."""


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

    def session(self) -> Session:
        """A session for one text."""
        return self.sanitizer.stream(restore=self.restore)

    def text(self, text: str) -> Sanitized:
        """A whole text."""
        return self.sanitizer.sanitize(text, restore=self.restore)

    def arguments(self, value: Any, tool: str | None) -> tuple[Any, tuple[Finding, ...]]:
        """A tool's arguments, or JSON where there is no tool."""
        restore = self.restore and (tool is None or tool in self.restore_tools)
        clean = self.sanitizer.sanitize_value(value, restore=restore)
        return clean.value, clean.findings


@dataclass(frozen=True, slots=True)
class Restoring:
    """Puts a vault's values back, after all checks.

    Args:
        vault: holds them.
        restore_tools: tools whose arguments may hold them.
    """

    vault: PseudonymVault
    restore_tools: Container[str] = ()

    def session(self) -> Session:
        """A session for one text."""
        return _RestoringSession(self.vault.restorer())

    def text(self, text: str) -> Sanitized:
        """A whole text."""
        return Sanitized(text=self.vault.restore(text))

    def arguments(self, value: Any, tool: str | None) -> tuple[Any, tuple[Finding, ...]]:
        """A tool's arguments, or JSON where there is no tool."""
        if tool is not None and tool not in self.restore_tools:
            return value, ()
        return map_strings(value, lambda text, _: self.vault.restore(text)), ()


@dataclass(frozen=True, slots=True)
class _RestoringSession:
    restorer: Restorer
    findings: tuple[Finding, ...] = ()

    def feed(self, chunk: str) -> str:
        return self.restorer.feed(chunk)

    def finish(self) -> str:
        return self.restorer.finish()
