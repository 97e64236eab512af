"""What users build on: these names, and no more. A change here is a change of the contract."""

import importlib

import pytest

CORE = """
    AuditReport audit_mistral_security
    GuardBlocked GuardError GuardPolicy GuardUnavailable KeysExhausted Lease MissingKeyError PolicyError
    Finding InputSanitizer KeyRing MistralGuardrail ModerationResult Moderator OutputSanitizer PseudonymVault
    RedisRingState RequestRecord Sanitized ScanResult build_safe_messages
"""
LANGCHAIN = """
    DocumentGuard GuardMiddleware GuardedChatMistralAI MetadataCallbackHandler RunnableInputGuard
    RunnableModerationGuard RunnableOutputSanitizer
"""
LLAMA_INDEX = """
    GuardTransformComponent GuardedChatEngine GuardedMistralAI GuardedQueryEngine GuardedTool
    InjectionGuardNodePostprocessor MetadataEventHandler MetadataSpanHandler ModerationNodePostprocessor
    RedactionNodePostprocessor
"""

TELEMETRY = """
    ContentExposedWarning Exposure JsonlSink OpenTelemetrySink QueuedSink exposures hide_tracing warn_of_exposures
"""


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("guard_integrations", CORE),
        ("guard_integrations.langchain", LANGCHAIN),
        ("guard_integrations.llama_index", LLAMA_INDEX),
        ("guard_integrations.telemetry", TELEMETRY),
    ],
)
def test_the_names_of_the_contract_are_there(module, names):
    loaded = importlib.import_module(module)
    missing = [name for name in names.split() if name not in loaded.__all__ or not hasattr(loaded, name)]
    assert not missing


@pytest.mark.parametrize(
    "module",
    [
        "guard_integrations",
        "guard_integrations.langchain",
        "guard_integrations.llama_index",
        "guard_integrations.telemetry",
    ],
)
def test_every_exported_name_is_there_sorted_and_documented(module):
    loaded = importlib.import_module(module)
    assert list(loaded.__all__) == sorted(loaded.__all__)
    assert not [name for name in loaded.__all__ if not getattr(loaded, name).__doc__]
    assert set(loaded.__all__) <= set(dir(loaded))
