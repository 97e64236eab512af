"""Where keys come from."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from guard_integrations.core.rotation.keys import ApiKey, as_keys, parse_keys

__all__ = ["EnvironmentSource", "KeySource"]


class KeySource(Protocol):
    """Anything that can be asked for the keys as they are now."""

    def fetch(self) -> Sequence[ApiKey]:
        """All keys, the preferred one first. May block; called outside the event loop.

        Raises:
            MissingKeyError: when there is none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSource:
    """`MISTRAL_API_KEYS`, separated by commas or line ends, each `KEY` or `WORKSPACE:KEY`; else `MISTRAL_API_KEY`."""

    def fetch(self) -> tuple[ApiKey, ...]:
        """The keys of the environment.

        Raises:
            MissingKeyError: when neither variable holds one.
        """
        several = parse_keys(os.environ.get("MISTRAL_API_KEYS", ""))
        return as_keys(several or parse_keys(os.environ.get("MISTRAL_API_KEY", "")))
