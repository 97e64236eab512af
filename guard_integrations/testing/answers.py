"""What each endpoint answers: pure functions from a valid request to a reply or a stream."""

import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from guard_integrations.testing.faults import Fault
from guard_integrations.testing.guardrails import check
from guard_integrations.testing.models import embeddings, moderation, tokens
from guard_integrations.testing.models.conversation import Conversation, OfferedTool, turns_of
from guard_integrations.testing.models.gullible import Answer, answer
from guard_integrations.testing.schemas import (
    ChatModerationRequest,
    ChatRequest,
    EmbeddingRequest,
    FIMRequest,
    ModerationRequest,
    ToolChoice,
)
from guard_integrations.testing.sse import frames

__all__ = [
    "Reply",
    "Stream",
    "answer_chat",
    "answer_chat_moderation",
    "answer_embeddings",
    "answer_fim",
    "answer_models",
    "answer_moderation",
]

_CALL_ID = re.compile(r"[A-Za-z0-9]{9}")
_CREATED = 1_735_689_600
_MODELS = {
    "mistral-large-latest": ("completion_chat", "function_calling", "vision"),
    "mistral-medium-latest": ("completion_chat", "function_calling", "vision"),
    "mistral-small-latest": ("completion_chat", "function_calling", "vision"),
    "ministral-8b-latest": ("completion_chat", "function_calling"),
    "magistral-medium-latest": ("completion_chat", "function_calling"),
    "codestral-latest": ("completion_chat", "completion_fim", "function_calling"),
    "mistral-embed": (),
    "codestral-embed": (),
    "mistral-moderation-2411": ("classification", "moderation"),
    "mistral-moderation-2603": ("classification", "moderation"),
    "mistral-moderation-latest": ("classification", "moderation"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A plain answer; a body of None is an empty one."""

    status: int = 200
    body: Mapping[str, object] | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A streamed answer: encoded frames."""

    id: str
    model: str
    frames: Iterable[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_chat(request: ChatRequest, fault: Fault) -> Reply | Stream:
    """`POST /v1/chat/completions`."""
    messages = [message.model_dump() for message in request.messages]
    if problem := _misplaced(messages):
        return problem
    turns = turns_of(messages)
    verdict = check(request.guardrails or (), turns, failing=fault.guardrail_failure)
    if verdict.refusal is not None:
        return Reply(status=403, body=verdict.refusal)
    choice, form = request.tool_choice, request.response_format
    said = answer(
        Conversation(
            turns=turns,
            tools=[
                OfferedTool(name=t.function.name, description=t.function.description, parameters=t.function.parameters)
                for t in request.tools or ()
            ],
            tool_choice=f"={choice.function.name}" if isinstance(choice, ToolChoice) else choice,
            parallel_tool_calls=request.parallel_tool_calls,
            json_mode=form is not None and form.type == "json_object",
            json_schema=form.json_schema.schema_ if form and form.json_schema and form.type == "json_schema" else None,
        )
    )
    prompt = 3 * len(turns) + sum(tokens.count(turn.text) for turn in turns)
    extra: dict[str, object] = {"guardrails": verdict.results} if request.guardrails else {}
    return _completion(request, said, prompt, extra, thinking=request.prompt_mode == "reasoning")


def answer_fim(request: FIMRequest) -> Reply | Stream:
    """`POST /v1/fim/completions`: a comment that names the last line of the prompt."""
    lines = request.prompt.strip().splitlines()
    said = Answer(text=f"    # goes on from: {lines[-1].strip() if lines else 'nothing'}\n    pass\n")
    prompt = tokens.count(request.prompt) + tokens.count(request.suffix or "")
    return _completion(request, said, prompt, {}, thinking=False)


def _completion(
    request: ChatRequest | FIMRequest, said: Answer, prompt: int, extra: Mapping[str, object], *, thinking: bool
) -> Reply | Stream:
    text = _stopped(said.text, request.stop)
    parts = tokens.pieces(text)
    finish = "tool_calls" if said.calls else "stop"
    if request.max_tokens is not None and len(parts) > request.max_tokens:
        parts, finish = parts[: request.max_tokens], "length"
    calls: list[Mapping[str, object]] = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}, "index": index}
        for index, c in enumerate(said.calls)
    ]
    completion = len(parts) + sum(tokens.count(c.name + c.arguments) for c in said.calls)
    choices = getattr(request, "n", None) or 1
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": choices * completion,
        "total_tokens": prompt + choices * completion,
    }
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": _THOUGHT}]}] if thinking else []
    base = {
        "id": secrets.token_hex(16),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
    }
    if request.stream:
        base["object"] = "chat.completion.chunk"
        made = frames(
            base,
            choices=choices,
            parts=[*([t] for t in thought), *parts],
            tool_calls=calls,
            finish_reason=finish,
            last={"usage": usage, **extra},
        )
        return Stream(id=str(base["id"]), model=request.model, frames=made)
    whole = "".join(parts)
    content: object = [*thought, {"type": "text", "text": whole}] if thought else whole
    message = {"role": "assistant", "content": content, "tool_calls": calls or None, "prefix": False}
    made_choices = [{"index": index, "message": message, "finish_reason": finish} for index in range(choices)]
    return Reply(body={**base, "choices": made_choices, "usage": usage, **extra})


