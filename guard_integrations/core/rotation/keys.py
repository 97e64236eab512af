"""One API key as it comes from outside: parsed, checked, hidden."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NoReturn

from pydantic import SecretStr

from guard_integrations.errors import MissingKeyError

__all__ = ["SET_ENVIRONMENT", "ApiKey", "Unpicklable", "as_keys", "parse_keys"]

SET_ENVIRONMENT: Final = "set MISTRAL_API_KEY, or MISTRAL_API_KEYS for several"
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_WORKSPACE = re.compile(r"(?P<workspace>[A-Za-z0-9][A-Za-z0-9_.-]{0,63}):(?P<key>.+)", re.DOTALL)


class Unpicklable:
    """A thing that holds a secret: copies are the thing itself, and it does not leave the process."""

    __slots__ = ()

    def __copy__(self) -> "Unpicklable":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Unpicklable":
        return self

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"{name} holds an API key and is not pickled: build a KeyRing in the process that uses it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey(Unpicklable):
    """A key and the workspace whose rate limits it shares.

    Args:
        secret: the key itself.
        workspace: any name; keys with the same one cool together on a 429. None: a workspace of its own.
    """

    secret: SecretStr
    workspace: str | None = None


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Keys from a setting: separated by commas or line ends, each `KEY` or `WORKSPACE:KEY`; `#` starts a comment line."""
    found: list[ApiKey] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        for part in line.split(","):
            entry = part.strip()
            if not entry:
                continue
            labelled = _WORKSPACE.fullmatch(entry)
            if labelled:
                found.append(ApiKey(secret=SecretStr(labelled["key"].strip()), workspace=labelled["workspace"]))
            else:
                found.append(ApiKey(secret=SecretStr(entry)))
    return tuple(found)


def as_keys(given: Iterable[str | SecretStr | ApiKey], todo: str = SET_ENVIRONMENT) -> tuple[ApiKey, ...]:
    """The keys of a ring: at least one, each fit for an HTTP header, none twice; white space around one is left out.

    Args:
        given: the keys.
        todo: what the error tells the reader to do when there is none.

    Raises:
        MissingKeyError: when there is none, or one is not fit; the message counts keys and shows none.
    """
    keys: dict[str, ApiKey] = {}
    for number, each in enumerate(given, start=1):
        key = (
            each
            if isinstance(each, ApiKey)
            else ApiKey(secret=each if isinstance(each, SecretStr) else SecretStr(each))
        )
        value = key.secret.get_secret_value().strip()
        if not _HEADER_SAFE.fullmatch(value):
            raise MissingKeyError(
                f"Key {number} is not an API key: it is empty or holds white space or characters outside ASCII."
            )
        keys.setdefault(value, ApiKey(secret=SecretStr(value), workspace=key.workspace))
    if not keys:
        raise MissingKeyError(f"No Mistral API key was given: {todo}.")
    return tuple(keys.values())
