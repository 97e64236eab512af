import json
import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_integrations import Action
from guard_integrations.core import events
from guard_integrations.core.events import EventKind, GuardEvent, add_observer, emit, remove_observer

CANARY = "My name is Canary Bird"
WORDS = {
    "stage",
    "categories",
    "key",
    "error",
    "policy",
    "rules",
    "kind",
    "action",
    "at",
    "duration",
    "retries",
    "status",
}


@given(st.sampled_from(sorted(WORDS)), st.text(min_size=1).map(lambda text: f"{CANARY} {text}"))
def test_no_field_takes_free_text(name, text):
    for value in (text, (text,), {text: 1}):
        with pytest.raises(ValueError, match=f"GuardEvent.{name}") as caught:
            GuardEvent(**{"kind": EventKind.SCANNED, name: value})
        assert CANARY not in str(caught.value)


def test_an_event_is_one_json_line(caplog):
    event = GuardEvent(
        kind=EventKind.BLOCKED,
        at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        stage="input",
        rules={"ignore-previous": 2},
        categories=("injection",),
        action=Action.BLOCK,
        duration=0.5,
        policy="0123456789abcdef",
    )
    with caplog.at_level(logging.INFO, logger="guard_integrations"):
        emit(event)
        assert events.LOG.flush()
    assert json.loads(caplog.records[0].getMessage()) == {
        "kind": "blocked",
        "at": "2026-01-02T03:04:05.000+00:00",
        "stage": "input",
        "rules": {"ignore-previous": 2},
        "categories": ["injection"],
        "action": "block",
        "retries": 0,
        "duration": 0.5,
        "policy": "0123456789abcdef",
    }


def test_importing_attaches_no_handler():
    assert logging.getLogger("guard_integrations").handlers == []


def test_an_observer_that_fails_takes_nothing_down():
    heard = []

    def broken(event):
        raise RuntimeError(event.kind)

    lost = events.dropped()
    add_observer(broken)
    add_observer(heard.append)
    try:
        emit(GuardEvent(kind=EventKind.SCANNED))
    finally:
        remove_observer(broken)
        remove_observer(heard.append)
    assert len(heard) == 1
    assert events.dropped() == lost + 1


def test_an_event_never_changes():
    event = GuardEvent(kind=EventKind.SCANNED, rules={"email": 1})
    with pytest.raises(AttributeError):
        event.key = "key-2"
    with pytest.raises(TypeError):
        event.rules["email"] = 2
