"""What a guarded model writes about itself into `response_metadata`: rule ids, actions, counts, a fingerprint."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from guard_integrations.core.findings import Finding
from guard_integrations.core.forms import FINGERPRINT

__all__ = ["METADATA_KEY", "POLICY_PARAM", "guard_metadata", "policy_of"]

METADATA_KEY: Final = "guard_integrations"
"""Key in `response_metadata`."""

POLICY_PARAM: Final = "guard_policy"
"""Key of the fingerprint in the model's identifying parameters, which are part of every cache key."""


def guard_metadata(findings: Iterable[Finding], *, policy: str) -> dict[str, Any]:
    """What a guarded model says of one call."""
    counts: dict[str, dict[str, int]] = {}
    for (rule, action), count in Counter((found.rule, str(found.action)) for found in findings).items():
        counts.setdefault(rule, {})[action] = count
    return {"policy": policy, "findings": counts}


def policy_of(params: Mapping[str, Any]) -> str | None:
    """The policy's fingerprint among a model's parameters."""
    said = params.get(POLICY_PARAM)
    return said if isinstance(said, str) and FINGERPRINT.holds(said) else None