_THOUGHT = "I read what I was given and do what it says."


def _stopped(text: str, stop: str | Sequence[str] | None) -> str:
    ends = [at for end in ([stop] if isinstance(stop, str) else stop or ()) if end and (at := text.find(end)) >= 0]
    return text[: min(ends)] if ends else text


def _misplaced(messages: Sequence[Mapping[str, object]]) -> Reply | None:
    """The 400 for a conversation whose last message cannot be answered, or whose tool calls were not."""
    role = messages[-1]["role"] if messages else None
    if role is None:
        return _refused("Conversation must have at least one message", "invalid_request_message_order", "3230")
    if (role == "system" and len(messages) > 1) or (role == "assistant" and not messages[-1].get("prefix")):
        expected = f"Expected last role User or Tool (or Assistant with prefix True) for serving but got {role}"
        return _refused(expected, "invalid_request_message_order", "3230")
    calls = [call for message in messages for call in _calls(message)]
    if not all(_CALL_ID.fullmatch(str(call["id"])) for call in calls):
        wrong = "Tool call id has to be defined as a-z, A-Z, 0-9, with a length of 9."
        return _refused(wrong, "invalid_function_call", "3280")
    if _unanswered(messages):
        return _refused("Not the same number of function calls and responses", "invalid_request_message_order", "3230")
    return None


def _calls(message: Mapping[str, object]) -> list[dict[str, object]]:
    calls = message.get("tool_calls")
    return calls if isinstance(calls, list) else []


def _unanswered(messages: Sequence[Mapping[str, object]]) -> bool:
    """Whether some call has no tool message behind it, or a tool message no call before it."""
    waiting = 0
    for message in messages:
        if message["role"] == "tool":
            waiting -= 1
            if waiting < 0:
                return True
        elif waiting:
            return True
        else:
            waiting = len(_calls(message))
    return waiting > 0


def _refused(message: str, kind: str, code: str) -> Reply:
    return Reply(status=400, body={"object": "error", "message": message, "type": kind, "param": None, "code": code})


def answer_moderation(request: ModerationRequest) -> Reply:
    """`POST /v1/moderations`: one result for each text."""
    texts = [request.input] if isinstance(request.input, str) else request.input
    return _moderated(
        request.model, [moderation.moderate(text, request.model) for text in texts], sum(map(tokens.count, texts))
    )


def answer_chat_moderation(request: ChatModerationRequest) -> Reply:
    """`POST /v1/chat/moderations`: one result for each conversation."""
    whole = [each for each in request.input if isinstance(each, list)]
    single = [each for each in request.input if not isinstance(each, list)]
    conversations = whole if whole or not single else [single]
    turns = [turns_of([message.model_dump() for message in messages]) for messages in conversations]
    read = sum(tokens.count(turn.text) for conversation in turns for turn in conversation)
    return _moderated(request.model, [moderation.moderate_chat(each, request.model) for each in turns], read)


def _moderated(model: str, scores: Sequence[Mapping[str, float]], read: int) -> Reply:
    results = [
        {"categories": {name: score > moderation.THRESHOLD for name, score in each.items()}, "category_scores": each}
        for each in scores
    ]
    usage = {"prompt_tokens": read, "completion_tokens": 0, "total_tokens": read}
    return Reply(body={"id": secrets.token_hex(16), "model": model, "usage": usage, "results": results})


def answer_embeddings(request: EmbeddingRequest) -> Reply:
    """`POST /v1/embeddings`."""
    texts = [request.input] if isinstance(request.input, str) else request.input
    dimension = request.output_dimension or embeddings.DIMENSION
    data: list[dict[str, object]] = [
        {
            "object": "embedding",
            "index": index,
            "embedding": embeddings.encode(
                embeddings.embed(text, dimension), request.output_dtype, request.encoding_format
            ),
        }
        for index, text in enumerate(texts)
    ]
    read = sum(map(tokens.count, texts))
    usage = {"prompt_tokens": read, "completion_tokens": 0, "total_tokens": read}
    body = {"id": secrets.token_hex(16), "object": "list", "data": data, "model": request.model, "usage": usage}
    return Reply(body=body)


def answer_models() -> Reply:
    """`GET /v1/models`."""
    names = (
        "completion_chat",
        "function_calling",
        "completion_fim",
        "fine_tuning",
        "vision",
        "classification",
        "moderation",
    )
    data: list[dict[str, object]] = [
        {
            "id": model,
            "object": "model",
            "created": _CREATED,
            "owned_by": "mistralai",
            "capabilities": {name: name in can for name in names},
            "name": model,
            "description": None,
            "max_context_length": 8192 if model == "mistral-moderation-2411" else 131_072,
            "aliases": [],
            "type": "base",
        }
        for model, can in _MODELS.items()
    ]
    return Reply(body={"object": "list", "data": data})
