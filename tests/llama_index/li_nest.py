"""A canary, a wire whose answers are full of it, and the hunt for it through whatever was left."""

import inspect
import json
from collections import deque
from collections.abc import Mapping
from enum import Enum
from types import FunctionType, GeneratorType, MethodType, ModuleType

import httpx2
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from mistralai.client import Mistral
from pydantic import Field

from guard_integrations import GuardPolicy
from guard_integrations.llama_index import GuardedMistralAI, GuardedQueryEngine

CANARY = "canary.4f7a"
MAIL = f"{CANARY}@nest.example"
POLICY = GuardPolicy(redact_input=True)
_KEPT = []


class Events(BaseEventHandler):
    seen: list = Field(default_factory=list)

    def handle(self, event, **_):
        self.seen.append(event)


class Spans(BaseSpanHandler):
    seen: list = Field(default_factory=list)

    def new_span(self, id_, bound_args, instance=None, parent_span_id=None, tags=None, **_):
        self.seen.append((id_, bound_args.arguments, tags))

    def prepare_to_exit_span(self, id_, bound_args, instance=None, result=None, **_):
        self.seen.append((id_, bound_args.arguments, result))

    def prepare_to_drop_span(self, id_, bound_args, instance=None, err=None, **_):
        self.seen.append((id_, bound_args.arguments, err))

    def span_exit(self, **given):
        self.prepare_to_exit_span(**given)

    def span_drop(self, **given):
        self.prepare_to_drop_span(**given)


# The guards, the wire and code itself hold or know what they take out.
OPAQUE = (ModuleType, FunctionType, MethodType, GeneratorType, type, Enum, GuardedMistralAI, GuardedQueryEngine)


def nests(*things):
    """Where a canary is, in things and in all that they hold."""
    found, known, queue = [], set(), deque(("", thing) for thing in things)
    while queue:
        path, thing = queue.popleft()
        if isinstance(thing, (str, bytes)):
            if CANARY in (thing if isinstance(thing, str) else thing.decode(errors="replace")):
                found.append(path)
            continue
        if id(thing) in known or isinstance(thing, OPAQUE) or inspect.iscoroutine(thing):
            continue
        known.add(id(thing))
        if isinstance(thing, Mapping):
            queue += ((f"{path}[{key!r}]", item) for pair in thing.items() for key, item in [("key", pair[0]), pair])
        elif isinstance(thing, (list, tuple, set, frozenset, deque)):
            queue += ((f"{path}[{i}]", item) for i, item in enumerate(thing))
        elif isinstance(thing, BaseException):
            parts = (*thing.args, thing.__cause__, thing.__context__, vars(thing), str(thing), repr(thing))
            queue += ((f"{path}.{type(thing).__name__}", part) for part in parts)
        else:
            name = f"{path}.{type(thing).__name__}"
            queue += ((name, part) for part in (getattr(thing, "__dict__", None), repr(thing)) if part)
            queue.append((name, getattr(thing, "__pydantic_private__", None) or ()))
    return found


class Nest:
    """The API at the wire: whatever it is asked, canaries are all over its answer."""

    def __init__(self, tool=None):
        self.tool, self.sent = tool, []

    def __call__(self, request):
        body = json.loads(request.content)
        self.sent.append(request.content.decode())
        call = {"id": "abcdefghi", "function": {"name": self.tool, "arguments": json.dumps({"who": MAIL})}}
        calls = [call] if self.tool and body.get("messages", [{}])[-1].get("role") != "tool" else None
        if "extract" in str(body.get("messages")):
            call["function"] = {"name": "Person", "arguments": json.dumps({"mail": MAIL, "tags": [MAIL]})}
            calls = [call]
        text = f"Write to {MAIL} at once."
        content = [
            {"type": "thinking", "thinking": [{"type": "text", "text": f"I think of {MAIL}."}]},
            {"type": "text", "text": text},
        ]
        logprobs = {"content": [{"token": MAIL, "logprob": 0.0, "bytes": None, "top_logprobs": []}]}
        head = {"id": "1", "model": "m", "created": 1, "guardrails": [{"text": MAIL}]}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if not body.get("stream"):
            message = {"role": "assistant", "content": content, "tool_calls": calls}
            choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logprobs}
            return httpx2.Response(200, json={**head, "object": "chat.completion", "usage": usage, "choices": [choice]})
        deltas = [
            {"role": "assistant", "content": content[:1]},
            *({"content": text[i : i + 4]} for i in range(0, len(text), 4)),
            {"content": "", "tool_calls": calls, "metadata": {"m": MAIL}},
        ]
        frames = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        frames.append(
            {**head, "usage": usage, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]}
        )
        lines = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
        return httpx2.Response(200, text=f"{lines}data: [DONE]\n\n", headers={"content-type": "text/event-stream"})


def model(wire, **settings):
    llm = GuardedMistralAI(**{"policy": POLICY, "keys": "k", "moderation": "off", **settings})
    transport = httpx2.MockTransport(wire)
    client = Mistral(client=httpx2.Client(transport=transport), async_client=httpx2.AsyncClient(transport=transport))
    # Kept: a client that the collector takes is closed in whichever loop runs by then, and that one may end first.
    _KEPT.extend((client, llm._guarded.chat._client))
    llm._guarded.chat._client = llm._guarded.fim._client = client
    return llm
