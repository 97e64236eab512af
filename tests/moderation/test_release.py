import asyncio
import threading
import time
from concurrent.futures import Future
from contextvars import ContextVar

import pytest

from guard_integrations.core import events
from guard_integrations.core.moderation import abeside, ahold, arelease, beside, gate_for, hold, release
from guard_integrations.core.moderation.decision import ModerationResult
from guard_integrations.errors import GuardBlocked, GuardUnavailable

SENTENCES = [f"Sentence number {i} is of ordinary length, and says nothing at all. " for i in range(40)]
UNFINISHED = "and this one is "
HARM = "Now selfharm is spoken of. "
MODES = pytest.mark.parametrize("mode", ["window", "buffer", "after"])


class Sync:
    """The sync twins."""

    def __init__(self, moderator):
        self.judge = moderator.submit
        self.closed = threading.Event()
        self.begun = False

    def source(self, items, pause=0.0):
        self.begun = True
        try:
            for item in items:
                if isinstance(item, Exception):
                    raise item
                time.sleep(pause)
                yield item
        finally:
            self.closed.set()

    def release(self, items, mode, pause=0.0):
        return self._collect(release(self.source(items, pause), gate=gate_for(mode, str), judge=self.judge))

    def hold(self, items, verdict):
        return self._collect(hold(self.source(items, 0.001), verdict))

    def beside(self, work, verdict):
        return beside(work, verdict)

    def _collect(self, stream):
        out = []
        try:
            for item in stream:
                out.append(item)  # noqa: PERF402 - what came before an error counts
        except Exception as error:  # noqa: BLE001 - handed to the test
            return out, error
        return out, None


class Async(Sync):
    """The async twins, each in a loop of its own."""

    async def asource(self, items, pause):
        self.begun = True
        try:
            for item in items:
                if isinstance(item, Exception):
                    raise item
                await asyncio.sleep(pause)
                yield item
        finally:
            self.closed.set()

    def release(self, items, mode, pause=0.0):
        def stream():
            return arelease(self.asource(items, pause), gate=gate_for(mode, str), judge=self.judge)

        return asyncio.run(self._acollect(stream))

    def hold(self, items, verdict):
        return asyncio.run(self._acollect(lambda: ahold(self.asource(items, 0.001), verdict)))

    def beside(self, work, verdict):
        async def both():
            return await abeside(asyncio.to_thread(work), verdict)

        return asyncio.run(both())

    async def _acollect(self, stream):
        out = []
        try:
            async for item in stream():
                out.append(item)  # noqa: PERF401 - what came before an error counts
        except Exception as error:  # noqa: BLE001 - handed to the test
            return out, error
        return out, None


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def twin(request, make):
    return request.param(make())


@MODES
def test_a_safe_answer_comes_whole_and_in_order(twin, mode, api):
    api.delay = 0.005
    assert twin.release(SENTENCES, mode, pause=0.0005) == (SENTENCES, None)
    assert twin.closed.wait(5)


def test_a_window_is_read_while_the_answer_is_still_being_written(twin, api):
    seen = []

    def stream():
        for sentence in SENTENCES:
            seen.append(len(api.requests))
            yield sentence

    out, error = twin.release(stream(), "window", pause=0.002)
    assert (out, error) == (SENTENCES, None)
    assert seen[-1] > 0


@MODES
def test_nothing_leaves_after_a_verdict_and_without_the_guard_it_would(twin, mode):
    answer = [*SENTENCES[:20], HARM, *SENTENCES[20:]]
    out, error = twin.release(answer, mode, pause=0.0005)
    assert isinstance(error, GuardBlocked)
    assert (error.stage, error.categories) == ("output", ("selfharm",))
    assert error.__context__ is None
    assert error.__cause__ is None
    assert twin.closed.wait(5)
    if mode == "after":
        assert out == answer
    else:
        assert HARM not in out
        assert out == answer[: len(out)]
    if mode == "buffer":
        assert out == []


@MODES
def test_a_verdict_that_cannot_be_had_releases_nothing_more(twin, mode, api):
    api.reply = lambda _: 1 / 0
    out, error = twin.release(SENTENCES, mode)
    assert isinstance(error, GuardUnavailable)
    assert error.__context__ is None
    assert out == (SENTENCES if mode == "after" else [])


@MODES
def test_a_stream_cut_in_mid_window_is_an_error_without_content(twin, mode):
    told = []
    events.add_observer(told.append)
    try:
        out, error = twin.release([*SENTENCES[:3], UNFINISHED, RuntimeError(UNFINISHED)], mode)
    finally:
        events.remove_observer(told.append)
    assert isinstance(error, GuardUnavailable)
    assert error.__context__ is None
    assert error.__cause__ is None
    assert UNFINISHED not in str(error) + repr(error)
    assert (UNFINISHED in out) is (mode == "after")
    assert mode != "buffer" or out == []
    assert [event.error for event in told if event.kind is events.EventKind.UNAVAILABLE] == ["RuntimeError"]
    assert twin.closed.wait(5)


@MODES
def test_an_error_before_the_first_piece_is_the_models_own(twin, mode):
    out, error = twin.release([LookupError("no such model")], mode)
    assert out == []
    assert type(error) is LookupError


def test_a_reader_that_leaves_closes_the_model(make):
    api_free = Sync(make())
    stream = release(api_free.source(SENTENCES), gate=gate_for("window", str), judge=api_free.judge)
    next(stream)
    stream.close()
    assert api_free.closed.wait(5)


