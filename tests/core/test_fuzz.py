"""A short run of the fuzzer always, a long one in `make check`; `make fuzz` runs it for as long as you like."""

import os
import time

import pytest
from fuzz.fuzz_stream import run, too_many

from guard_integrations import OutputSanitizer


def test_a_short_run_of_the_fuzzer():
    assert run(seed=1, number=600) == ([], [])


@pytest.mark.slow
def test_a_minute_of_the_fuzzer():
    # As hypothesis does, CI repeats the same cases; elsewhere each run looks at others.
    seed = 0 if os.environ.get("CI") else int.from_bytes(os.urandom(3))
    end = time.monotonic() + 60
    number = 0
    unsettled: list[str] = []
    while time.monotonic() < end:
        differences, again = run(seed, 1000)
        assert differences == []
        unsettled += again
        number += 1000
        seed += 1
    assert not too_many(len(unsettled), number), unsettled


def test_the_fuzzer_sees_a_stream_that_holds_nothing_back(monkeypatch):
    monkeypatch.setattr("guard_integrations.core.scanner.engine.RuleSet.hold", lambda _, data, __: len(data))
    differences, _ = run(seed=1, number=100)
    assert differences


def test_what_is_replaced_ends_the_number_that_ran_into_it():
    """`99A9…` is a driving licence, and what it is taken out of was a telephone number all along."""
    sanitizer = OutputSanitizer()
    once = sanitizer.sanitize("Call +33 6 12 34 56 78 99A994083329I9DB now").text
    assert once == "Call [PHONE] [DRIVING_LICENCE] now"
    assert sanitizer.sanitize("is it 7c::X-2482300W?").text == "is it [IP][NATIONAL_ID]?"


def test_a_word_of_context_counts_however_many_labels_stand_after_it():
    password = "aFesybUnmdJjk2" + "RDCVAb"
    text = f"kod pocztowy: 乌Q87 5GRV/W@k9.N😀redis://:{password}@cache:6379/0-ŷ89463265059F-8m__rs5_1-X_h09_漢"
    sanitizer = OutputSanitizer()
    batch = sanitizer.sanitize(text)
    stream = sanitizer.stream()
    joined = "".join([*map(stream.feed, text), stream.finish()])
    assert [finding.rule for finding in batch.findings] == ["postal-code", "url-credentials", "postal-code"]
    assert (joined, stream.findings) == (batch.text, batch.findings)


def test_a_label_is_joined_to_a_number_that_it_would_end_though_others_match_with_any_joint():
    text = "x GB29 NWBK 6016 1331 9268 19" + "https://hooks.slack.com/services/" + "T00000000/B00000000/" + "a1B2" * 6
    once = OutputSanitizer().sanitize(text).text
    assert once.endswith("19_[API_KEY]")
    assert OutputSanitizer().sanitize(once).text == once
