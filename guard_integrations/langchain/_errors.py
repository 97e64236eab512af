"""Errors of the HTTP client and of LangChain's parsing, without the body, the headers or the content they carry.

LangChain copies an error's `response` into the trace, headers and body included, and httpx keeps the request with
its key. What leaves here has the same type, so that existing `except` clauses and retry rules go on working.
"""

import json
from typing import Final

import httpx

from guard_integrations.core.findings import Stage
from guard_integrations.core.moderation.decision import ModerationResult
from guard_integrations.errors import GuardBlocked, GuardError, GuardUnavailable

__all__ = ["refused", "without_content", "without_traceback"]

# Headers that say when to come back, and which request it was; none can hold content or a key.
_KEPT_HEADERS: Final = (
    "retry-after",
    "x-ratelimit-limit-req-minute",
    "x-ratelimit-remaining-req-minute",
    "x-ratelimit-limit-tokens-minute",
    "x-ratelimit-remaining-tokens-minute",
    "x-request-id",
    "mistral-correlation-id",
)


def without_content(error: Exception) -> Exception:
    """The error to raise in place of `error`: the same kind, holding no body, header, key or content.

    Raise it outside the `except` block, or the original stays in `__context__`.
    """
    if isinstance(error, GuardError):
        return error
    if isinstance(error, httpx.HTTPStatusError):
        return _status_error(error)
    if isinstance(error, httpx.RequestError):
        return _request_error(error)
    if isinstance(error, json.JSONDecodeError):
        return json.JSONDecodeError("The API's answer is not JSON", "", 0)
    return GuardUnavailable(
        "model", f"{type(error).__name__} while asking the model; its message is withheld because it may quote content"
    )


def _status_error(error: httpx.HTTPStatusError) -> httpx.HTTPStatusError:
    request = _bare_request(error.request)
    status = error.response.status_code
    headers = {name: error.response.headers[name] for name in _KEPT_HEADERS if name in error.response.headers}
    response = httpx.Response(status, headers=headers, request=request)
    return httpx.HTTPStatusError(
        f"Error response {status} while fetching {request.url}", request=request, response=response
    )


def _request_error(error: httpx.RequestError) -> httpx.RequestError:
    try:
        request = _bare_request(error.request)
    except RuntimeError:  # httpx: the error was raised before there was a request
        request = None
    return type(error)(f"{type(error).__name__} while asking the model", request=request)


def _bare_request(request: httpx.Request) -> httpx.Request:
    return httpx.Request(request.method, request.url.copy_with(userinfo=b"", query=None, fragment=None))


def refused(verdict: ModerationResult, stage: Stage) -> GuardBlocked | None:
    """The refusal in a verdict, if it is one."""
    try:
        verdict.raise_if_unsafe(stage)
    except GuardBlocked as error:
        return without_traceback(error)
    return None


def without_traceback(error: GuardBlocked) -> GuardBlocked:
    """The same refusal without a traceback, whose frames hold the text."""
    return GuardBlocked(stage=error.stage, rules=error.rules, categories=error.categories, scores=error.scores)
