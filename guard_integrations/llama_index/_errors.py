"""Errors of the Mistral SDK and its HTTP client, without the body, the headers or the content they carry.

The SDK puts the whole body into an error's text, and a 422 echoes the request in it. What leaves here has the same
type, so that existing `except` clauses go on working; a guardrail's 403 becomes this package's own error.
"""

from typing import Final, TypeVar

import httpx2
from mistralai.client.errors import MistralError, SDKError

from guard_integrations.core.model_errors import KEPT_HEADERS, bare_request, other_error, request_error
from guard_integrations.core.moderation.guardrail import guardrail_refusal
from guard_integrations.errors import GuardError

__all__ = ["without_content"]

_Error = TypeVar("_Error", bound=Exception)

_WITHHELD: Final = "(withheld: it may quote content)"


def without_content(error: Exception) -> Exception:
    """The error to raise in place of `error`: the same kind, holding no body, header, key or content.

    Raise it outside the `except` block, or the original stays in `__context__`.
    """
    if isinstance(error, GuardError):
        return _alone(error)
    if isinstance(error, MistralError):
        return guardrail_refusal(error.status_code, error.body) or _sdk_error(error)
    if isinstance(error, httpx2.RequestError):
        return request_error(error)
    return other_error(error)


def _alone(error: _Error) -> _Error:
    """The same error without what it was raised from and without the frames it went through."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _sdk_error(error: MistralError) -> SDKError:
    raw = error.raw_response
    headers = {name: raw.headers[name] for name in KEPT_HEADERS if name in raw.headers}
    response = httpx2.Response(error.status_code, headers=headers, request=bare_request(raw.request))
    return SDKError("API error occurred", response, _WITHHELD)
