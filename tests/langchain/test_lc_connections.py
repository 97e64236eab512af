"""The connections of an asynchronous model: as many as there are calls on their way, and no more."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from guard_integrations.langchain import GuardedChatMistralAI, _connections
from guard_integrations.langchain._connections import connections
from guard_integrations.testing import MistralServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request when it may, and counts the connections."""

    def __init__(self) -> None:
        self.open = 0
        self.accepted = 0
        self.waiting = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.accepted += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.waiting += 1
                await self.may_answer.wait()
                self.waiting -= 1
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def parts(limits: httpx.Timeout | None = None) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    transport = connections(httpx.create_ssl_context())
    assert transport is not None
    async with httpx.AsyncClient(transport=transport, timeout=limits) as client:
        yield server, client
        server.may_answer.set()
    listening.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what the server sees sets no event
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connections, "getproxies", dict)


def test_one_connection_serves_calls_that_follow_each_other():
    async def calls() -> int:
        async with parts() as (server, client):
            for _ in range(5):
                assert (await client.get(server.url)).text == "ok"
            return server.accepted

    assert asyncio.run(calls()) == 1


def test_calls_at_once_share_no_connection_and_leave_theirs_to_the_next():
    async def calls() -> int:
        async with parts() as (server, client):
            for _ in range(3):
                answers = await asyncio.gather(*(client.get(server.url) for _ in range(8)))
                assert [answer.text for answer in answers] == ["ok"] * 8
            return server.accepted

    assert asyncio.run(calls()) == 8


def test_more_calls_than_connections_wait_for_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_connections, "MOST", 3)

    async def calls() -> int:
        async with parts() as (server, client):
            server.may_answer.clear()
            tasks = [asyncio.create_task(client.get(server.url)) for _ in range(10)]
            await until(lambda: server.waiting == 3)
            server.may_answer.set()
            assert all(answer.text == "ok" for answer in await asyncio.gather(*tasks))
            return server.accepted

    assert asyncio.run(calls()) == 3


def test_a_wait_for_a_connection_ends_with_the_time_out_for_the_pool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_connections, "MOST", 1)

    async def calls() -> None:
        async with parts(httpx.Timeout(10, pool=0.01)) as (server, client):
            server.may_answer.clear()
            first = asyncio.create_task(client.get(server.url))
            await until(lambda: server.waiting == 1)
            with pytest.raises(httpx.PoolTimeout):
                await client.get(server.url)
            server.may_answer.set()
            await first
            # What has given up takes no connection with it.
            assert (await client.get(server.url)).text == "ok"

    asyncio.run(calls())


@pytest.mark.parametrize("streamed", [False, True])
def test_a_cancelled_call_gives_its_connection_back(streamed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_connections, "MOST", 1)

    async def read(client: httpx.AsyncClient, url: str) -> None:
        async with client.stream("GET", url):
            await asyncio.Event().wait()

    async def calls() -> None:
        async with parts(httpx.Timeout(10)) as (server, client):
            if not streamed:
                server.may_answer.clear()
            task = asyncio.create_task(read(client, server.url) if streamed else client.get(server.url))
            await until(lambda: server.accepted == 1 and (streamed or server.waiting == 1))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            server.may_answer.set()
            assert (await client.get(server.url)).text == "ok"

    asyncio.run(calls())


def test_a_server_that_cannot_be_reached_takes_no_connection_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_connections, "MOST", 1)

    async def calls() -> None:
        async with parts() as (server, client):
            for _ in range(3):
                with pytest.raises(httpx.ConnectError):
                    await client.get("http://127.0.0.1:1")
            assert (await client.get(server.url)).text == "ok"

    asyncio.run(calls())


def test_what_has_not_been_used_for_long_is_closed_with_the_next_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_connections, "IDLE", 0.05)

    async def calls() -> None:
        async with parts() as (server, client):
            await asyncio.gather(*(client.get(server.url) for _ in range(4)))
            assert server.open == 4
            await asyncio.sleep(0.1)
            await client.get(server.url)
            await until(lambda: server.open == 1)

    asyncio.run(calls())


def test_the_end_of_the_client_ends_every_connection():
    async def calls() -> None:
        async with parts() as (server, client):
            await asyncio.gather(*(client.get(server.url) for _ in range(4)))
        await until(lambda: server.open == 0)

    asyncio.run(calls())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_model_goes_from_one_event_loop_to_another():
    # Nobody could close the connections of a loop that has ended: hence the warnings.
    with MistralServer() as server:
        llm = GuardedChatMistralAI(base_url=server.base_url, api_key=server.key, moderation="off")
        for _ in range(3):
            assert asyncio.run(llm.ainvoke("Hello")).content
        asyncio.run(llm.async_client.aclose())
        del llm
        gc.collect()  # so that the warnings come here


def test_the_environments_proxies_are_left_to_httpx(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_connections, "getproxies", lambda: {"https": "http://127.0.0.1:1"})
    assert connections(httpx.create_ssl_context()) is None
