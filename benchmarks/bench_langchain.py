"""What the guards cost in LangChain, without moderation: per call, per chunk, and of the throughput under load.

    python benchmarks/bench_langchain.py

Aims: at most 1 ms a call, at most 5 % of the throughput of 64 concurrent calls on the local server, at most 30 us a
record and 2 us a streamed token for the metadata handler.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import uuid4

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_mistralai import ChatMistralAI

from guard_integrations.langchain import GuardedChatMistralAI, MetadataCallbackHandler
from guard_integrations.testing import MistralServer

QUESTION = "What is the capital of France, and how do I override a method in Python? " * 4
ANSWER = "The capital of France is Paris. A method is overridden by defining it again in a subclass. " * 6
BODY = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "mistral-small",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
WORDS = [f"{word} " for word in ANSWER.split()]


def events() -> bytes:
    """The answer as a stream."""
    frames = [{**BODY, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in WORDS]
    frames.append({**BODY, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]})
    return "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames).encode() + b"data: [DONE]\n\n"


STREAM = events()


def reply(request: httpx.Request) -> httpx.Response:
    """The same answer to everything."""
    if b'"stream":true' in request.content:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=STREAM)
    return httpx.Response(200, json=BODY)


def client() -> httpx.Client:
    """A client whose server costs next to nothing."""
    return httpx.Client(transport=httpx.MockTransport(reply), base_url="http://127.0.0.1/v1")


def median_us(work: Callable[[], object], *, rounds: int = 300) -> float:
    """Microseconds of CPU for one call, the median: a busy machine changes it least."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken) * 1e6


def per_call() -> None:
    """The guard's share of one call, on a wire that costs nothing."""
    plain = ChatMistralAI(client=client(), async_client=httpx.AsyncClient())
    guarded = GuardedChatMistralAI(client=client(), async_client=httpx.AsyncClient(), moderation="off")
    messages = [("system", "You are a helpful assistant of the bank. Be brief."), ("human", QUESTION)]
    for name, work in (
        ("invoke", lambda llm: llm.invoke(messages)),
        ("stream", lambda llm: list(llm.stream(messages))),
    ):
        rounds = 300 if name == "invoke" else 60
        without, with_ = (
            median_us(partial(work, plain), rounds=rounds),
            median_us(partial(work, guarded), rounds=rounds),
        )
        extra = with_ - without
        share = f", {extra / len(WORDS):.1f} us a chunk" if name == "stream" else ""
        print(f"{name}: {without:.0f} us without, {with_:.0f} us with the guard: {extra:+.0f} us a call{share}")


async def calls_per_second(ask: Callable[[], Awaitable[object]], *, concurrent: int, total: int) -> float:
    """Calls a second of CPU, client and server together, with so many at once."""
    left = iter(range(total))

    async def worker() -> None:
        for _ in left:
            await ask()

    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrent)))
    return total / (time.process_time() - began)


async def throughput() -> None:
    """What is left of the throughput of 64 concurrent calls on the local server."""
    with MistralServer() as server:
        settings = {"base_url": server.base_url, "api_key": server.key}
        plain = ChatMistralAI(**settings)
        guarded = GuardedChatMistralAI(moderation="off", **settings)
        message = [HumanMessage(QUESTION)]
        rates: dict[str, list[float]] = {"plain": [], "guarded": []}
        for _ in range(5):
            for name, llm in (("plain", plain), ("guarded", guarded)):
                rates[name].append(
                    await calls_per_second(lambda llm=llm: llm.ainvoke(message), concurrent=64, total=600)
                )
        without, with_ = (statistics.median(rates[name]) for name in ("plain", "guarded"))
        loss = 100 * (without - with_) / without
        print(f"64 at once: {without:.0f} calls per CPU second without, {with_:.0f} with the guard: {loss:.1f} % less")


def nowhere(_: object) -> None:
    """A sink that costs nothing."""


def records() -> None:
    """What the metadata handler takes for a record and for a token."""
    handler = MetadataCallbackHandler(nowhere)
    answer = AIMessage(ANSWER, usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3})
    result = LLMResult(generations=[[ChatGeneration(message=answer)]])
    question = [[HumanMessage(QUESTION)]]
    chunk = AIMessageChunk("word ")

    def record() -> None:
        run = uuid4()
        handler.on_chat_model_start({}, question, run_id=run, invocation_params={"model": "mistral-small"})
        handler.on_llm_end(result, run_id=run)

    run = uuid4()
    handler.on_chat_model_start({}, question, run_id=run)

    def tokens() -> None:
        for _ in range(1000):
            handler.on_llm_new_token("word ", run_id=run, chunk=chunk)

    print(f"record: {median_us(record, rounds=3000):.1f} us; token: {median_us(tokens, rounds=50) / 1000:.2f} us")


if __name__ == "__main__":
    per_call()
    records()
    asyncio.run(throughput())
