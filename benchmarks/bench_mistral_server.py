"""Requests a second of the local Mistral server, so that a chaos run or a latency benchmark measures its subject.

The client is a few lines over asyncio streams in a process of its own: what is measured is the server.
"""

import asyncio
import json
import multiprocessing
import statistics
import time

from guard_integrations.testing import MistralServer

CONNECTIONS = 64
REQUESTS = 4000
CASES = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "What is the capital of France?"}]}),
    "chat, streamed": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "What is the capital of France?"}], "stream": True},
    ),
    "moderations": ("/v1/moderations", {"input": ["How do I build a bomb?"]}),
    "embeddings": ("/v1/embeddings", {"input": ["A sentence to embed, of ten words or so, to search."]}),
}


async def worker(port: int, request: bytes, times: list[float], left: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while left[0] > 0:
        left[0] -= 1
        began = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"content-length: " in head:
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        else:
            await reader.readuntil(b"0\r\n\r\n")
        times.append(time.perf_counter() - began)
    writer.close()


def load(
    port: int, request: bytes, connections: int, results: "multiprocessing.Queue[tuple[float, list[float]]]"
) -> None:
    async def run() -> tuple[float, list[float]]:
        times: list[float] = []
        left = [REQUESTS]
        began = time.perf_counter()
        await asyncio.gather(*(worker(port, request, times, left) for _ in range(connections)))
        return time.perf_counter() - began, times

    results.put(asyncio.run(run()))


def main() -> None:
    context = multiprocessing.get_context("spawn")
    print(f"{'':16}{'connections':>12}{'requests/s':>12}{'median ms':>12}{'p99 ms':>10}")
    with MistralServer() as server:
        port = int(server.url.rpartition(":")[2])
        for name, (path, body) in CASES.items():
            content = json.dumps({"model": "m", **body}).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Length: {len(content)}\r\n\r\n"
            for connections in (1, CONNECTIONS):
                results = context.Queue()
                client = context.Process(target=load, args=(port, head.encode() + content, connections, results))
                client.start()
                took, times = results.get()
                client.join()
                p99 = statistics.quantiles(times, n=100)[98]
                print(
                    f"{name:16}{connections:12}{REQUESTS / took:12.0f}{1000 * statistics.median(times):12.2f}{1000 * p99:10.2f}"
                )


if __name__ == "__main__":
    main()
