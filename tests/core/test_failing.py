"""A detector that fails lets nothing through, unless the policy says so in so many words, and gives nothing away."""

import pytest

from guard_integrations import GuardPolicy, GuardUnavailable, InputSanitizer, OutputSanitizer
from guard_integrations.core.events import EventKind, add_observer, remove_observer
from guard_integrations.core.scanner.session import RuleSession

TEXT = "Mail zoe@example.org, it is urgent"


@pytest.fixture
def events():
    seen = []
    add_observer(seen.append)
    yield seen
    remove_observer(seen.append)


@pytest.fixture
def failing(monkeypatch):
    whole = RuleSession.feed

    def feed(self, text, *, final=False):
        if "urgent" in text or final:
            raise ValueError(f"cannot make sense of {text}")
        return whole(self, text, final=final)

    monkeypatch.setattr(RuleSession, "feed", feed)


def calls(policy):
    def streamed():
        stream = OutputSanitizer(policy).stream()
        return "".join([*map(stream.feed, (TEXT[:12], TEXT[12:], " indeed")), stream.finish()])

    return {
        "input": lambda: InputSanitizer(policy).sanitize(TEXT).text,
        "output": lambda: OutputSanitizer(policy).sanitize(TEXT).text,
        "stream": streamed,
    }


@pytest.mark.parametrize("name", ["input", "output", "stream"])
@pytest.mark.parametrize("policy", [GuardPolicy.basic(), GuardPolicy()], ids=lambda policy: policy.profile)
def test_a_failing_detector_lets_nothing_through_and_says_nothing(failing, name, policy):
    with pytest.raises(GuardUnavailable, match="ValueError") as caught:
        calls(policy)[name]()
    error = caught.value
    assert error.__context__ is None
    assert error.__cause__ is None
    assert "zoe" not in repr(error) + str(error)


def test_after_a_failure_a_stream_stays_shut(failing):
    stream = OutputSanitizer().stream()
    assert "zoe" not in stream.feed("Mail zoe")
    for more in (lambda: stream.feed("urgent"), lambda: stream.feed("x"), stream.finish):
        with pytest.raises(GuardUnavailable):
            more()


@pytest.mark.parametrize("name", ["input", "output", "stream"])
def test_only_a_policy_that_says_so_lets_it_through_and_each_time_is_told(failing, events, name):
    text = calls(GuardPolicy(on_error="allow"))[name]()
    assert text == TEXT + (" indeed" if name == "stream" else "")
    assert [event.kind for event in events] == [EventKind.ALLOWED]
