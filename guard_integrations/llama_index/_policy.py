"""A policy as a field of LlamaIndex's components, which are hashed and stored by what they serialise to."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer

from guard_integrations.core.policy import GuardPolicy

__all__ = ["PolicyField"]

_FINGERPRINT = "fingerprint"


def _dump(policy: GuardPolicy) -> dict[str, Any]:
    """Plain JSON, in one order, with the fingerprint, in which the hash key and the packs' content count."""
    settings = policy.model_dump(mode="json")
    ordered = {
        name: sorted(value) if isinstance(getattr(policy, name), frozenset) else value
        for name, value in settings.items()
    }
    return {**ordered, _FINGERPRINT: policy.fingerprint}


def _load(given: Any) -> Any:  # noqa: ANN401 - whatever was passed in
    if isinstance(given, Mapping):
        return {name: value for name, value in given.items() if name != _FINGERPRINT}
    return given


PolicyField: TypeAlias = Annotated[GuardPolicy, BeforeValidator(_load), PlainSerializer(_dump)]
