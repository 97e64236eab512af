"""The contract that all adapters share, held by LlamaIndex's parts: they say what the bare core says."""

import inspect
import json
from functools import lru_cache

import httpx2
import pytest
from contract import BLOCKED, AnswerContract, DocumentContract, PromptContract
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.chat_engine.types import AgentChatResponse, BaseChatEngine, StreamingAgentChatResponse
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool
from mistralai.client import Mistral

from guard_integrations import GuardBlocked, GuardPolicy
from guard_integrations.llama_index import (
    GuardedChatEngine,
    GuardedMistralAI,
    GuardedQueryEngine,
    GuardedTool,
    GuardTransformComponent,
    InjectionGuardNodePostprocessor,
)
from guard_integrations.llama_index._messages import BLOCKED_TEXT


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
    llm._guarded.chat._client = llm._guarded.fim._client = client
    return llm, wire


PREFIX = {"sync": "", "async": "a", "stream": "stream_", "astream": "astream_"}
PREDICT = {"sync": "predict", "async": "apredict", "stream": "stream", "astream": "astream"}
TOOL = FunctionTool.from_defaults(lambda word: word, name="say", description="Says a word.")


async def ask(call):
    """All that a call gives, in one text, however it gives it."""
    try:
        made = call()
        made = await made if inspect.isawaitable(made) else made
        if inspect.isasyncgen(made):
            made = [piece async for piece in made]
        pieces = list(made) if inspect.isgenerator(made) else made
        return "".join(map(said, pieces)) if isinstance(pieces, list) else said(pieces, whole=True)
    except GuardBlocked:
        return BLOCKED


def said(piece, *, whole=False):
    if isinstance(piece, str):
        return piece
    if not whole:
        return piece.delta or ""
    return piece.message.content if hasattr(piece, "message") else piece.text


class TestGuardedModel(PromptContract, AnswerContract):
    cuts = False

    def call(self, llm, text, mode):
        return getattr(llm, f"{PREFIX[mode]}chat")([ChatMessage(role="user", content=text)])

    async def prompt(self, text, mode, policy):
        llm, wire = model_of(policy.profile)
        wire.chunks = ("ok",)
        if await ask(lambda: self.call(llm, text, mode)) == BLOCKED:
            return BLOCKED
        return wire.sent["messages"][0]["content"][0]["text"]

    async def answer(self, chunks, mode, policy):
        llm, wire = model_of(policy.profile)
        wire.chunks = chunks
        return await ask(lambda: self.call(llm, "hello", mode))


@pytest.mark.slow
class TestGuardedModelCompleting(TestGuardedModel):
    def call(self, llm, text, mode):
        return getattr(llm, f"{PREFIX[mode]}complete")(text)


@pytest.mark.slow
class TestGuardedModelPredicting(TestGuardedModel):
    def call(self, llm, text, mode):
        return getattr(llm, PREDICT[mode])(PromptTemplate("{text}"), text=text)


@pytest.mark.slow
class TestGuardedModelWithTools(TestGuardedModel):
    def call(self, llm, text, mode):
        return getattr(llm, f"{PREFIX[mode]}chat_with_tools")([TOOL], user_msg=text)


class TestGuardedModelFillingIn(PromptContract, AnswerContract):
    cuts = False
    modes = ("sync", "async")

    async def prompt(self, text, mode, policy):
        llm, wire = model_of(policy.profile)
        wire.chunks = ("ok",)
        if await ask(lambda: getattr(llm, f"{PREFIX[mode]}fill_in_middle")(text, "end")) == BLOCKED:
            return BLOCKED
        return wire.sent["prompt"]

    async def answer(self, chunks, mode, policy):
        llm, wire = model_of(policy.profile)
        wire.chunks = chunks
        return await ask(lambda: getattr(llm, f"{PREFIX[mode]}fill_in_middle")("begin", "end"))


class TestGuardedTool(PromptContract):
    """What a tool gives back, as the model reads it."""

    stage = "tool"
    modes = ("sync", "async")

    async def prompt(self, text, mode, policy):
        tool = GuardedTool(FunctionTool.from_defaults(lambda: text, name="say", description="Says."), policy=policy)
        try:
            return (await tool.acall() if mode == "async" else tool.call()).content
        except GuardBlocked:
            return BLOCKED


