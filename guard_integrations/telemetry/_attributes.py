"""A record in the words of OpenTelemetry's conventions for generative AI. Only closed fields, none of the opt-in ones."""

from typing import Final, TypeAlias

from guard_integrations.core.records import Operation, RequestRecord

__all__ = ["Attributes", "metric_attributes", "span_attributes", "span_name"]

Attributes: TypeAlias = "dict[str, str | bool | int | float | list[str]]"

_OPERATIONS: Final = {
    Operation.CHAT: "chat",
    Operation.EMBEDDING: "embeddings",
    Operation.TOOL: "execute_tool",
    Operation.AGENT: "invoke_agent",
    Operation.RETRIEVAL: "retrieval",
    Operation.CHAIN: "invoke_workflow",
    Operation.QUERY: "invoke_workflow",
}
"""The conventions' well-known values of `gen_ai.operation.name`."""


def span_name(record: RequestRecord) -> str:
    """The operation, and the model where there is one."""
    return f"{_OPERATIONS[record.operation]} {record.model}" if record.model else _OPERATIONS[record.operation]


def metric_attributes(record: RequestRecord) -> Attributes:
    """What metrics are split by: few values each."""
    said: Attributes = {"gen_ai.operation.name": _OPERATIONS[record.operation]}
    if record.operation in (Operation.CHAT, Operation.EMBEDDING):
        said["gen_ai.provider.name"] = _provider(record.model)
    for name, value in (
        ("gen_ai.request.model", record.model),
        ("gen_ai.response.model", record.model_answered),
        ("error.type", record.error),
    ):
        if value is not None:
            said[name] = value
    return said


def _provider(model: str | None) -> str:
    """Whose API it was, by the model's name: that of every model of Mistral's for chat and embedding has it in it."""
    return "mistral_ai" if model is None or "stral" in model else "_OTHER"


def span_attributes(record: RequestRecord) -> Attributes:
    """All that a record says, in a span's attributes."""
    said = metric_attributes(record)
    plain: dict[str, str | bool | float | None] = {
        "gen_ai.request.stream": record.streamed,
        "gen_ai.response.time_to_first_chunk": record.first_token,
        "gen_ai.usage.input_tokens": record.input_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "http.response.status_code": record.status,
        "guard_integrations.run": str(record.run) if record.run else None,
        "guard_integrations.framework": record.framework.value,
        "guard_integrations.messages": record.messages,
        "guard_integrations.input_chars": record.input_chars,
        "guard_integrations.output_chars": record.output_chars,
        "guard_integrations.chunks": record.chunks,
        "guard_integrations.tool_calls": record.tool_calls,
        "guard_integrations.retries": record.retries,
        "guard_integrations.key": record.key,
        "guard_integrations.policy": record.policy,
    }
    said.update({name: value for name, value in plain.items() if value is not None})
    if record.finish_reason is not None:
        said["gen_ai.response.finish_reasons"] = [record.finish_reason.value]
    if record.findings:
        hits = [
            f"{rule}:{action}:{count}" for rule, counts in record.findings.items() for action, count in counts.items()
        ]
        said["guard_integrations.findings"] = hits
    if record.moderation:
        said["guard_integrations.moderation"] = list(record.moderation)
    if record.guardrails:
        said["guard_integrations.guardrails"] = list(record.guardrails)
    return said
