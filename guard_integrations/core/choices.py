"""Settings that are one of a few words. A misspelt one must never be taken for "off"."""

from collections.abc import Sequence

from guard_integrations.errors import PolicyError

__all__ = ["require_choice"]


def require_choice(name: str, given: object, choices: Sequence[str]) -> None:
    """Refuses what is none of the choices.

    Args:
        name: what the setting is called.
        given: what was given; it is not shown.
        choices: the words there are.

    Raises:
        PolicyError: names the setting and its choices.
    """
    if given not in choices:
        *others, last = (f'"{choice}"' for choice in choices)
        raise PolicyError(f"{name} is {', '.join(others)} or {last}")
