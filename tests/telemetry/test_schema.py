"""The schema, the documentation and the code say the same of every field."""

import dataclasses
import inspect
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from guard_integrations import RequestRecord
from guard_integrations.core.events import EVENT_FORMS, EventKind, GuardEvent
from guard_integrations.core.findings import Action
from guard_integrations.core.records import RECORD_FORMS, FinishReason, Framework, Operation
from guard_integrations.telemetry.schema import SCHEMA_FILE, line_schema

DOCS = Path(__file__).parents[2] / "docs" / "events.md"
VALIDATOR = Draft202012Validator(line_schema())
KINDS = {RequestRecord: RECORD_FORMS, GuardEvent: EVENT_FORMS}

counts = st.integers(0, 10**12)
rules = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,30}", fullmatch=True)
actions = st.sampled_from(Action)
seconds = st.floats(0, 1e6)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them so
moderation = st.sampled_from(["sexual", "pii", "other"]).map(lambda name: (name,)) | st.just(())
VALUES = {
    "framework": st.sampled_from(Framework), "operation": st.sampled_from(Operation), "at": moments,
    "run": st.uuids(), "parent": st.uuids(), "model": st.sampled_from(["mistral-small-2603", "other"]),
    "model_answered": st.just("ft:open-mistral-7b:abc:20240101:x"),
    **dict.fromkeys(("messages", "input_chars", "output_chars", "input_tokens", "output_tokens", "total_tokens",
                     "chunks", "tool_calls", "retries", "count"), counts),
    "streamed": st.booleans(), "first_token": seconds, "duration": seconds,
    "finish_reason": st.sampled_from(FinishReason), "key": st.integers(0, 999).map("key-{}".format),
    "status": st.integers(100, 599), "error": st.sampled_from(["GuardBlocked", "HTTPStatusError"]),
    "findings": st.dictionaries(rules, st.dictionaries(actions, counts, min_size=1)), "moderation": moderation,
    "guardrails": moderation, "policy": st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    "kind": st.sampled_from(EventKind), "stage": st.sampled_from(["input", "output", "document", "tool"]),
    "rules": st.dictionaries(rules, counts), "categories": st.just(("injection",)), "action": actions,
}  # fmt: skip


def some(kind):
    needed = {name for name in ("framework", "operation", "kind") if name in KINDS[kind]}
    return st.fixed_dictionaries(
        {name: VALUES[name] for name in needed},
        optional={name: VALUES[name] for name in KINDS[kind] if name not in needed},
    ).map(lambda fields: kind(**fields))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_record_is_valid(kind, data):
    made = data.draw(some(kind))
    VALIDATOR.validate(json.loads(json.dumps(made.as_dict())))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, forms in KINDS.items() for name in forms])
@given(text=st.text(min_size=1).map(lambda text: f"It is {text}"))
def test_no_field_of_the_schema_lets_a_sentence_through(kind, name, text):
    line = {"framework": "langchain", "operation": "chat", "at": "2026-01-02T03:04:05.678+00:00"}
    if kind is GuardEvent:
        line = {"kind": "scanned", "at": line["at"]}
    VALIDATOR.validate(line)
    for value in (text, [text], {text: 1}, {"email": {text: 1}}):
        with pytest.raises(ValidationError):
            VALIDATOR.validate({**line, name: value})


def test_a_field_nobody_knows_is_not_valid():
    with pytest.raises(ValidationError):
        VALIDATOR.validate({"kind": "scanned", "at": "2026-01-02T03:04:05.678+00:00", "prompt": "hello"})


def test_the_committed_schema_is_what_the_code_gives():
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == line_schema()


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_form(kind):
    assert [field.name for field in dataclasses.fields(kind)] == sorted(
        KINDS[kind], key=[field.name for field in dataclasses.fields(kind)].index
    )


def documented(kind):
    """The table of the page: field -> what it says and its unit."""
    _, _, section = DOCS.read_text(encoding="utf-8").partition(f"## `{kind.__name__}`")
    table = section.partition("\n## ")[0]
    return {
        name: (text, unit) for name, text, unit in re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", table, re.MULTILINE)
    }


def described(kind):
    """The same from the docstring."""
    arguments = inspect.getdoc(kind).partition("Args:\n")[2].partition("\n\n")[0]
    return {
        name: " ".join(text.split())
        for name, text in re.findall(r"^ {4}(\w+): ((?:.|\n {8})+)", arguments, re.MULTILINE)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_of_every_field_what_the_code_says(kind):
    page = documented(kind)
    assert {name: text for name, (text, _) in page.items()} == described(kind)
    assert {name: unit for name, (_, unit) in page.items()} == {
        name: form.unit or "none" for name, form in KINDS[kind].items()
    }


def test_the_page_names_every_word_of_an_enumeration():
    page = DOCS.read_text(encoding="utf-8")
    for words in (Framework, Operation, FinishReason, EventKind, Action):
        for word in words:
            assert f"`{word}`" in page, word


def test_ids_are_written_as_they_are():
    run = UUID("00000000-0000-4000-8000-000000000001")
    assert GuardEvent(kind=EventKind.SCANNED, run=run).as_dict()["run"] == str(run)
