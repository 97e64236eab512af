"""`Moderator`: asks Mistral's classifier about texts and conversations, and fails closed."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal, Self, TypeGuard, TypeVar, cast, overload

from pydantic import SecretStr

from guard_integrations.core.choices import require_choice
from guard_integrations.core.events import EventKind, GuardEvent, emit, observed
from guard_integrations.core.findings import Action
from guard_integrations.core.moderation.cache import MemoryCache, hash_key_bytes
from guard_integrations.core.moderation.decision import Answer, ModerationResult, ModerationRules, Preset, join
from guard_integrations.core.moderation.loop import LoopClosedError, LoopThread
from guard_integrations.core.moderation.models import DEFAULT_MODEL, api_base_url, piece_limit, warn_of_alias
from guard_integrations.core.moderation.outcome import Outcomes, conclude
from guard_integrations.core.moderation.pending import asettle, closed, settle
from guard_integrations.core.moderation.plan import Case, Message, Planner, Unit
from guard_integrations.core.moderation.shared_cache import shared_cache_at
from guard_integrations.core.moderation.wire import Question, Wire, WireSettings
from guard_integrations.core.rotation.keys import Unpicklable
from guard_integrations.core.rotation.ring import KeyRing
from guard_integrations.core.runs import current, outside
from guard_integrations.errors import GuardError, PolicyError

if TYPE_CHECKING:
    import httpx

__all__ = ["DEFAULT_MODEL", "Message", "Moderator"]

LOGGER = logging.getLogger("guard_integrations.moderation")

_T = TypeVar("_T")


class Moderator(Unpicklable):
    """Judges texts and conversations with Mistral's moderation model. Safe for threads, forks and any event loop.

    Long texts are split on sentence borders and judged in parallel; the worst piece decides. Answers are remembered
    by keyed hash. Requests leave from one connection pool in a background thread; 429 and 5xx are tried again with
    the key ring's patience, and after five failures in a row the classifier is left alone for 30 seconds.
    Close it, or use it as a context manager, when you are done with it.

    Args:
        keys: a key ring to share, or the keys for one; without any, those of the environment.
        model: the classifier; an alias such as `mistral-moderation-latest` warns once.
        preset: "harm-only" leaves out `health, financial, law, pii`; "all" judges every category.
        thresholds: by category, the raw score, 0 to 1, from which on it counts. Without one the API's verdict holds.
        ignore: categories that never count.
        flag_only: categories that are reported and do not block.
        unknown: what a category in neither known taxonomy does when the classifier sets it.
        unchecked: whether images and other media, which the classifier cannot read, pass with a finding or block.
        on_error: "block" raises when a text could not be judged; "allow" lets it pass, and logs that each time.
        base_url: as `ChatMistralAI` takes it, with or without `/v1`; else MISTRAL_BASE_URL, else Mistral's own.
        timeout: seconds until an answer must be there, retries included.
        max_concurrency: requests at once.
        cache_size: answers to remember; 0 for none.
        cache_ttl: seconds to remember them.
        hash_key: key of the cache's hashes, else GUARD_INTEGRATIONS_HASH_KEY, else a random one.
        shared_cache: URL of a Redis or Valkey where processes with one `hash_key` share answers: keyed hashes and
            scores, each with a MAC. While it is away each process goes on alone. Needs the extra `redis`.
        transport: an HTTP transport of your own; it is used in the background thread's loop alone.
        clock: seconds, monotonic.

    Raises:
        PolicyError: for settings that contradict themselves or name what does not exist.
        MissingKeyError: when no key is given and the environment has none.
    """

    def __init__(  # noqa: PLR0913 - each one is a setting that the design or the issue names
        self,
        *,
        keys: KeyRing | str | SecretStr | Sequence[str | SecretStr] | None = None,
        model: str = DEFAULT_MODEL,
        preset: Preset = "harm-only",
        thresholds: Mapping[str, float] | None = None,
        ignore: frozenset[str] | set[str] = frozenset(),
        flag_only: frozenset[str] | set[str] = frozenset(),
        unknown: Literal["block", "flag", "ignore"] = "block",
        unchecked: Literal["flag", "block"] = "flag",
        on_error: Literal["block", "allow"] = "block",
        base_url: str | None = None,
        timeout: float = 10.0,
        max_concurrency: int = 16,
        cache_size: int = 4096,
        cache_ttl: float = 300.0,
        hash_key: SecretStr | str | None = None,
        shared_cache: str | None = None,
        transport: "httpx.AsyncBaseTransport | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        require_choice("on_error", on_error, ("block", "allow"))
        require_choice("unchecked", unchecked, ("flag", "block"))
        if timeout <= 0 or max_concurrency < 1 or cache_size < 0 or cache_ttl <= 0:
            raise PolicyError("timeout, max_concurrency and cache_ttl are above zero, cache_size is not below it")
        self.rules = ModerationRules(
            preset=preset,
            thresholds=dict(thresholds or {}),
            ignore=frozenset(ignore),
            flag_only=frozenset(flag_only),
            unknown=unknown,
        )
        self.model = model
        self.on_error = on_error
        self.base_url = api_base_url(base_url)
        self._unchecked = Action(unchecked)
        hashing = hash_key_bytes(hash_key, shared=shared_cache is not None)
        self._planner = Planner(limit=piece_limit(model), hash_key=hashing, scope=f"{self.base_url} {model}")
        self._cache = MemoryCache(size=cache_size, ttl=cache_ttl, clock=clock)
        self._clock = clock
        settings = WireSettings(
            base_url=self.base_url,
            model=model,
            keys=KeyRing.of(keys),
            timeout=timeout,
            max_concurrency=max_concurrency,
            transport=transport,
            shared_cache=shared_cache_at(shared_cache, hash_key=hashing, ttl=cache_ttl, clock=clock),
            clock=clock,
        )
        self._loop = LoopThread("guard-moderation", lambda: Wire(settings), Wire.aclose)
        warn_of_alias(model)

    @overload
    def moderate(self, texts: str) -> ModerationResult: ...
    @overload
    def moderate(self, texts: list[str] | tuple[str, ...]) -> list[ModerationResult]: ...
    def moderate(self, texts: str | list[str] | tuple[str, ...]) -> ModerationResult | list[ModerationResult]:
        """Judges one text, or many at once; the results come in the order of the texts. Empty texts are safe.

        Raises:
            GuardUnavailable: when a text could not be judged, unless `on_error="allow"`.
            KeysExhausted: when no API key could be used, unless `on_error="allow"`.
        """
        if isinstance(texts, str):
            return settle(self.submit(texts))
        return settle(self._submit(map(self._planner.text, texts), list))

    @overload
    async def amoderate(self, texts: str) -> ModerationResult: ...
    @overload
    async def amoderate(self, texts: list[str] | tuple[str, ...]) -> list[ModerationResult]: ...
    async def amoderate(self, texts: str | list[str] | tuple[str, ...]) -> ModerationResult | list[ModerationResult]:
        """`moderate`, awaited."""
        if isinstance(texts, str):
            return await asettle(self.submit(texts))
        return await asettle(self._submit(map(self._planner.text, texts), list))

    @overload
    def moderate_chat(self, messages: Sequence[Message]) -> ModerationResult: ...
    @overload
    def moderate_chat(self, messages: Sequence[Sequence[Message]]) -> list[ModerationResult]: ...
    def moderate_chat(
        self, messages: Sequence[Message] | Sequence[Sequence[Message]]
    ) -> ModerationResult | list[ModerationResult]:
        """Judges the last turn of a conversation, or of many, in the light of the turns before it.

        Text of every kind is read, tool calls and tool results too. Where a conversation is too long, its oldest
        turns are left out.

        Raises:
            GuardUnavailable: when a turn could not be judged, unless `on_error="allow"`.
            KeysExhausted: when no API key could be used, unless `on_error="allow"`.
        """
        if _is_conversation(messages):
            return settle(self.submit_chat(messages))
        return settle(self._submit(map(self._planner.chat, _conversations(messages)), list))

    @overload
    async def amoderate_chat(self, messages: Sequence[Message]) -> ModerationResult: ...
    @overload
    async def amoderate_chat(self, messages: Sequence[Sequence[Message]]) -> list[ModerationResult]: ...
    async def amoderate_chat(
        self, messages: Sequence[Message] | Sequence[Sequence[Message]]
    ) -> ModerationResult | list[ModerationResult]:
        """`moderate_chat`, awaited."""
        if _is_conversation(messages):
            return await asettle(self.submit_chat(messages))
        return await asettle(self._submit(map(self._planner.chat, _conversations(messages)), list))

    def submit(self, text: str) -> "Future[ModerationResult]":
        """Starts `moderate(text)` and returns at once; cancelling what comes back cancels the request."""
        return self._submit((self._planner.text(text),), join)

    def submit_chat(self, messages: Sequence[Message]) -> "Future[ModerationResult]":
        """Starts `moderate_chat(messages)` and returns at once; cancelling what comes back cancels the request."""
        return self._submit((self._planner.chat(messages),), join)

    def submit_all(
        self, texts: Sequence[str], conversations: Sequence[Sequence[Message]]
    ) -> "Future[ModerationResult]":
        """Starts one verdict on several texts and conversations together, and returns at once."""
        return self._submit((*map(self._planner.text, texts), *map(self._planner.chat, conversations)), join)

    def close(self) -> None:
        """Cancels what runs and closes the connections. A closed moderator lets nothing through."""
        self._loop.close()

    async def aclose(self) -> None:
        """`close`, without blocking the event loop."""
        await asyncio.to_thread(self._loop.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Moderator(model={self.model!r}, preset={self.rules.preset!r}, on_error={self.on_error!r})"

    def _submit(self, asked: Iterable[Case], shape: Callable[[list[ModerationResult]], _T]) -> "Future[_T]":
        began = self._clock()
        cases = tuple(asked)
        units = {unit.key: unit for case in cases for unit, _, _ in case.units}
        known = self._cache.get(units)
        missing = [unit for key, unit in units.items() if key not in known]

        async def ask(wire: Wire) -> _T:
            with outside():  # the run's key and status are those of its own request
                outcomes = await self._ask(wire, missing)
            outcomes.answers.update(known)
            return shape(self._conclude(cases, outcomes, began))

        done: Future[_T] = Future()
        failure: GuardError | None = None
        try:
            if missing:
                return self._loop.submit(ask)
            done.set_result(shape(self._conclude(cases, Outcomes(answers=known), began)))
        except LoopClosedError:
            failure = closed()
        except GuardError as error:
            failure = error
        if failure:
            done.set_exception(failure)
        return done

    async def _ask(self, wire: Wire, units: list[Unit]) -> Outcomes:
        shared = wire.shared_cache
        remembered = await shared.get(unit.key for unit in units) if shared else {}
        batches = self._planner.batches([unit for unit in units if unit.key not in remembered])
        answered = await asyncio.gather(*(_one(wire, batch) for batch in batches))
        outcomes = Outcomes()
        for batch, reply in zip(batches, answered, strict=True):
            if isinstance(reply, GuardError):
                outcomes.failures.update({unit.key: reply for unit in batch})
            else:
                outcomes.answers.update({unit.key: answer for unit, answer in zip(batch, reply, strict=True)})
        if shared:
            shared.put(outcomes.answers)
        outcomes.answers.update(remembered)
        self._cache.put(outcomes.answers)
        return outcomes

    def _conclude(self, cases: Sequence[Case], outcomes: Outcomes, began: float) -> list[ModerationResult]:
        results, failure = conclude(cases, outcomes, self.rules, self._unchecked)
        self._report(results, failure, self._clock() - began)
        if failure and self.on_error == "block":
            failure.__cause__ = failure.__context__ = None
            raise failure.with_traceback(None)
        return results

    def _report(self, results: list[ModerationResult], failure: GuardError | None, took: float) -> None:
        if (run := current()) is not None:
            run.moderated(flag for result in results for flag in result.flags)
            run.found(found for result in results for found in result.findings)
        if failure is not None:
            allowed = self.on_error == "allow"
            if allowed:
                LOGGER.warning('let through without a verdict, as on_error="allow" says: %s', failure)
            emit(
                GuardEvent(
                    kind=EventKind.ALLOWED if allowed else EventKind.UNAVAILABLE,
                    error=type(failure).__name__,
                    status=getattr(failure, "status", None),
                    duration=took,
                )
            )
        elif observed():
            flags = sorted({flag for result in results for flag in result.flags})
            safe = all(result.safe for result in results)
            action = Action.BLOCK if not safe else Action.FLAG if flags else None
            emit(GuardEvent(kind=EventKind.MODERATED, categories=tuple(flags), action=action, duration=took))


async def _one(wire: Wire, batch: list[Unit]) -> tuple[Answer, ...] | GuardError:
    try:
        return await wire.ask(Question(path=batch[0].path, inputs=tuple(unit.payload for unit in batch)))
    except GuardError as error:
        return error


def _is_conversation(messages: Sequence[Message] | Sequence[Sequence[Message]]) -> TypeGuard[Sequence[Message]]:
    return bool(messages) and isinstance(messages[0], Mapping)


def _conversations(messages: Sequence[Message] | Sequence[Sequence[Message]]) -> Sequence[Sequence[Message]]:
    return cast("Sequence[Sequence[Message]]", messages)
