"""Errors of the HTTP client and of LangChain's parsing, without the body, the headers or the content they carry.

LangChain copies an error's `response` into the trace, headers and body included, and httpx keeps the request with
its key. What leaves here has the same type, so that existing `except` clauses and retry rules go on working.
"""

import httpx

from guard_integrations.core.findings import Stage
from guard_integrations.core.model_errors import (
    KEPT_HEADERS,
    bare_request,
    other_error,
    request_error,
    without_traceback,
)
from guard_integrations.core.moderation.decision import ModerationResult
from guard_integrations.core.moderation.guardrail import guardrail_refusal
from guard_integrations.errors import GuardBlocked, GuardError

__all__ = ["judged", "refused", "without_content"]


def without_content(error: Exception) -> Exception:
    """The error to raise in place of `error`: the same kind, holding no body, header, key or content.

    Raise it outside the `except` block, or the original stays in `__context__`.
    """
    if isinstance(error, GuardError):
        return error
    if isinstance(error, httpx.HTTPStatusError):
        return _status_error(error)
    if isinstance(error, httpx.RequestError):
        return request_error(error)
    return other_error(error)


def judged(error: Exception) -> Exception:
    """What to raise in place of an error of Mistral's: the refusal of its guardrail, or the error without content."""
    if isinstance(error, httpx.HTTPStatusError):
        refusal = guardrail_refusal(error.response.status_code, error.response.content)
        if refusal is not None:
            return refusal
    return without_content(error)


def _status_error(error: httpx.HTTPStatusError) -> httpx.HTTPStatusError:
    request = bare_request(error.request)
    status = error.response.status_code
    headers = {name: error.response.headers[name] for name in KEPT_HEADERS if name in error.response.headers}
    response = httpx.Response(status, headers=headers, request=request)
    return httpx.HTTPStatusError(
        f"Error response {status} while fetching {request.url}", request=request, response=response
    )


def refused(verdict: ModerationResult, stage: Stage) -> GuardBlocked | None:
    """The refusal in a verdict, if it is one."""
    try:
        verdict.raise_if_unsafe(stage)
    except GuardBlocked as error:
        return without_traceback(error)
    return None
