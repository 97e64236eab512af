"""What a guarded model writes about itself into `response_metadata`, and what a record may read back from there.

Rule ids, actions, counts, a key's label, a fingerprint: no content. It is read back as strictly as it is written,
since a message's metadata can come from anywhere.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from guard_integrations.core.findings import Action, Finding

__all__ = ["METADATA_KEY", "POLICY_PARAM", "guard_fields", "guard_metadata", "policy_of"]

METADATA_KEY: Final = "guard_integrations"
"""Key in `response_metadata`."""

POLICY_PARAM: Final = "guard_policy"
"""Key of the fingerprint in the model's identifying parameters, which are part of every cache key."""

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_KEY_LABEL: Final = re.compile(r"key-[0-9]{1,6}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16,64}")
_ACTIONS: Final = {str(action): action for action in Action}


def guard_metadata(findings: Iterable[Finding], *, policy: str, key: str | None = None) -> dict[str, Any]:
    """What a guarded model says of one call."""
    counts: dict[str, dict[str, int]] = {}
    for (rule, action), count in Counter((found.rule, str(found.action)) for found in findings).items():
        counts.setdefault(rule, {})[action] = count
    return {"policy": policy, "findings": counts, **({"key": key} if key else {})}


def guard_fields(said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record in what a guarded model said; anything else that stands there is left out."""
    fields: dict[str, Any] = {}
    if _is(_FINGERPRINT, said.get("policy")):
        fields["policy"] = said["policy"]
    if _is(_KEY_LABEL, said.get("key")):
        fields["key"] = said["key"]
    if isinstance(counts := said.get("findings"), Mapping):
        fields["findings"] = {rule: _actions(each) for rule, each in counts.items() if _is(_ID, rule)}
    return fields


def policy_of(params: Mapping[str, Any]) -> str | None:
    """The policy's fingerprint among a model's parameters."""
    said = params.get(POLICY_PARAM)
    return said if isinstance(said, str) and _FINGERPRINT.fullmatch(said) else None


def _actions(counts: Any) -> dict[Action, int]:
    given = counts if isinstance(counts, Mapping) else {}
    return {_ACTIONS[name]: count for name, count in given.items() if name in _ACTIONS and type(count) is int}


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
