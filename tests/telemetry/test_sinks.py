"""Sinks: nothing is lost in silence, nothing is held up, nothing is taken down, and the file is its owner's alone."""

import asyncio
import gc
import json
import os
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from guard_integrations import RequestRecord
from guard_integrations.core.events import EventKind, GuardEvent
from guard_integrations.core.records import Framework, Operation
from guard_integrations.langchain import MetadataCallbackHandler
from guard_integrations.telemetry import JsonlSink, QueuedSink


def record(**fields):
    return RequestRecord(framework=Framework.LANGCHAIN, operation=Operation.CHAT, **fields)


def lost_in(items):
    return sum(item.count for item in items if isinstance(item, GuardEvent))


def test_a_slow_sink_holds_nothing_up_and_what_it_loses_is_told():
    gate, got = threading.Event(), []

    def slow(item):
        gate.wait()
        got.append(item)

    sink = QueuedSink(slow, capacity=100)
    for number in range(1000):
        sink(record(input_chars=number))
    assert sink.dropped == 900
    gate.set()
    assert sink.flush()
    sink.close()
    assert len([item for item in got if isinstance(item, RequestRecord)]) == 100
    assert lost_in(got) == 900


@pytest.mark.slow
def test_a_hundred_thousand_records_with_a_slow_sink():
    """None is lost in silence, and memory is bounded by the capacity, not by the work."""
    got = []

    def slow(item):
        time.sleep(0.001)
        got.append(item.count if isinstance(item, GuardEvent) else 1)

    sink = QueuedSink(slow, capacity=5_000)
    for number in range(100_000):
        sink(record(input_chars=number))
    alive = sum(isinstance(each, RequestRecord) for each in gc.get_objects())
    assert alive <= 5_100, "only those that may wait are kept"
    assert sink.close(timeout=60)
    delivered = got.count(1)
    assert delivered + sink.dropped == 100_000
    assert sum(got) == 100_000, "the sink was told of every one that it did not get"
    assert delivered >= 5_000


async def test_a_sink_that_blocks_does_not_block_the_loop():
    release = threading.Event()
    handler = MetadataCallbackHandler(lambda _: release.wait(10))
    began = time.perf_counter()
    for _ in range(50):
        run = uuid4()
        handler.on_chain_start({}, {}, run_id=run)
        handler.on_chain_end({}, run_id=run)
        await asyncio.sleep(0)
    took = time.perf_counter() - began
    release.set()
    assert took < 1
    assert handler.flush()
    assert handler.dropped == 0


def test_a_sink_that_raises_is_counted_and_the_others_go_on():
    got = []

    def broken(item):
        raise OSError(28, "No space left on device")

    with QueuedSink(broken, got.append) as sink:
        for _ in range(3):
            sink(record())
        assert sink.flush()
        assert sink.dropped == 3
    assert len([item for item in got if isinstance(item, RequestRecord)]) == 3
    assert lost_in(got) == 3


def test_what_comes_after_the_end_is_counted():
    sink = QueuedSink([].append)
    assert sink.close()
    assert sink.close()
    sink(record())
    assert sink.dropped == 1


def test_many_threads_lose_nothing():
    got = []
    with QueuedSink(got.append, capacity=100_000) as sink, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: sink(record(input_chars=number)), range(4000)))
    assert sorted(item.input_chars for item in got) == list(range(4000))


def test_flush_gives_up_in_time():
    release = threading.Event()
    sink = QueuedSink(lambda _: release.wait(10))
    sink(record())
    assert not sink.flush(timeout=0.05)
    release.set()
    assert sink.flush()


def test_a_queue_nobody_holds_any_more_ends_and_hands_on_what_it_has():
    got = []
    sink = QueuedSink(got.append)
    sink(record())
    thread = sink._state.thread
    del sink
    thread.join(5)
    assert not thread.is_alive()
    assert len(got) == 1


def test_a_queue_needs_a_sink():
    for make in (QueuedSink, lambda: QueuedSink(print, capacity=0)):
        with pytest.raises(ValueError, match="a queue needs"):
            make()


def run_python(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    return done.stdout + done.stderr


PROGRAM = """
import sys
from guard_integrations import RequestRecord
from guard_integrations.core.records import Framework, Operation
from guard_integrations.telemetry import JsonlSink, QueuedSink
sink = QueuedSink(JsonlSink(sys.argv[1]))
for number in range(500):
    sink(RequestRecord(framework=Framework.LANGCHAIN, operation=Operation.CHAT, input_chars=number))
"""


def test_a_program_that_ends_loses_nothing(tmp_path):
    assert not run_python(PROGRAM, tmp_path / "log.jsonl")
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 500


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_begins_anew(tmp_path):
    code = (
        PROGRAM
        + """
import os
if os.fork() == 0:
    sink(RequestRecord(framework=Framework.LANGCHAIN, operation=Operation.TOOL))
    sink.close()
    os._exit(0)
os.wait()
"""
    )
    assert not run_python(code, tmp_path / "log.jsonl")
    operations = [json.loads(line)["operation"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert sorted(set(operations)) == ["chat", "tool"]
    assert (operations.count("chat"), operations.count("tool")) == (500, 1)


# -- files -----------------------------------------------------------------------------------------------------


def lines_of(folder):
    return [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]


def test_a_file_rotates_and_is_its_owners_alone(tmp_path):
    path = tmp_path / "log.jsonl"
    path.touch(mode=0o644)
    sink = JsonlSink(path, max_bytes=2_000, backups=3)
    for number in range(100):
        sink(record(input_chars=number))
    sink.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log.jsonl", "log.jsonl.1", "log.jsonl.2", "log.jsonl.3"]
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.stat().st_size <= 2_000
    numbers = [line["input_chars"] for line in lines_of(tmp_path)]
    assert numbers, "the newest are kept, whole"
    assert sorted(numbers) == list(range(100 - len(numbers), 100))


def test_several_threads_write_whole_lines(tmp_path):
    sink = JsonlSink(tmp_path / "log.jsonl", max_bytes=20_000, backups=100)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: sink(record(input_chars=number)), range(2000)))
    sink.close()
    assert sorted(line["input_chars"] for line in lines_of(tmp_path)) == list(range(2000))


def test_a_link_in_the_files_place_is_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_text("")
    (tmp_path / "log.jsonl").symlink_to(other)
    with pytest.raises(OSError, match=r"log\.jsonl"):
        JsonlSink(tmp_path / "log.jsonl")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")  # noqa: PTH110 - a device
def test_a_full_disk_is_counted(monkeypatch, capsys, tmp_path):
    sink = JsonlSink(tmp_path / "log.jsonl")
    sink._file.stream.close()
    sink._file.stream = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115, PTH123 - the sink closes it
    with QueuedSink(sink) as queue:
        queue(record())
        assert queue.flush()
        assert queue.dropped == 1
    assert capsys.readouterr().err == ""


def test_a_file_that_cannot_rotate_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs a size"):
        JsonlSink(tmp_path / "log.jsonl", backups=0)


def test_events_are_lines_too(tmp_path):
    sink = JsonlSink(tmp_path / "log.jsonl")
    sink(GuardEvent(kind=EventKind.KEY_ROTATED, key="key-2"))
    sink.close()
    assert lines_of(tmp_path)[0]["key"] == "key-2"
