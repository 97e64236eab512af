"""What an HTTP answer says about the key that was sent with the request. Pure."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto

__all__ = ["READ_STATUSES", "Verdict", "judge", "retry_after"]

READ_STATUSES = frozenset({401, 403, 429})
"""The only statuses whose body is read before the answer goes to the caller: anything else may be a stream."""

_SERVER_ERRORS = frozenset({500, 502, 503, 504})
_GUARDRAIL_CODES = frozenset({"3201", 3201})
_SECONDS = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*")


class Verdict(Enum):
    """What the answer says about the key."""

    ACCEPTED = auto()
    """The key works, whatever the API thinks of the request."""
    UNAUTHORISED = auto()
    """401: the key is missing, revoked, expired or out of quota."""
    FORBIDDEN = auto()
    """403 that is not a guardrail's: the key may lack a permission, or nobody may do this."""
    THROTTLED = auto()
    """429."""
    SERVER_ERROR = auto()
    """500, 502, 503, 504: nothing about the key; worth another try."""
    UNKNOWN = auto()
    """Nothing about the key."""


def judge(status: int, body: bytes = b"") -> Verdict:
    """The verdict on one answer; `body` is looked at for a 403 alone."""
    if status == 401:  # noqa: PLR2004 - HTTP statuses are clearest as numbers
        return Verdict.UNAUTHORISED
    if status == 403:  # noqa: PLR2004 - as above
        return Verdict.ACCEPTED if _is_guardrail_block(body) else Verdict.FORBIDDEN
    if status == 429:  # noqa: PLR2004 - as above
        return Verdict.THROTTLED
    if status in _SERVER_ERRORS:
        return Verdict.SERVER_ERROR
    return Verdict.ACCEPTED if 200 <= status < 300 or 400 <= status < 500 else Verdict.UNKNOWN  # noqa: PLR2004 - as above


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, in either of its forms (RFC 9110, 10.2.3); None when it says nothing sound.

    A date is measured against the answer's own `Date`, where there is one, so that two clocks need not agree.
    """
    value = headers.get("retry-after", "")
    if seconds := _SECONDS.fullmatch(value):
        return float(seconds[1])
    moment = _date(value)
    if moment is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_guardrail_block(body: bytes) -> bool:
    """Whether a 403 comes from a guardrail: it carries its results, or its code, or says so."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(answer, dict):
        return False
    error = answer.get("error")
    places = [answer, error] if isinstance(error, dict) else [answer]
    return any(
        "guardrails" in place
        or place.get("code") in _GUARDRAIL_CODES
        or "guardrail" in str(place.get("message", "")).lower()
        for place in places
    )
