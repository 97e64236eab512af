"""Who else writes content or keys down: a look at the switches of frameworks and libraries, and a hand on LangSmith's.

This package's own records hold no content, but others' logs and traces of the same work may. Nothing is imported to
look: what is not loaded writes nothing.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ContentExposedWarning", "Exposure", "exposures", "hide_tracing", "warn_of_exposures"]

_HIDING: Final = ("HIDE_INPUTS", "HIDE_OUTPUTS", "HIDE_METADATA")
_NAMESPACES: Final = ("LANGSMITH", "LANGCHAIN")
_CHATTY: Final = {
    "httpx": "addresses",
    "httpx2": "addresses",
    "httpcore": "headers",
    "httpcore2": "headers",
    "hpack": "headers, API keys among them",
    "mistralai": "requests and answers",
    "langsmith": "traces",
    "llama_index": "texts of nodes",
}
"""Loggers, and what they write when they debug."""


class ContentExposedWarning(UserWarning):
    """Something is set up so that content or keys are written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One way in which content or keys are written down.

    Args:
        id: kebab-case and stable.
        what: what is written, and by whom.
        mend: what to do about it.
    """

    id: str
    what: str
    mend: str


def exposures() -> tuple[Exposure, ...]:
    """What would write content or keys down if work began now.

    Seen are: LangChain's `set_debug` and `set_verbose`, `MISTRAL_DEBUG`, debug logging of HTTP clients, the Mistral SDK,
    LangSmith and LlamaIndex, a LangSmith tracer that does not hide inputs and outputs, and LlamaIndex's global handler.
    Not seen is a callback or a `verbose=True` that is given to one chain or model.
    """
    return tuple(_switches()) + tuple(_loggers()) + tuple(_tracers())


def warn_of_exposures(*, stacklevel: int = 1) -> tuple[Exposure, ...]:
    """Warns of each of `exposures`, with what to do about it, and gives them. The metadata handlers do when they are made.

    Args:
        stacklevel: whose line the warning names, as in `warnings.warn`.

    Warns:
        ContentExposedWarning: for each.
    """
    found = exposures()
    for each in found:
        warnings.warn(f"{each.what}: {each.mend} [{each.id}]", ContentExposedWarning, stacklevel=stacklevel + 1)
    return found


def hide_tracing() -> None:
    """Has LangSmith send no inputs, outputs and metadata, from now on, in this process and those it starts.

    Sets `LANGSMITH_HIDE_INPUTS`, `LANGSMITH_HIDE_OUTPUTS` and `LANGSMITH_HIDE_METADATA`, and does the same to the client
    that LangSmith keeps where there is one already. Not hidden by LangSmith: names of runs, tags, and the texts of
    errors, which it sends through `Client(anonymizer=…)` alone; a guarded model's errors hold no content.
    """
    for name in _HIDING:
        for namespace in _NAMESPACES:
            os.environ[f"{namespace}_{name}"] = "true"
    utils = sys.modules.get("langsmith.utils")
    forget = getattr(getattr(utils, "get_env_var", None), "cache_clear", None)
    if callable(forget):  # it remembers what it has read
        forget()
    client = getattr(sys.modules.get("langsmith.run_trees"), "_CLIENT", None)
    if client is not None:
        for name in _HIDING:
            setattr(client, f"_{name.lower()}", True)


def _switches() -> Iterator[Exposure]:
    switches = sys.modules.get("langchain_core.globals")
    for name in ("debug", "verbose"):
        get: Any = getattr(switches, f"get_{name}", None)
        if get is not None and get():
            yield Exposure(
                id=f"langchain-{name}",
                what=f"LangChain prints inputs and outputs of every run, since set_{name}(True) was called",
                mend=f"call langchain_core.globals.set_{name}(False)",
            )
    if os.environ.get("MISTRAL_DEBUG"):
        yield Exposure(
            id="mistral-debug",
            what="The Mistral SDK logs requests and answers whole, API keys among them, since MISTRAL_DEBUG is set",
            mend="unset it",
        )


def _loggers() -> Iterator[Exposure]:
    known = logging.root.manager.loggerDict
    for name, what in _CHATTY.items():
        family = [each for each in list(known) if each == name or each.startswith(f"{name}.")] or [name]
        loud = [each for each in family if _writes_debug(logging.getLogger(each))]
        if loud:
            yield Exposure(
                id=f"{name}-logging".replace("_", "-"),
                what=f"The logger {min(loud, key=len)!r} is set to DEBUG and writes {what}",
                mend=f'call logging.getLogger("{name}").setLevel(logging.INFO), and the same for those below it',
            )


def _writes_debug(logger: logging.Logger) -> bool:
    return logger.isEnabledFor(logging.DEBUG) and logger.hasHandlers()


def _tracers() -> Iterator[Exposure]:
    if _environment("TRACING_V2", "TRACING") == "true" and not _hidden_by_environment() and not _hides(_kept_client()):
        yield Exposure(
            id="langsmith-tracing",
            what="LangSmith's tracing is on, and sends the inputs and outputs of every run",
            mend="call guard_integrations.telemetry.hide_tracing(), or turn it off",
        )
    variable = getattr(sys.modules.get("langchain_core.tracers.context"), "tracing_v2_callback_var", None)
    tracer = variable.get() if variable is not None else None
    if tracer is not None and not _hides(getattr(tracer, "client", None)):
        yield Exposure(
            id="langchain-tracer",
            what="A LangChain tracer is at work here, and sends the inputs and outputs of every run",
            mend="give it a langsmith.Client(hide_inputs=True, hide_outputs=True)",
        )
    if getattr(sys.modules.get("llama_index.core"), "global_handler", None) is not None:
        yield Exposure(
            id="llama-index-global-handler",
            what="LlamaIndex's global handler is given the prompts and answers of every call",
            mend="call llama_index.core.set_global_handler for none but development",
        )


def _environment(*names: str) -> str | None:
    """The first that is set, as LangSmith reads them."""
    for name in names:
        for namespace in _NAMESPACES:
            value = os.environ.get(f"{namespace}_{name}", "")
            if value.strip():
                return value
    return None


def _hidden_by_environment() -> bool:
    return all(_environment(name) == "true" for name in ("HIDE_INPUTS", "HIDE_OUTPUTS")) and _kept_client() is None


def _kept_client() -> object:
    return getattr(sys.modules.get("langsmith.run_trees"), "_CLIENT", None)


def _hides(client: object) -> bool:
    """Whether a client of LangSmith's sends neither inputs nor outputs as they are; a function of one's own counts."""
    return client is not None and all(getattr(client, name, False) for name in ("_hide_inputs", "_hide_outputs"))
