"""What a key ring costs: CPU of a lease, and the latency it adds to a healthy call, side by side with a plain client.

    python benchmarks/bench_keys.py

The calls go over loopback to the local Mistral server in a process of its own; calls with and without the ring take
turns, so that both see the same machine.
"""

import importlib.util
import multiprocessing
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import httpx

from guard_integrations import KeyRing, RedisRingState
from guard_integrations.testing import MistralServer

LEASES = 200_000
CALLS = 4_000
KEYS = [f"key{number}" + "x" * 28 for number in range(5)]


def serve(ready: Connection) -> None:
    with MistralServer() as server:
        ready.send((server.base_url, server.key))
        ready.recv()


def cpu_of(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU for one run of `work`."""
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times * 1e6


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def show(name: str, plain: list[float], ringed: list[float]) -> None:
    for quantile, index in (("p50", 50), ("p99", 99)):
        without = statistics.quantiles(plain, n=100)[index - 1] * 1e3
        with_ring = statistics.quantiles(ringed, n=100)[index - 1] * 1e3
        print(
            f"{name:<34} {quantile}  plain {without:7.3f} ms   ring {with_ring:7.3f} ms   {with_ring - without:+.3f} ms"
        )


def compare(name: str, plain: httpx.Client, ringed: httpx.Client, url: str) -> None:
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(CALLS):
        for side, client in ((0, plain), (1, ringed)) if turn % 2 else ((1, ringed), (0, plain)):
            took[side].append(seconds_of(lambda client=client: client.get(url).raise_for_status()))
    show(name, *took)


def show_sharing() -> None:
    """Milliseconds until a process that shares a Redis knows what another one learned; each state has its own thread."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None or importlib.util.find_spec("redis") is None:
        print("sharing over Redis                 skipped: it needs redis-server and the extra `redis`")
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([program, "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL) as redis:  # noqa: S603 - found by name
        states = [RedisRingState(f"redis://127.0.0.1:{port}/0") for _ in range(2)]
        while not all(state.sync() for state in states):
            time.sleep(0.05)
        took = []
        for number in range(30):
            one, other = (KeyRing([f"{KEYS[0]}{number}"], shared=state) for state in states)
            time.sleep(0.05)
            one.report_auth_failure(one.lease())
            started = time.perf_counter()
            while not other.status()[0].ready_in:
                time.sleep(0.001)
            took.append((time.perf_counter() - started) * 1e3)
        for state in states:
            state.close()
        redis.terminate()
    print(f"known to another process after     {statistics.median(took):.0f} ms, at most {max(took):.0f} ms of 30")


def main() -> None:
    show_sharing()
    ring = KeyRing(KEYS)
    lease = ring.lease()
    print(f"lease                              {cpu_of(ring.lease, LEASES):.2f} µs of CPU")
    print(
        f"lease and report_success           {cpu_of(lambda: ring.report_success(ring.lease()), LEASES):.2f} µs of CPU"
    )
    crowded = KeyRing(KEYS, cooldown=1e6, max_cooldown=1e6)
    for _ in KEYS[1:]:
        crowded.report_auth_failure(crowded.lease())
    print(f"lease, four of five keys cooling   {cpu_of(crowded.lease, LEASES):.2f} µs of CPU")

    fixed = {"Authorization": f"Bearer {lease.secret.get_secret_value()}"}
    wire = httpx.MockTransport(lambda request: httpx.Response(200, request=request))
    with (
        httpx.Client(headers=fixed, transport=wire) as plain,
        httpx.Client(auth=ring.auth(), transport=wire) as ringed,
    ):
        compare("call, no network", plain, ringed, "http://127.0.0.1/v1/models")

    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    server.start()
    base_url, key = ours.recv()
    with (
        httpx.Client(headers={"Authorization": f"Bearer {key}"}) as plain,
        httpx.Client(auth=KeyRing([key]).auth()) as ringed,
    ):
        compare("call, local server over loopback", plain, ringed, f"{base_url}/models")
    ours.send("stop")
    server.join()


if __name__ == "__main__":
    main()
