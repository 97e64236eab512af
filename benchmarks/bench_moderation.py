"""What moderation costs the reader: streams, moderation beside the model, a long document, the cache.

    python benchmarks/bench_moderation.py

A local Mistral server in a process of its own, with latency injected: the model writes a chunk every 15 ms after
200 ms, the classifier answers after 100 ms. Guarded and unguarded runs take turns, so that both see the same machine;
medians are shown. Exits with 1 where an aim is missed.
"""

import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import Runnable, RunnableGenerator
from langchain_mistralai import ChatMistralAI

from guard_integrations import Moderator
from guard_integrations.core.moderation.windows import WINDOW
from guard_integrations.langchain import RunnableModerationGuard
from guard_integrations.testing import MistralServer
from guard_integrations.testing.faults import Fault

if TYPE_CHECKING:
    from guard_integrations.core.moderation import StreamMode

FIRST_TOKEN = 0.2
CHUNK = 0.015
VERDICT = 0.1
ROUNDS = 9
PROMPT = "Repeat after me: " + " ".join(f"Sentence number {number} is plain enough." for number in range(25))

missed: list[str] = []


def serve(ready: Connection) -> None:
    with MistralServer() as server:
        server.faults.add(
            Fault(path="/v1/chat/completions", first_byte_delay=FIRST_TOKEN, chunk_delay=CHUNK, times=None),
            Fault(path="/v1/moderations", latency=VERDICT, times=None),
            Fault(path="/v1/chat/moderations", latency=VERDICT, times=None),
        )
        ready.send((server.base_url, server.key))
        while ready.recv() == "arrivals":
            ready.send([request.time for request in server.requests.to("/v1/moderations")])
            server.requests.clear()


def aim(name: str, value: float, most: float, unit: str) -> None:
    met = value <= most
    print(f"  {'met   ' if met else 'MISSED'} {name}: {value:.1f} {unit}, at most {most:.1f}")
    if not met:
        missed.append(name)


async def timed(chain: Runnable, prompt: str) -> tuple[float, float]:
    """Milliseconds to the first character and to the end."""
    began = time.perf_counter()
    first = 0.0
    async for chunk in chain.astream(prompt):
        if not first and (chunk.content if hasattr(chunk, "content") else chunk):
            first = time.perf_counter() - began
    return first * 1e3, (time.perf_counter() - began) * 1e3


async def turns(chains: dict[str, Runnable], prompts: Callable[[int, str], str]) -> dict[str, tuple[float, float]]:
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in chains}
    for number in range(ROUNDS):
        for name, chain in chains.items():
            took[name].append(await timed(chain, prompts(number, name)))
    return {
        name: (statistics.median(first for first, _ in each), statistics.median(total for _, total in each))
        for name, each in took.items()
    }


async def streams(model: ChatMistralAI, fresh: Callable[[], Moderator]) -> None:
    print(f"Streamed output: {CHUNK * 1e3:.0f} ms a chunk, {VERDICT * 1e3:.0f} ms a verdict, windows of {WINDOW}")
    modes: tuple[StreamMode, ...] = ("window", "buffer")
    guards = {mode: RunnableModerationGuard(stage="output", mode=mode, moderator=fresh()) for mode in modes}
    ended: list[float] = []

    async def note_end(chunks: AsyncIterator[AIMessageChunk]) -> AsyncIterator[AIMessageChunk]:
        async for chunk in chunks:
            yield chunk
        ended.append(time.perf_counter())

    writer = model | RunnableGenerator(note_end)
    tails: list[float] = []

    async def guarded(chunks: AsyncIterator[AIMessageChunk]) -> AsyncIterator[AIMessageChunk]:
        async for chunk in chunks:
            yield chunk
        tails.append((time.perf_counter() - ended[-1]) * 1e3)

    chains: dict[str, Runnable] = {
        "none": model,
        "window": writer | guards["window"] | RunnableGenerator(guarded),
        "buffer": model | guards["buffer"],
    }
    took = await turns(chains, lambda *_: PROMPT)
    for name, (first, total) in took.items():
        print(f"  {name:<8} first character {first:8.1f} ms   total {total:8.1f} ms")
    chunks = [len(chunk.content) async for chunk in written(model)]
    # The first window has a quarter of the others' size.
    window = len(chunks) * WINDOW / 4 / sum(chunks) * CHUNK * 1e3
    verdict = VERDICT * 1e3
    added_first = took["window"][0] - took["none"][0]
    aim("first character, added: the first window and its verdict", added_first, window + verdict, "ms")
    # 15 ms: what one request costs on this machine besides the injected latency.
    aim("total, added: the last verdict", statistics.median(tails), verdict + 15, "ms")