async def test_an_async_reader_that_leaves_closes_the_model(make):
    twin = Async(make())
    stream = arelease(twin.asource(SENTENCES, 0.001), gate=gate_for("window", str), judge=twin.judge)
    await anext(stream)
    await stream.aclose()
    assert twin.closed.wait(5)


LONG = "A sentence that is quite long enough to be a window of its own. " * 4


def test_a_verdict_releases_while_the_model_is_silent(make):
    silent = threading.Event()

    def source():
        yield LONG
        assert silent.wait(5)
        yield "end"

    stream = release(source(), gate=gate_for("window", str), judge=make().submit)
    assert next(stream) == LONG
    assert not silent.is_set()
    silent.set()
    assert list(stream) == ["end"]


async def test_a_verdict_releases_while_an_awaited_model_is_silent(make):
    silent = asyncio.Event()

    async def source():
        yield LONG
        await silent.wait()
        yield "end"

    stream = arelease(source(), gate=gate_for("window", str), judge=make().submit)
    async with asyncio.timeout(5):
        assert await anext(stream) == LONG
    silent.set()
    assert [item async for item in stream] == ["end"]


def test_a_hit_stops_at_once_while_the_model_is_silent(make):
    silent, closed = threading.Event(), threading.Event()

    def source():
        try:
            yield HARM * 20
            silent.wait(60)
            yield "end"
        finally:
            closed.set()

    began = time.monotonic()
    with pytest.raises(GuardBlocked):
        list(release(source(), gate=gate_for("window", str), judge=make().submit))
    assert time.monotonic() - began < 30
    silent.set()
    assert closed.wait(5)


async def test_a_hit_stops_an_awaited_model_at_once(make):
    closed = asyncio.Event()

    async def source():
        try:
            yield HARM * 20
            await asyncio.sleep(60)
        finally:
            closed.set()

    with pytest.raises(GuardBlocked):
        async with asyncio.timeout(5):
            [item async for item in arelease(source(), gate=gate_for("window", str), judge=make().submit)]
    assert closed.is_set()


def test_a_hit_on_the_input_stops_at_once_while_the_model_is_silent():
    silent = threading.Event()

    def source():
        silent.wait(60)
        yield "never"

    with pytest.raises(GuardBlocked):
        list(hold(source(), verdict(safe=False, after=0.01)))
    silent.set()


def test_a_later_hit_does_not_wait_for_an_earlier_verdict(twin):
    came = []

    def judge(text):
        came.append(text)
        return verdict(safe=True, after=60) if len(came) == 1 else verdict(safe=False)

    twin.judge = judge
    began = time.monotonic()
    out, error = twin.release([LONG, LONG, LONG], "window")
    assert isinstance(error, GuardBlocked)
    assert out == []
    assert time.monotonic() - began < 30


def test_a_stream_is_read_in_one_thread_from_its_start_to_its_end(make):
    threads = set()

    def source():
        lock = threading.RLock()
        with lock:
            for sentence in SENTENCES:
                threads.add(threading.get_ident())
                yield sentence

    assert list(release(source(), gate=gate_for("window", str), judge=make().submit)) == SENTENCES
    assert len(threads) == 1


def test_what_the_callers_context_holds_the_model_sees(make):
    name = ContextVar("name", default="nobody")
    name.set("caller")

    def source():
        yield name.get()

    assert list(release(source(), gate=gate_for("window", str), judge=make().submit)) == ["caller"]


def verdict(safe=None, after=0.0, error=None):
    future = Future()

    def come():
        if not future.set_running_or_notify_cancel():
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(ModerationResult(safe=safe))

    timer = threading.Timer(after, come)
    timer.daemon = True
    timer.start()
    return future


def test_an_answer_is_held_until_its_input_was_found_safe(twin):
    assert twin.hold(["a", "b", "c"], verdict(safe=True, after=0.05)) == (["a", "b", "c"], None)
    assert twin.hold(["a", "b", "c"], verdict(safe=True)) == (["a", "b", "c"], None)


@pytest.mark.parametrize("late", [0.0, 0.02])
def test_an_answer_to_an_unsafe_input_never_leaves_and_the_model_is_stopped(twin, late):
    out, error = twin.hold((str(i) for i in range(10_000)), verdict(safe=False, after=late))
    assert out == []
    assert isinstance(error, GuardBlocked)
    assert error.stage == "input"
    # A model that had not begun yet never does.
    assert not twin.begun or twin.closed.wait(5)


def test_an_answer_to_an_input_that_could_not_be_judged_never_leaves(twin):
    out, error = twin.hold((str(i) for i in range(10_000)), verdict(error=GuardUnavailable("moderation", "x")))
    assert out == []
    assert isinstance(error, GuardUnavailable)


def test_a_call_beside_its_moderation(twin):
    assert twin.beside(lambda: "answer", verdict(safe=True, after=0.02)) == "answer"
    assert twin.beside(lambda: time.sleep(0.02) or "answer", verdict(safe=True)) == "answer"
    with pytest.raises(GuardBlocked):
        twin.beside(lambda: "answer", verdict(safe=False, after=0.02))
    with pytest.raises(GuardUnavailable):
        twin.beside(lambda: "answer", verdict(error=GuardUnavailable("moderation", "x")))
    with pytest.raises(LookupError):
        twin.beside(lambda: {}["x"], verdict(safe=True, after=0.05))


async def test_a_hit_cancels_the_awaited_call_at_once(make):
    cancelled = asyncio.Event()

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    with pytest.raises(GuardBlocked):
        await abeside(work(), verdict(safe=False))
    assert cancelled.is_set()
