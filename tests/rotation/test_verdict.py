import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.core.rotation.keys import parse_keys
from guard_integrations.core.rotation.verdict import Verdict, judge, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.ACCEPTED),
        (302, Verdict.UNKNOWN),
        (400, Verdict.ACCEPTED),
        (401, Verdict.UNAUTHORISED),
        (403, Verdict.FORBIDDEN),
        (404, Verdict.ACCEPTED),
        (422, Verdict.ACCEPTED),
        (429, Verdict.THROTTLED),
        (500, Verdict.SERVER_ERROR),
        (501, Verdict.UNKNOWN),
        (503, Verdict.SERVER_ERROR),
    ],
)
def test_a_status_says_what_it_says_about_the_key(status, verdict):
    assert judge(status) is verdict


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Content blocked by guardrail", "status": 403}},
        {"guardrails": {"results": {}}},
        {"guardrails": []},
        {"code": 3201},
        {"error": {"code": "3201"}},
        {"message": "Guardrail failed"},
    ],
)
def test_a_guardrails_403_is_told_from_a_permission(body):
    assert judge(403, json.dumps(body).encode()) is Verdict.ACCEPTED


@given(
    st.one_of(
        st.binary(), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda x: json.dumps(x).encode())
    )
)
def test_no_body_upsets_the_judge(body):
    assert judge(403, body) in {Verdict.FORBIDDEN, Verdict.ACCEPTED}


def test_a_body_that_nests_deeply_is_no_guardrail():
    assert judge(403, b"[" * 200_000) is Verdict.FORBIDDEN


@given(st.integers(0, 10**9))
def test_seconds_are_taken_as_they_are(seconds):
    assert retry_after({"retry-after": f" {seconds} "}) == seconds


@given(st.timedeltas(timedelta(days=-5), timedelta(days=5)))
def test_a_date_is_measured_against_the_servers_own_clock(distance):
    headers = {"date": format_datetime(NOW, usegmt=True), "retry-after": format_datetime(NOW + distance, usegmt=True)}
    assert retry_after(headers) == pytest.approx(max(0.0, distance.total_seconds()), abs=1.0)


@given(st.text(alphabet="0123456789+-.einfaNT, :GMSun", max_size=30))
def test_whatever_retry_after_says_it_is_seconds_or_nothing(said):
    found = retry_after({"retry-after": said})
    assert found is None or 0 <= found < float("inf")


def test_without_the_header_there_is_nothing():
    assert retry_after({}) is None


@given(st.lists(st.text(alphabet="abc:, \n#\t", max_size=12)))
def test_parsed_keys_hold_no_separator(parts):
    for key in parse_keys("\n".join(parts)):
        value = key.secret.get_secret_value()
        assert value
        assert value == value.strip()
        assert not set(value) & set(",\n")