async def written(model: ChatMistralAI) -> AsyncIterator[object]:
    async for chunk in model.astream(PROMPT):
        if chunk.content:
            yield chunk


async def beside(model: ChatMistralAI, moderator: Moderator) -> None:
    print(f"Input moderated beside the model: first token after {FIRST_TOKEN * 1e3:.0f} ms, verdict after 100 ms")
    chains: dict[str, Runnable] = {
        "none": model,
        "before": RunnableModerationGuard(moderator=moderator) | model,
        "beside": RunnableModerationGuard(moderator=moderator, concurrent=True) | model,
    }
    # A prompt of its own each time, or the cache would answer.
    took = await turns(chains, lambda number, name: f"Say hello to number {number} {name}")
    for name, (first, _) in took.items():
        print(f"  {name:<8} first token {first:8.1f} ms")
    aim("time to first token, added", (took["beside"][0] / took["none"][0] - 1) * 100, 5, "%")


def document(fresh: Callable[[], Moderator], server: Connection) -> None:
    print("A document of 1 MB")
    with fresh() as moderator:
        moderator.moderate("warm up")
        text = "".join(f"Sentence number {number} of the document is plain. " for number in range(22_000))
        ask_for(server)
        began = time.perf_counter()
        moderator.moderate(text)
        whole = (time.perf_counter() - began) * 1e3
    arrivals = ask_for(server)
    # How long the server's own classifier takes over 1 MB of text is not ours to answer for; whether it had all of
    # it before the first verdict was due is.
    print(f"  {len(text) / 1e6:.2f} MB in {len(arrivals)} requests, {whole:.0f} ms with the server's own reading")
    aim("all of it sent before the first verdict is due", (max(arrivals) - min(arrivals)) * 1e3, VERDICT * 1e3, "ms")


def ask_for(server: Connection) -> list[float]:
    """When requests reached the classifier, since the last time this was asked."""
    server.send("arrivals")
    arrivals: list[float] = server.recv()
    return arrivals


def cache(moderator: Moderator) -> None:
    print("Cache hits")
    for name, text in {"100 characters": "a" * 100, "4 KB": "plain text. " * 340}.items():
        moderator.moderate(text)
        loops = 3_000
        took = []
        for _ in range(7):
            began = time.process_time()
            for _ in range(loops):
                moderator.moderate(text)
            took.append((time.process_time() - began) / loops * 1e6)
        aim(f"{name}, CPU", statistics.median(took), 50, "µs")


def main() -> int:
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    base_url, key = here.recv()
    made: list[Moderator] = []

    def fresh() -> Moderator:
        made.append(Moderator(keys=key, base_url=base_url, cache_size=0))
        return made[-1]

    model = ChatMistralAI(api_key=key, base_url=base_url)
    asyncio.run(streams(model, fresh))
    asyncio.run(beside(ChatMistralAI(api_key=key, base_url=base_url), fresh()))
    document(fresh, here)
    with Moderator(keys=key, base_url=base_url) as remembering:
        cache(remembering)
    for moderator in made:
        moderator.close()
    here.send("end")
    server.join()
    print(f"missed: {', '.join(missed)}" if missed else "all aims met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
