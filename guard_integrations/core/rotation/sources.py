"""Where keys come from: the environment, a `.env` file, mounted files. Secret managers are in `secret_managers`."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from guard_integrations.core.rotation.keys import SET_ENVIRONMENT, ApiKey, as_keys, parse_keys
from guard_integrations.errors import GuardUnavailable

__all__ = ["DotenvSource", "EnvironmentSource", "FileSource", "KeySource"]


class KeySource(Protocol):
    """Anything that can be asked for the keys as they are now."""

    @property
    def interval(self) -> float:
        """Seconds after which the keys are old."""

    def fetch(self) -> Sequence[ApiKey]:
        """All keys, the preferred one first. May block; called outside the event loop, by one thread at a time.

        Raises:
            MissingKeyError: when there is none.
            GuardUnavailable: when the source cannot be asked.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSource:
    """`MISTRAL_API_KEYS`, separated by commas or line ends, each `KEY` or `WORKSPACE:KEY`; else `MISTRAL_API_KEY`."""

    interval: float = math.inf

    def fetch(self) -> tuple[ApiKey, ...]:
        """The keys of the environment.

        Raises:
            MissingKeyError: when neither variable holds one.
        """
        return _from_variables(os.environ)


@dataclass(frozen=True, slots=True, kw_only=True)
class DotenvSource:
    """The same variables, in a `.env` file; the environment itself is left alone. Needs the extra `dotenv`.

    Args:
        path: the file.
        interval: seconds between two looks at it.
    """

    path: Path = Path(".env")
    interval: float = 1.0

    def fetch(self) -> tuple[ApiKey, ...]:
        """The keys of the file.

        Raises:
            MissingKeyError: when it is not there or names none.
        """
        try:
            from dotenv import dotenv_values  # noqa: PLC0415 - an extra
        except ImportError as missing:
            raise ImportError("A .env file needs an extra: pip install 'guard-integrations[dotenv]'") from missing
        values = dotenv_values(self.path, interpolate=False)
        todo = f"{self.path} does not set MISTRAL_API_KEY" if Path(self.path).exists() else f"there is no {self.path}"
        return _from_variables({name: value for name, value in values.items() if value is not None}, todo)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A file with keys, or a folder with one such file per entry, as Kubernetes mounts a secret; changes are picked up.

    A file holds what `MISTRAL_API_KEYS` does: keys separated by commas or line ends, each `KEY` or `WORKSPACE:KEY`.

    Args:
        path: the file or folder. In a folder, hidden entries are left out, and names give the order.
        interval: seconds between two looks at it.
    """

    path: Path
    interval: float = 1.0

    def fetch(self) -> tuple[ApiKey, ...]:
        """The keys of the file or folder.

        Raises:
            MissingKeyError: when there is none.
            GuardUnavailable: when it cannot be read.
        """
        path = Path(self.path)
        problem = ""
        texts: list[str] = []
        try:
            entries = sorted(path.iterdir()) if path.is_dir() else [path]
            texts = [
                each.read_text("utf-8")
                for each in entries
                if each == path or (each.is_file() and not each.name.startswith("."))
            ]
        except (OSError, UnicodeDecodeError) as error:
            problem = f"the key file cannot be read ({type(error).__name__})"
        if problem:
            raise GuardUnavailable("keys", problem)
        return as_keys(parse_keys("\n".join(texts)), f"write one a line into {path}")


def _from_variables(values: Mapping[str, str], todo: str = SET_ENVIRONMENT) -> tuple[ApiKey, ...]:
    several = parse_keys(values.get("MISTRAL_API_KEYS", ""))
    return as_keys(several or parse_keys(values.get("MISTRAL_API_KEY", "")), todo)
