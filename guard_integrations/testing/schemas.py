"""The requests of the Mistral API, validated at the border.

Source: Mistral's OpenAPI specification. What it forbids (`additionalProperties: false`) is forbidden here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

__all__ = [
    "ChatModerationRequest",
    "ChatRequest",
    "EmbeddingRequest",
    "FIMRequest",
    "Function",
    "GuardrailConfig",
    "Message",
    "ModerationConfig",
    "ModerationRequest",
    "ResponseFormat",
    "Tool",
    "ToolChoice",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextChunk(_Strict):
    type: Literal["text"] = "text"
    text: str


class OtherChunk(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Literal["image_url", "document_url", "reference", "file", "thinking", "input_audio"]


def _chunk_tag(chunk: object) -> str:
    kind = chunk.get("type", "text") if isinstance(chunk, dict) else getattr(chunk, "type", "text")
    return "text" if kind == "text" else "other"


Chunk = Annotated[Annotated[TextChunk, Tag("text")] | Annotated[OtherChunk, Tag("other")], Discriminator(_chunk_tag)]
Content = str | list[Chunk]


class FunctionCall(_Strict):
    name: str
    arguments: str | dict[str, Any]


class ToolCall(_Strict):
    id: str = "null"
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int = 0


class SystemMessage(_Strict):
    role: Literal["system"] = "system"
    content: Content


class UserMessage(_Strict):
    role: Literal["user"] = "user"
    content: Content | None


class AssistantMessage(_Strict):
    role: Literal["assistant"] = "assistant"
    content: Content | None = None
    tool_calls: list[ToolCall] | None = None
    prefix: bool = False


class ToolMessage(_Strict):
    role: Literal["tool"] = "tool"
    content: Content | None
    tool_call_id: str | None = None
    name: str | None = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(_Strict):
    """What a tool is called with."""

    name: str
    description: str = ""
    strict: bool = False
    parameters: dict[str, Any]


class Tool(_Strict):
    """A tool on offer."""

    type: Literal["function"] = "function"
    function: Function


class FunctionName(_Strict):
    name: str


class ToolChoice(_Strict):
    """One tool that has to be called."""

    type: Literal["function"] = "function"
    function: FunctionName


class JsonSchema(_Strict):
    name: str
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool = False


class ResponseFormat(_Strict):
    """Text, any JSON, or JSON that fits a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None


class Prediction(_Strict):
    type: Literal["content"] = "content"
    content: str = ""


class ModerationConfig(BaseModel):
    """One guardrail's thresholds and what a violation leads to."""

    model_name: str | None = None
    custom_category_thresholds: dict[str, float | None] | None = None
    ignore_other_categories: bool = False
    action: Literal["none", "block"] = "none"


class GuardrailConfig(BaseModel):
    """A guardrail by either moderation model."""

    block_on_error: bool = False
    moderation_llm_v1: ModerationConfig | None = None
    moderation_llm_v2: ModerationConfig | None = None


class _Completion(_Strict):
    model: str
    temperature: float | None = Field(default=None, ge=0, le=1.5)
    top_p: float = Field(default=1.0, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=0)
    stream: bool = False
    stop: str | list[str] | None = None
    random_seed: int | None = Field(default=None, ge=0)
    metadata: dict[str, Any] | None = None
    prompt_cache_key: str | None = None


class ChatRequest(_Completion):
    """`POST /v1/chat/completions`."""

    messages: list[Message]
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | Literal["auto", "none", "any", "required"] = "auto"
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    n: int | None = Field(default=None, ge=1)
    prediction: Prediction | None = None
    parallel_tool_calls: bool = True
    prompt_mode: Literal["reasoning"] | None = None
    reasoning_effort: Literal["high", "none"] | None = None
    guardrails: list[GuardrailConfig] | None = None
    safe_prompt: bool = False


class FIMRequest(_Completion):
    """`POST /v1/fim/completions`."""

    prompt: str
    suffix: str | None = ""
    min_tokens: int | None = Field(default=None, ge=0)


class ModerationRequest(_Strict):
    """`POST /v1/moderations`."""

    model: str
    metadata: dict[str, Any] | None = None
    input: str | list[str]


class ChatModerationRequest(_Strict):
    """`POST /v1/chat/moderations`."""

    model: str
    input: list[Message] | list[list[Message]]


class EmbeddingRequest(_Strict):
    """`POST /v1/embeddings`."""

    model: str
    metadata: dict[str, Any] | None = None
    input: str | list[str]
    output_dimension: int | None = Field(default=None, gt=0)
    output_dtype: Literal["float", "int8", "uint8", "binary", "ubinary"] = "float"
    encoding_format: Literal["float", "base64"] = "float"
