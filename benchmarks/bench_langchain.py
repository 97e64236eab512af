"""What the guards cost in LangChain, without moderation: per call, per chunk, and of the throughput under load.

    python benchmarks/bench_langchain.py

Aims: at most 1 ms a call, at most 5 % of the throughput of 64 concurrent calls on the local server, against
`ChatMistralAI` as LangChain makes it; at most 30 us a record and 2 us a streamed token for the metadata handler.
"""

import asyncio
import gc
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import uuid4

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_mistralai import ChatMistralAI

from guard_integrations import KeyRing
from guard_integrations.langchain import GuardedChatMistralAI, MetadataCallbackHandler
from guard_integrations.langchain._connections import connections
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
CONCURRENT = 64
CALLS = 256
ROUNDS = 30
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


def serve(addresses: "multiprocessing.Queue[tuple[str, str]]", over: "multiprocessing.Event") -> None:
    """The local server, in a process of its own."""
    with MistralServer() as server:
        addresses.put((server.base_url, server.key))
        over.wait()


async def load(ask: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Seconds of wall clock, and of this process's CPU, for one round of calls with so many at once."""
    left = iter(range(CALLS))

    async def worker() -> None:
        for _ in left:
            await ask()

    gc.collect()
    began, worked = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    return time.perf_counter() - began, time.process_time() - worked


def of_median(ratios: list[float]) -> str:
    """The median, and the 95 % interval of the median that the order statistics give."""
    ranked = sorted(ratios)
    reach = 0.98 * len(ranked) ** 0.5
    low, high = max(0, round(len(ranked) / 2 - reach) - 1), min(len(ranked) - 1, round(len(ranked) / 2 + reach))
    return f"{statistics.median(ranked):+.1f} % ({ranked[low]:+.1f} to {ranked[high]:+.1f})"


async def throughput() -> None:
    """What is left of the throughput of 64 concurrent calls on the local server, by both clocks.

    The server runs in a process of its own. Each call brings a message of its own. The models take turns, the other
    way round in every other round, and each round gives one ratio for each comparison. The guarded model's client keeps
    its connections in a way of its own, which saves more than the guards cost. Their own cost shows where both models
    have the same connections: either those ("same"), or `httpx`'s pool ("pool"), which also a guarded model has where
    there are proxies in the environment, or with a client of the caller's.
    """
    context = multiprocessing.get_context("spawn")
    addresses, over = context.Queue(), context.Event()
    server = context.Process(target=serve, args=(addresses, over))
    server.start()
    base_url, key = addresses.get()
    settings = {"base_url": base_url, "api_key": key}
    bare = {"base_url": base_url, "timeout": 120}
    ours = httpx.AsyncClient(
        headers={"Authorization": f"Bearer {key}"}, transport=connections(httpx.create_ssl_context()), **bare
    )
    pool = httpx.AsyncClient(auth=KeyRing([key]).auth(), **bare)
    models = {
        "plain": ChatMistralAI(**settings),
        "plain, same": ChatMistralAI(async_client=ours, **settings),
        "guarded": GuardedChatMistralAI(moderation="off", **settings),
        "guarded, pool": GuardedChatMistralAI(moderation="off", async_client=pool, **settings),
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for number in range(ROUNDS + 1):
        for name in list(models)[:: 1 if number % 2 else -1]:
            measured = await load(lambda name=name: models[name].ainvoke([HumanMessage(QUESTION)]))
            if number:  # the first round opens the connections and compiles
                took[name].append(measured)
    over.set()
    server.join()
    for clock, title in enumerate(("wall clock", "the client's CPU")):
        rates = {name: [CALLS / each[clock] for each in rounds] for name, rounds in took.items()}
        print(
            f"{CONCURRENT} at once, calls per second of {title}: "
            + "; ".join(f"{name} {statistics.median(each):.0f}" for name, each in rates.items())
        )
        for after, before in (("guarded", "plain"), ("guarded", "plain, same"), ("guarded, pool", "plain")):
            pairs = list(zip(rates[before], rates[after], strict=True))
            change = [100 * (with_ / without - 1) for without, with_ in pairs]
            extra = statistics.median(1e6 * (1 / with_ - 1 / without) for without, with_ in pairs)
            print(f"    {after} against {before}: {of_median(change)}, {extra:+.0f} us a call")


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
