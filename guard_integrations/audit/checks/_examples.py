"""Examples in one line each."""

from guard_integrations.audit.model import Example

__all__ = ["python", "script"]


def python(code: str) -> Example:
    """A project of one Python module."""
    return Example(files={"app.py": code})


def script(code: str, name: str = "app.ts") -> Example:
    """A project of one TypeScript module."""
    return Example(files={name: code})
