"""A record holds metadata and nothing else."""

import dataclasses
import json
import logging
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.core.events import LOG
from guard_integrations.core.findings import Action
from guard_integrations.core.forms import model_name
from guard_integrations.core.records import (
    FinishReason,
    Framework,
    Operation,
    RequestRecord,
    log_record,
)

FIELDS = [each.name for each in dataclasses.fields(RequestRecord)]


def record(**fields):
    return RequestRecord(**{"framework": Framework.LANGCHAIN, "operation": Operation.CHAT, **fields})


@given(st.text(min_size=1).filter(lambda text: not text.isascii() or " " in text or text.isupper()))
@pytest.mark.parametrize("name", FIELDS)
def test_free_text_gets_into_no_field(name, text):
    for value in (text, (text,), {text: 1}, {text: {Action.FILTER: 1}}, {"email": {text: 1}}, {"email": text}, [text]):
        # A class name is the one thing that may be in capitals; it may have no spaces and nothing foreign in it.
        if name == "error" and value == text and text.isascii() and text.isidentifier():
            continue
        with pytest.raises(ValueError, match=f"RequestRecord.{name} ") as caught:
            record(**{name: value})
        assert len(text) < 3 or text not in str(caught.value)


def test_what_a_record_says_is_json():
    run, parent = uuid4(), uuid4()
    full = record(
        run=run,
        parent=parent,
        at=datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
        model="mistral-small-2603",
        input_chars=12,
        streamed=True,
        first_token=0.125,
        finish_reason=FinishReason.of("stop"),
        findings={"email": {Action.FILTER: 2}},
        moderation=("sexual",),
        policy="0123456789abcdef",
    )
    said = json.loads(json.dumps(full.as_dict()))
    assert said["at"] == "2026-01-02T03:04:05.678+00:00"
    assert said["run"] == str(run)
    assert said["findings"] == {"email": {"filter": 2}}
    assert said["finish_reason"] == "stop"
    assert "key" not in said


def test_a_finish_reason_nobody_knows_is_other():
    assert FinishReason.of("because of jane.doe@example.com") is FinishReason.OTHER
    assert FinishReason.of(None) is None


def test_only_a_model_name_is_a_model_name():
    assert model_name("mistral-small-latest") == "mistral-small-latest"
    assert model_name("ft:open-mistral-7b:abc:20240101:x") == "ft:open-mistral-7b:abc:20240101:x"
    assert model_name("tell me about jane doe") == "other"
    assert model_name("a1" * 16) == "other"  # as long as an API key
    assert model_name("/home/jane/model.gguf") == "other"
    assert model_name(None) is None


def test_a_record_is_one_line_of_the_log(caplog):
    with caplog.at_level(logging.INFO, logger="guard_integrations"):
        log_record(record(input_tokens=3))
        assert LOG.flush()
    assert json.loads(caplog.messages[0])["input_tokens"] == 3
