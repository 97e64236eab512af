"""Runs the demo: each prompt with and without the guard, then a key that is revoked in mid-flight."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_mistralai import ChatMistralAI
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.embeddings.mistralai import MistralAIEmbedding
from llama_index.llms.mistralai import MistralAI
from mistralai.client import Mistral

from guard_integrations import GuardPolicy, KeyRing
from guard_integrations.cli.demo.scenario import CHAIN_PROMPTS, HANDBOOK, QUERIES, SYSTEM_PROMPT, Kind, Prompt, Target
from guard_integrations.core.events import LOG, GuardEvent, add_observer, remove_observer
from guard_integrations.errors import GuardBlocked
from guard_integrations.langchain import (
    GuardedChatMistralAI,
    MetadataCallbackHandler,
    RunnableInputGuard,
    RunnableOutputSanitizer,
)
from guard_integrations.llama_index import GuardedMistralAI, GuardedQueryEngine, InjectionGuardNodePostprocessor
from guard_integrations.testing import MistralServer

__all__ = ["Outcome", "Report", "RingStep", "run"]

MODEL = "mistral-small-latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one prompt.

    Args:
        prompt: what came in.
        kind: an attack, an ordinary prompt, or one of the user's own.
        unguarded: what the model did without the guard.
        guarded: what it did with the guard.
        unguarded_harmed: whether the attack worked without the guard.
        guarded_harmed: whether it worked with the guard.
        rules: ids of the rules that fired.
        unguarded_ms: milliseconds the answer took without the guard.
        guarded_ms: milliseconds it took with the guard.
    """

    prompt: str
    kind: Kind
    unguarded: str
    guarded: str
    unguarded_harmed: bool
    guarded_harmed: bool
    rules: tuple[str, ...]
    unguarded_ms: float
    guarded_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RingStep:
    """One request of the rotation scene.

    Args:
        what: what had happened to the keys before.
        answer: how the request ended for the caller.
        key: label of the key that is current afterwards.
        events: what the ring did meanwhile, such as "key-1 cooled 30 s".
    """

    what: str
    answer: str
    key: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the demo shows."""

    chain: tuple[Outcome, ...]
    query_engine: tuple[Outcome, ...]
    log_lines: tuple[str, ...]
    rotation: tuple[RingStep, ...]


def run(target: Target, prompts: Iterable[Prompt] = (), *, progress: Callable[[], None] = lambda: None) -> Report:
    """Runs every scene against a server; the rotation always runs on a local one, whose keys may be revoked.

    Args:
        target: where requests go.
        prompts: prompts of the user's own, after the built-in ones.
        progress: called when a prompt is done.
    """
    own = tuple(prompts)
    policy = GuardPolicy()
    with _log_lines() as lines:
        chain = _compare((*CHAIN_PROMPTS, *own), *_chains(target, policy), progress)
        LOG.flush()
        logged = _telling(lines)
        query_engine = _compare((*QUERIES, *own), *_query_engines(target, policy), progress)
    return Report(chain=chain, query_engine=query_engine, log_lines=logged, rotation=tuple(_rotation()))


def _chains(target: Target, policy: GuardPolicy) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """The chain without and with the guard, each as a function from the prompt to the whole streamed answer."""
    llm = ChatMistralAI(model_name=MODEL, api_key=target.key, base_url=f"{target.url}/v1", temperature=0)
    prompt = ChatPromptTemplate([("system", SYSTEM_PROMPT), ("human", "{text}")])
    guard = RunnableInputGuard(policy=policy)
    sanitizer = RunnableOutputSanitizer(policy=policy)
    plain = prompt | llm | StrOutputParser()
    guarded = guard | prompt | llm | StrOutputParser() | sanitizer
    config: RunnableConfig = {"callbacks": [MetadataCallbackHandler()]}

    def stream(chain: Runnable[dict[str, str], str], config: RunnableConfig | None = None) -> Callable[[str], str]:
        return lambda text: "".join(chain.stream({"text": text}, config))

    return stream(plain), stream(guarded, config)


def _query_engines(target: Target, policy: GuardPolicy) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """The query engine over the handbook without and with the guard."""
    key = target.key.get_secret_value()
    documents = [Document(text=text, metadata={"page": page}) for page, text in HANDBOOK.items()]
    index = VectorStoreIndex.from_documents(documents, embed_model=_embedding(key, target.url))
    plain_llm = MistralAI(model=MODEL, api_key=key, endpoint=target.url, temperature=0)
    guarded_llm = GuardedMistralAI(model=MODEL, keys=[key], endpoint=target.url, temperature=0, policy=policy)
    plain = index.as_query_engine(llm=plain_llm, similarity_top_k=1)
    guarded = GuardedQueryEngine(
        index.as_query_engine(
            llm=guarded_llm,
            similarity_top_k=1,
            node_postprocessors=[InjectionGuardNodePostprocessor(policy=policy, on_injection="filter")],
        ),
        policy=policy,
    )

    def ask(engine: BaseQueryEngine) -> Callable[[str], str]:
        return lambda text: str(engine.query(text))

    return ask(plain), ask(guarded)


def _compare(
    prompts: Iterable[Prompt],
    plain: Callable[[str], str],
    guarded: Callable[[str], str],
    progress: Callable[[], None],
) -> tuple[Outcome, ...]:
    plain(QUERIES[0].text)
    guarded(QUERIES[0].text)  # connections, rules and the classifier load on the first call, which is not timed
    outcomes = []
    for prompt in prompts:
        unguarded, unguarded_ms = _timed(plain, prompt.text)
        with _events() as events:
            answer, guarded_ms = _timed(guarded, prompt.text)
        outcomes.append(
            Outcome(
                prompt=prompt.text,
                kind=prompt.kind,
                unguarded=unguarded,
                guarded=answer,
                unguarded_harmed=prompt.succeeded(unguarded),
                guarded_harmed=prompt.succeeded(answer),
                rules=tuple(dict.fromkeys(rule for event in events for rule in event.rules)),
                unguarded_ms=unguarded_ms,
                guarded_ms=guarded_ms,
            )
        )
        progress()
    return tuple(outcomes)


def _timed(ask: Callable[[str], str], text: str) -> tuple[str, float]:
    """The answer, or who refused it, and the milliseconds it took."""
    begun = time.perf_counter()
    try:
        answer = ask(text)
    except GuardBlocked as blocked:
        answer = f"[{blocked}]"
    return answer, (time.perf_counter() - begun) * 1e3


@contextmanager
def _events() -> Iterator[list[GuardEvent]]:
    """Collects what the guards and the key ring tell meanwhile."""
    events: list[GuardEvent] = []
    add_observer(events.append)
    try:
        yield events
    finally:
        remove_observer(events.append)


def _told(event: GuardEvent) -> str:
    did = event.kind.removeprefix("key-")
    return f"{event.key} {did}" + (f" for {event.duration:.0f} s" if event.duration else "")


def _telling(lines: list[str]) -> tuple[str, ...]:
    """One line of each kind: what a guard did, and what a model did."""
    kinds = ('"kind": "scanned"', '"operation": "chat"')
    return tuple(line for kind in kinds for line in [each for each in lines if kind in each][-1:])


@contextmanager
def _log_lines() -> Iterator[list[str]]:
    """Collects the lines that the package logs meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign] # the stdlib's hook
    logger = logging.getLogger("guard_integrations")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def _rotation() -> Iterator[RingStep]:
    """Three keys: one is revoked, one is throttled, and the caller never notices."""
    with MistralServer(keep_alive=False) as server:
        secrets = [server.key, server.keys.add(), server.keys.add()]
        ring = KeyRing(secrets, max_wait=5.0)
        llm = GuardedChatMistralAI(model_name=MODEL, keys=ring, base_url=server.base_url, moderation="off")

        def step(what: str) -> RingStep:
            with _events() as events:
                answer = "ok" if llm.invoke("What time is it?").content else "empty"
            return RingStep(
                what=what,
                answer=answer,
                key=next(key.label for key in ring.status() if key.current),
                events=tuple(_told(event) for event in events if event.key),
            )

        yield step("three keys, all valid")
        server.keys.revoke(secrets[0])
        yield step("the key in use is revoked")
        server.keys.limit(secrets[1], requests=0, per=2.0)
        yield step("the next one is throttled")


def _embedding(key: str, url: str) -> MistralAIEmbedding:
    """Mistral's embeddings at an address: the class itself takes none."""
    embedding = MistralAIEmbedding(api_key=key)
    embedding._client = Mistral(api_key=key, server_url=url)  # noqa: SLF001 - there is no other way in
    return embedding
