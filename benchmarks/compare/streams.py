"""An answer with an e-mail address in it, streamed in random pieces: what comes out, and how late."""

import asyncio
import importlib
import statistics
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from guard_integrations import OutputSanitizer

from .peers import OURS, installed
from .table import Column, Table

STREAMS = 100
FILLER = "The committee met on Tuesday to discuss the new timetable, and most of its members agreed. "
PAUSE = 0.0002
"""Seconds between pieces, so that what can be shown is shown before the next piece comes."""

Shown = list[tuple[int, str]]
"""What came out, each with the characters that the model had said by then."""
Stream = Callable[[list[str]], Shown]


def _pieces(text: str, chance: Random) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = chance.randint(1, 12)
        yield text[at : at + size]
        at += size


def _agent(middleware: Any) -> Stream:  # noqa: ANN401 - the framework is known at run time only
    """An agent of LangChain, read with `stream_mode="messages"`."""
    agents = importlib.import_module("langchain.agents")
    chat = importlib.import_module("langchain_core.language_models.chat_models")
    messages = importlib.import_module("langchain_core.messages")
    outputs = importlib.import_module("langchain_core.outputs")
    script: list[str] = []
    said = 0

    class Streaming(chat.BaseChatModel):  # type: ignore[misc, name-defined] # as above
        """Says its pieces."""

        @property
        def _llm_type(self) -> str:
            return "pieces"

        def _generate(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - the parent's signature
            message = messages.AIMessage(content="".join(script))
            return outputs.ChatResult(generations=[outputs.ChatGeneration(message=message)])

        async def _astream(self, *_: Any, run_manager: Any = None, **__: Any) -> Any:  # noqa: ANN401 - as above
            nonlocal said
            for piece in script:
                said += len(piece)
                chunk = outputs.ChatGenerationChunk(message=messages.AIMessageChunk(content=piece, id="1"))
                if run_manager:
                    await run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
                await asyncio.sleep(PAUSE)

    agent = agents.create_agent(Streaming(), tools=[], middleware=[middleware])

    def stream(pieces: list[str]) -> Shown:
        nonlocal said
        script[:], said = pieces, 0

        async def shown() -> Shown:
            return [
                (said, chunk.text)
                async for chunk, _ in agent.astream({"messages": [("user", "Hello")]}, stream_mode="messages")
                if type(chunk).__name__ == "AIMessageChunk"
            ]

        return asyncio.run(shown())

    return stream


def _session(make: Callable[[], tuple[Callable[[str], str], Callable[[], str]]]) -> Stream:
    """Pieces fed to a session, and its end."""

    def stream(pieces: list[str]) -> Shown:
        feed, finish = make()
        shown, said = [], 0
        for piece in pieces:
            said += len(piece)
            shown.append((said, feed(piece)))
        return [*shown, (said, finish())]

    return stream


def _middleware_of_langchain() -> Stream:
    peer = importlib.import_module("langchain.agents.middleware").PIIMiddleware
    return _agent(peer("email", apply_to_output=True))


def _argus() -> Stream:
    redactor = importlib.import_module("argus_redact.streaming").StreamingRedactor

    def make() -> tuple[Callable[[str], str], Callable[[], str]]:
        session = redactor(salt=b"benchmark-of-16b", lang="en", strict_input=False)
        return (lambda piece: session.feed(piece).downstream_text), (lambda: session.flush().downstream_text)

    return _session(make)


def _ours_in_an_agent() -> Stream:
    return _agent(importlib.import_module("guard_integrations.langchain").GuardMiddleware())


def _ours() -> Stream:
    sanitizer = OutputSanitizer()

    def make() -> tuple[Callable[[str], str], Callable[[], str]]:
        session = sanitizer.stream()
        return session.feed, session.finish

    return _session(make)


def streams() -> Table:
    """How often a part of the address came out, what was lost, how long text is held back, what it costs."""
    guards: dict[str, Stream] = {
        f"{OURS}, OutputSanitizer.stream": _ours(),
        **installed(
            {
                "guard-integrations GuardMiddleware": _ours_in_an_agent,
                "langchain PIIMiddleware": _middleware_of_langchain,
                "argus-redact StreamingRedactor": _argus,
            }
        ),
    }
    rows = []
    for name, stream in guards.items():
        chance, leaked, lost = Random(1), 0, 0  # noqa: S311 - random pieces
        held: list[float] = []
        costs: list[float] = []
        for number in range(STREAMS):
            local = "".join(chance.choice("bcdfghjklmnpqrstvwxz") for _ in range(8))
            text = f"{FILLER * chance.randint(0, 4)}Write to {local}@postbox.net {FILLER}End {number}."
            pieces = list(_pieces(text, chance))
            started = time.process_time()
            shown = stream(pieces)
            costs.append((time.process_time() - started) / len(pieces))
            whole = "".join(text for _, text in shown)
            leaked += any(local[start : start + 4] in whole for start in range(5))
            lost += not whole.endswith(f"End {number}.")
            held += _held(shown, text.index(local))
        rows.append((name, leaked / STREAMS, lost / STREAMS, statistics.mean(held), statistics.median(costs) * 1e6))
    return Table(
        title="Streams",
        note=f"{STREAMS} answers with one e-mail address each, in pieces of 1 to 12 characters. A part: four characters "
        "of the address or more. Held back: characters of the prose before the address that the model has said and "
        "nobody has seen, mean after a piece. The cost of the agents holds LangChain's own.",
        columns=(
            Column(name="guard"),
            Column(name="streams in which a part came out", format=".0%"),
            Column(name="streams that lost their end", format=".0%"),
            Column(name="characters held back", format=".1f"),
            Column(name="µs a piece", format=".0f"),
        ),
        rows=tuple(rows),
    )


def _held(shown: Shown, until: int) -> list[float]:
    """Characters held back after each piece, as long as what comes out is as long as what went in."""
    out, held = 0, []
    for said, text in shown:
        out += len(text)
        if said > until:
            break
        held.append(float(said - out))
    return held or [float(until)]
