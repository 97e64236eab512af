"""A short run of the fuzzer always, a long one in `make check`; `make fuzz` runs it for as long as you like."""

import os
import time

import pytest
from fuzz.fuzz_stream import run


def test_a_short_run_of_the_fuzzer():
    assert run(seed=1, number=600) == []


@pytest.mark.slow
def test_a_minute_of_the_fuzzer():
    seed = int.from_bytes(os.urandom(3))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert run(seed, 1000) == []
        seed += 1


def test_the_fuzzer_sees_a_stream_that_holds_nothing_back(monkeypatch):
    monkeypatch.setattr("guard_integrations.core.scanner.engine.RuleSet.hold", lambda _, data, __: len(data))
    assert run(seed=1, number=100)
