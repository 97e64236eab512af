"""Everything this package raises on purpose.

    GuardError
    ├── GuardBlocked        a guard refused the text; carries stage, rules, categories and scores
    ├── GuardUnavailable    a guard could not decide, so nothing was let through
    ├── KeysExhausted       no API key may be used before `retry_after` seconds have passed
    ├── MissingKeyError     no API key was found at all
    └── PolicyError         a policy or a rule pack is not valid

No error carries content, a key or an HTTP body. Raise them outside an `except` block: an exception raised
inside one keeps the original, request headers and all, in `__context__`.
"""

from collections.abc import Mapping

__all__ = ["GuardBlocked", "GuardError", "GuardUnavailable", "KeysExhausted", "MissingKeyError", "PolicyError"]


class GuardError(Exception):
    """Base of all errors of this package."""


class GuardBlocked(GuardError):
    """A guard refused a text.

    Retrying the same call gives the same answer: leave this error out of `.with_retry()`.

    Args:
        stage: where the text stood: "input", "output", "document" or "tool".
        rules: ids of the rules that refused it.
        categories: their categories; for moderation, the classifier's category names.
        scores: score by category, 0 to 1, where the guard has one.
    """

    def __init__(
        self,
        *,
        stage: str,
        rules: tuple[str, ...] = (),
        categories: tuple[str, ...] = (),
        scores: Mapping[str, float] | None = None,
    ) -> None:
        self.stage = stage
        self.rules = rules
        self.categories = categories
        self.scores = dict(scores or {})
        reasons = ", ".join(rules or categories) or "policy"
        super().__init__(f"The {stage} was blocked by: {reasons}.")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), vars(self))


class GuardUnavailable(GuardError):
    """A guard could not decide, so nothing was let through.

    Args:
        component: which part failed, such as "moderation" or "engine".
        reason: what happened and what to do, without content, key or HTTP body.
        status: the HTTP status, where there was one.
    """

    def __init__(self, component: str, reason: str, *, status: int | None = None) -> None:
        self.component = component
        self.reason = reason
        self.status = status
        super().__init__(f"{component}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), vars(self))


class KeysExhausted(GuardError):
    """No API key may be used now.

    Args:
        retry_after: seconds until the first key may be used again; None when no key will heal by waiting.
    """

    def __init__(self, retry_after: float | None) -> None:
        self.retry_after = retry_after
        when = "replace the keys" if retry_after is None else f"retry in {retry_after:.1f} s or add a key"
        super().__init__(f"No Mistral API key can be used now: {when}.")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), vars(self))


class MissingKeyError(GuardError):
    """No API key was found where one was looked for."""


class PolicyError(GuardError):
    """A policy or a rule pack is not valid; the message says where and what would be."""


def _rebuild(kind: type[GuardError], state: dict[str, object]) -> GuardError:
    """Unpickles an error whose constructor takes keywords only."""
    return kind(**state)
