"""A model's errors without the content, the keys and the bodies that they carry, whichever HTTP library they come from."""

import json
from typing import Any, Final, TypeVar

from guard_integrations.errors import GuardBlocked, GuardUnavailable

__all__ = ["KEPT_HEADERS", "bare_request", "broken_off", "other_error", "request_error", "without_traceback"]

KEPT_HEADERS: Final = (
    "retry-after",
    "x-ratelimit-limit-req-minute",
    "x-ratelimit-remaining-req-minute",
    "x-ratelimit-limit-tokens-minute",
    "x-ratelimit-remaining-tokens-minute",
    "x-request-id",
    "mistral-correlation-id",
)
"""Headers that say when to come back, and which request it was; none can hold content or a key."""

_Error = TypeVar("_Error", bound=Exception)


def bare_request(request: Any) -> Any:  # noqa: ANN401 - a request of httpx, or one of httpx2
    """A request's method and address, and nothing else of it."""
    return type(request)(request.method, request.url.copy_with(userinfo=b"", query=None, fragment=None))


def request_error(error: _Error) -> _Error:
    """An error of the transport, of the same type, without its message and with a bare request."""
    found: Any = error
    try:
        request = bare_request(found.request)
    except RuntimeError:  # the error was raised before there was a request
        request = None
    return type(found)(f"{type(error).__name__} while asking the model", request=request)  # type: ignore[no-any-return] # the same type


def other_error(error: Exception) -> Exception:
    """What stands for any other error, whose message may quote content."""
    if isinstance(error, json.JSONDecodeError):
        return json.JSONDecodeError("The API's answer is not JSON", "", 0)
    return GuardUnavailable(
        "model", f"{type(error).__name__} while asking the model; its message is withheld because it may quote content"
    )


def broken_off() -> GuardUnavailable:
    """What is raised where a stream has ended, and nothing in it said that the answer was over."""
    return GuardUnavailable(
        "model", "the stream ended in the middle of the answer, perhaps after an error in it: ask again"
    )


def without_traceback(error: GuardBlocked) -> GuardBlocked:
    """The same refusal without a traceback, whose frames hold the text."""
    return GuardBlocked(stage=error.stage, rules=error.rules, categories=error.categories, scores=error.scores)
