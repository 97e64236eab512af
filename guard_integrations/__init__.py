"""A security layer around Mistral AI for LangChain and LlamaIndex.

This module holds the core, which knows neither framework. The adapters live in `guard_integrations.langchain`
and `guard_integrations.llama_index`; each loads its framework when it is imported, and nothing else does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guard_integrations.core.findings import Action, Category, Finding, Sanitized, SanitizedValue, ScanResult, Severity
from guard_integrations.core.policy import GuardPolicy, Strategy
from guard_integrations.core.records import RequestRecord
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.sanitizer.wrapping import build_safe_messages
from guard_integrations.errors import (
    GuardBlocked,
    GuardError,
    GuardUnavailable,
    KeysExhausted,
    MissingKeyError,
    PolicyError,
)

if TYPE_CHECKING:
    from guard_integrations.audit import AuditReport, audit_mistral_security
    from guard_integrations.core.moderation.client import Moderator
    from guard_integrations.core.moderation.decision import ModerationResult
    from guard_integrations.core.moderation.guardrail import MistralGuardrail
    from guard_integrations.core.rotation.keys import ApiKey
    from guard_integrations.core.rotation.ring import KeyRing
    from guard_integrations.core.rotation.secret_managers import (
        AwsSecretsManagerSource,
        AzureKeyVaultSource,
        GoogleSecretManagerSource,
        HashiCorpVaultSource,
    )
    from guard_integrations.core.rotation.shared import RedisRingState
    from guard_integrations.core.rotation.sources import DotenvSource, EnvironmentSource, FileSource
    from guard_integrations.core.rotation.state import Lease

__version__ = "0.1.0"

# Names that need an HTTP library, a parser or a server's client load on first use: name -> module.
_LAZY: dict[str, str] = {
    "ApiKey": "guard_integrations.core.rotation.keys",
    "AuditReport": "guard_integrations.audit",
    "AwsSecretsManagerSource": "guard_integrations.core.rotation.secret_managers",
    "AzureKeyVaultSource": "guard_integrations.core.rotation.secret_managers",
    "DotenvSource": "guard_integrations.core.rotation.sources",
    "EnvironmentSource": "guard_integrations.core.rotation.sources",
    "FileSource": "guard_integrations.core.rotation.sources",
    "GoogleSecretManagerSource": "guard_integrations.core.rotation.secret_managers",
    "HashiCorpVaultSource": "guard_integrations.core.rotation.secret_managers",
    "KeyRing": "guard_integrations.core.rotation.ring",
    "Lease": "guard_integrations.core.rotation.state",
    "MistralGuardrail": "guard_integrations.core.moderation.guardrail",
    "ModerationResult": "guard_integrations.core.moderation.decision",
    "Moderator": "guard_integrations.core.moderation.client",
    "RedisRingState": "guard_integrations.core.rotation.shared",
    "audit_mistral_security": "guard_integrations.audit",
}

__all__ = [
    "Action",
    "ApiKey",
    "AuditReport",
    "AwsSecretsManagerSource",
    "AzureKeyVaultSource",
    "Category",
    "DotenvSource",
    "EnvironmentSource",
    "FileSource",
    "Finding",
    "GoogleSecretManagerSource",
    "GuardBlocked",
    "GuardError",
    "GuardPolicy",
    "GuardUnavailable",
    "HashiCorpVaultSource",
    "InputSanitizer",
    "KeyRing",
    "KeysExhausted",
    "Lease",
    "MissingKeyError",
    "MistralGuardrail",
    "ModerationResult",
    "Moderator",
    "OutputSanitizer",
    "PolicyError",
    "PseudonymVault",
    "RedisRingState",
    "RequestRecord",
    "Sanitized",
    "SanitizedValue",
    "ScanResult",
    "Severity",
    "Strategy",
    "audit_mistral_security",
    "build_safe_messages",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
