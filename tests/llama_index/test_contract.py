"""The contract that all adapters share, held by LlamaIndex's parts: they say what the bare core says."""

import json
from functools import lru_cache

import httpx2
from contract import BLOCKED, AnswerContract, PromptContract
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import QueryBundle
from mistralai.client import Mistral

from guard_integrations import GuardBlocked, GuardPolicy
from guard_integrations.llama_index import GuardedMistralAI, GuardedQueryEngine


class Wire:
    """The API at the wire: says `chunks`, remembers what it was sent last."""

    def __init__(self) -> None:
        self.chunks = ("ok",)
        self.sent = {}

    def __call__(self, request):
        self.sent = json.loads(request.content)
        head = {"id": "1", "model": "m", "created": 1}
        if not self.sent.get("stream"):
            message = {"role": "assistant", "content": "".join(self.chunks)}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            return httpx2.Response(200, json={**head, "object": "chat.completion", "usage": usage, "choices": [choice]})
        frames = [
            {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": c}, "finish_reason": None}]}
            for c in self.chunks
        ]
        frames.append({**head, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]})
        text = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames) + "data: [DONE]\n\n"
        return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})


@lru_cache
def model_of(profile):
    """A guarded model, and the wire it hangs on."""
    wire = Wire()
    llm = GuardedMistralAI(policy=GuardPolicy(profile=profile), keys="k", moderation="off")
    transport = httpx2.MockTransport(wire)
    client = Mistral(client=httpx2.Client(transport=transport), async_client=httpx2.AsyncClient(transport=transport))
    llm._guarded.chat._client = client
    return llm, wire


async def ask(llm, text, mode):
    messages = [ChatMessage(role="user", content=text)]
    try:
        if mode == "sync":
            return llm.chat(messages).message.content
        if mode == "async":
            return (await llm.achat(messages)).message.content
        if mode == "stream":
            return "".join(chunk.delta for chunk in llm.stream_chat(messages))
        return "".join([chunk.delta async for chunk in await llm.astream_chat(messages)])
    except GuardBlocked:
        return BLOCKED


class TestGuardedModel(PromptContract, AnswerContract):
    cuts = False

    async def prompt(self, text, mode, policy):
        llm, wire = model_of(policy.profile)
        wire.chunks = ("ok",)
        if await ask(llm, text, mode) == BLOCKED:
            return BLOCKED
        return wire.sent["messages"][0]["content"][0]["text"]

    async def answer(self, chunks, mode, policy):
        llm, wire = model_of(policy.profile)
        wire.chunks = chunks
        return await ask(llm, "hello", mode)


class Scripted(BaseQueryEngine):
    def __init__(self, response=None):
        super().__init__(None)
        self.response = response or Response("ok")
        self.asked = None

    def _query(self, query_bundle):
        self.asked = query_bundle.query_str
        return self.response

    async def _aquery(self, query_bundle):
        return self._query(query_bundle)

    def _get_prompt_modules(self):
        return {}


async def responses(chunks):
    for chunk in chunks:
        yield chunk


class TestGuardedQueryEngine(PromptContract, AnswerContract):
    async def prompt(self, text, mode, policy):
        inner = Scripted()
        engine = GuardedQueryEngine(inner, policy=policy)
        try:
            await engine.aquery(QueryBundle(text)) if mode.startswith("a") else engine.query(text)
        except GuardBlocked:
            return BLOCKED
        return inner.asked

    async def answer(self, chunks, mode, policy):
        raw = {
            "stream": lambda: StreamingResponse(c for c in chunks),
            "astream": lambda: AsyncStreamingResponse(responses(chunks)),
        }.get(mode, lambda: Response("".join(chunks)))()
        engine = GuardedQueryEngine(Scripted(raw), policy=policy)
        try:
            response = await engine.aquery("q") if mode.startswith("a") else engine.query("q")
            if mode == "stream":
                return "".join(response.response_gen)
            if mode == "astream":
                return "".join([piece async for piece in response.response_gen])
        except GuardBlocked:
            return BLOCKED
        return response.response