class TestInjectionGuardNodePostprocessor(DocumentContract):
    def guard(self, policy):
        return InjectionGuardNodePostprocessor(policy=policy, on_injection="filter")

    async def document(self, text, mode, policy):
        nodes, guard = [NodeWithScore(node=TextNode(text=text))], self.guard(policy)
        try:
            done = await guard.apostprocess_nodes(nodes) if mode == "async" else guard.postprocess_nodes(nodes)
        except GuardBlocked:
            return BLOCKED
        return done[0].node.get_content()


class TestInjectionGuardOnMetadata(TestInjectionGuardNodePostprocessor):
    async def document(self, text, mode, policy):
        nodes, guard = [NodeWithScore(node=TextNode(text="fine", metadata={"a": [text]}))], self.guard(policy)
        try:
            done = await guard.apostprocess_nodes(nodes) if mode == "async" else guard.postprocess_nodes(nodes)
        except GuardBlocked:
            return BLOCKED
        return done[0].node.metadata["a"][0]


class TestGuardTransformComponent(TestInjectionGuardNodePostprocessor):
    async def document(self, text, mode, policy):
        component, nodes = GuardTransformComponent(guards=[self.guard(policy)]), [TextNode(text=text)]
        try:
            (node,) = await component.acall(nodes) if mode == "async" else component(nodes)
        except GuardBlocked:
            return BLOCKED
        return node.get_content()


class Echo(BaseChatEngine):
    """A chat engine that says what it is told to, whatever it is asked."""

    def __init__(self, *chunks):
        self._memory, self.chunks, self.asked = ChatMemoryBuffer.from_defaults(token_limit=9_999), chunks, None

    def chat(self, message, chat_history=None):
        self.asked = message
        return AgentChatResponse(response="".join(self.chunks))

    async def achat(self, message, chat_history=None):
        return self.chat(message)

    def stream_chat(self, message, chat_history=None):
        self.asked = message
        return Streamed(self.chunks)

    async def astream_chat(self, message, chat_history=None):
        return self.stream_chat(message)

    def reset(self):
        self._memory.reset()

    @property
    def chat_history(self):
        return self._memory.get_all()


class Streamed(StreamingAgentChatResponse):
    def __init__(self, chunks):
        super().__init__()
        self.chunks = chunks

    @property
    def response_gen(self):
        yield from self.chunks

    async def async_response_gen(self):
        for chunk in self.chunks:
            yield chunk


class TestGuardedChatEngine(PromptContract, AnswerContract):
    async def turn(self, engine, text, mode):
        try:
            made = getattr(engine, f"{PREFIX[mode]}chat")(text)
            made = await made if inspect.isawaitable(made) else made
            if mode == "stream":
                return "".join(made.response_gen)
            if mode == "astream":
                return "".join([piece async for piece in made.async_response_gen()])
        except GuardBlocked:
            return BLOCKED
        return made.response

    async def prompt(self, text, mode, policy):
        inner = Echo("ok")
        engine = GuardedChatEngine(inner, policy=policy)
        if await self.turn(engine, text, mode) == BLOCKED:
            return BLOCKED
        return engine._engine.asked

    async def answer(self, chunks, mode, policy):
        return await self.turn(GuardedChatEngine(Echo(*chunks), policy=policy), "hello", mode)


class TestWhatIsRemembered(PromptContract, AnswerContract):
    """A chat engine's memory keeps what the core says."""

    modes = ("sync", "async")
    cuts = False

    async def kept(self, message, mode, policy):
        engine = GuardedChatEngine(Echo(), policy=policy)._engine
        await engine._memory.aput(message) if mode == "async" else engine._memory.put(message)
        (message,) = engine._memory._memory.get_all()
        return BLOCKED if message.content in {BLOCKED_TEXT, policy.refusal} else message.content or ""

    async def prompt(self, text, mode, policy):
        return await self.kept(ChatMessage(role="user", content=text), mode, policy)

    async def answer(self, chunks, mode, policy):
        return await self.kept(ChatMessage(role="assistant", content="".join(chunks)), mode, policy)


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
