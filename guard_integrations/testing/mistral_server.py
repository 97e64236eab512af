"""A Mistral API on loopback, to test and to demonstrate with."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from guard_integrations.testing.faults import FaultPlan
from guard_integrations.testing.keys import KeyTable
from guard_integrations.testing.request_log import RequestLog

if TYPE_CHECKING:
    from guard_integrations.testing.runner import Runner

__all__ = ["MistralServer"]


class MistralServer:
    """A real HTTP server on 127.0.0.1 that speaks the Mistral API; its chat model is gullible (see `models.gullible`).

    It runs in a thread of its own, serves many threads and event loops at once, and can be changed while it runs. Use it as a
    context manager, or call `start` and `stop`.

    Args:
        keep_alive: keep connections open for further requests, as Mistral does. Without it, each connection is closed behind
            its answer: the clients of the frameworks, which nothing closes, then leave no open socket behind, and an async
            client can go from one event loop to another.

    Attributes:
        keys: the API keys it knows; one valid key is made at start, see `key`.
        faults: what shall go wrong.
        requests: what it received.

    Raises:
        ModuleNotFoundError: on start, where the extra `testing` is not installed.
    """

    def __init__(self, *, keep_alive: bool = True) -> None:
        self._keep_alive = keep_alive
        self.keys = KeyTable()
        self.faults = FaultPlan()
        self.requests = RequestLog()
        self._key = self.keys.add()
        self._runner: Runner | None = None

    @property
    def key(self) -> str:
        """A valid key, random, made anew by `reset`."""
        return self._key

    @property
    def url(self) -> str:
        """The base without `/v1`: `server_url` of `mistralai.client.Mistral`, `endpoint` of LlamaIndex's `MistralAI`."""
        if self._runner is None:
            raise RuntimeError("The server is not running: start it first, or use it as a context manager.")
        return f"http://127.0.0.1:{self._runner.port}"

    @property
    def base_url(self) -> str:
        """The base with `/v1`: `base_url` of `ChatMistralAI`."""
        return f"{self.url}/v1"

    def start(self) -> Self:
        """Take a free port and serve; returns when requests are accepted."""
        if self._runner is not None:
            raise RuntimeError("The server is running already.")
        missing = None
        try:
            from guard_integrations.testing.app import build  # noqa: PLC0415 - the extra `testing`
            from guard_integrations.testing.runner import Runner  # noqa: PLC0415 - as above
        except ModuleNotFoundError as error:
            missing = (error.name or "a package").partition(".")[0]
        if missing is not None:
            raise ModuleNotFoundError(
                f"MistralServer needs {missing}: install it with pip install 'guard-integrations[testing]'.",
                name=missing,
            )
        self._runner = Runner(build(self.keys, self.faults, self.requests), keep_alive=self._keep_alive)
        return self

    def stop(self) -> None:
        """End every connection and the thread; a server that is not running stays so."""
        if self._runner is not None:
            self._runner.end()
            self._runner = None

    def reset(self) -> None:
        """Back to the state after the start: one new valid key, no fault, nothing received."""
        self.keys.clear()
        self.faults.clear()
        self.requests.clear()
        self._key = self.keys.add()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
