"""uvicorn in a thread."""

import asyncio
import socket
import threading

import uvicorn
from starlette.applications import Starlette

__all__ = ["Runner"]

_START_SECONDS = 30.0


class Runner(uvicorn.Server):
    """Serves an application on a free port of 127.0.0.1 from a thread of its own; made when requests are accepted.

    Args:
        app: the application.
        keep_alive: keep connections open for further requests.
    """

    def __init__(self, app: Starlette, *, keep_alive: bool) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                headers=[] if keep_alive else [("connection", "close")],
                lifespan="off",
                log_config=None,
                log_level="critical",  # a dropped connection is wanted here, uvicorn would report it as an error
                timeout_keep_alive=60,
                ws="none",
            )
        )
        self._ready = threading.Event()
        # The protocol is named so that asyncio switches Nagle's algorithm off: each answer would wait 40 ms for an acknowledgement.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1024)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="mistral-server", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise RuntimeError(f"The local server did not start within {_START_SECONDS:g} s.")

    def _run(self) -> None:
        with self._listener:
            asyncio.run(self.serve(sockets=[self._listener]))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._ready.set()

    def end(self) -> None:
        """Close every connection, requests under way included, and wait for the thread."""
        self.should_exit = True
        self.force_exit = True
        self._thread.join()
