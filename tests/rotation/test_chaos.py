"""The chaos run, short here and whole in `make check`; `make chaos` prints its report."""

import chaos
import pytest


def test_a_short_run_shows_no_failure_to_anybody():
    report = chaos.run(requests=600, seed=7)
    assert report["requests"] == 600
    assert report["failures"] == 0, report["wrong"]
    assert report["used_while_cooling"] == 0


@pytest.mark.slow
def test_ten_thousand_requests_show_no_failure_to_anybody():
    report = chaos.run(requests=10_000, seed=11)
    assert report["requests"] == 10_000
    assert report["failures"] == 0, report["wrong"]
    assert report["used_while_cooling"] == 0


@pytest.mark.slow
def test_four_processes_show_none_either_while_their_redis_dies_and_comes_back(redis_server):
    report = chaos.run_processes(redis_server, requests=10_000, seed=13)
    assert report["requests"] == 10_000
    assert report["failures"] == 0, report["wrong"]
    assert report["used_while_cooling"] == 0
    assert report["redis_killed"]
    assert report["redis_back"]
