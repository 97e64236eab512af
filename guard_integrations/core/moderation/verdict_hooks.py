"""What Mistral's guardrails said of an input that went through: read where the HTTP client has the whole answer.

Neither framework hands the verdict on: LangChain drops it, the Mistral SDK does not know the field. A client's response
hook sees it. A streamed answer is left alone, for to read it here would hold it back.
"""

from typing import Any, Final

from guard_integrations.core.moderation.guardrail import guardrail_categories
from guard_integrations.core.runs import current

__all__ = ["VERDICT_HOOKS", "VERDICT_HOOKS_ASYNC"]

_OK: Final = 200


def _count_verdicts(response: Any) -> None:  # noqa: ANN401 - either library's response
    if _is_whole(response):
        response.read()
        _count(response.content)


async def _acount_verdicts(response: Any) -> None:  # noqa: ANN401 - as above
    if _is_whole(response):
        await response.aread()
        _count(response.content)


def _is_whole(response: Any) -> bool:  # noqa: ANN401 - as above
    kind = response.headers.get("content-type", "")
    return response.status_code == _OK and kind.startswith("application/json") and current() is not None


def _count(body: bytes) -> None:
    run = current()
    if run is not None and b'"guardrails"' in body:
        run.violated(guardrail_categories(body))


VERDICT_HOOKS: Final = {"response": [_count_verdicts]}
"""`event_hooks` of a blocking client, of `httpx` or `httpx2`."""
VERDICT_HOOKS_ASYNC: Final = {"response": [_acount_verdicts]}
"""The same of an asynchronous one."""
