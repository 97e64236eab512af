import json

from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.core.moderation.content import Turn, last_turn, read_turn, within
from guard_integrations.core.moderation.split import size

WORD = "needle"


def text_of(content, role="user", **more):
    return read_turn({"role": role, "content": content, **more}).text


def test_text_of_every_kind_is_read():
    for block in [
        WORD,
        {"type": "text", "text": WORD},
        {"type": "thinking", "thinking": [{"type": "text", "text": WORD}]},
        {"type": "reasoning", "reasoning": WORD},
        {"type": "refusal", "refusal": WORD},
        {"type": "text-plain", "text": WORD},
        {"type": "tool_use", "id": "1", "name": "search", "input": {"q": [WORD]}},
        {"type": "tool_result", "content": [{"type": "text", "text": WORD}]},
        {"type": "non_standard", "value": {"deep": {"deeper": WORD}}},
        {"type": "something nobody has heard of", "body": WORD},
        {"type": "image_url", "image_url": {"url": "https://host/x.png"}, "alt": WORD},
    ]:
        assert WORD in text_of([block]), block
        assert WORD in text_of([{"type": "text", "text": "before"}, block])


def test_tool_calls_are_read_behind_their_json_escapes():
    escaped = json.dumps({"q": WORD}).replace("needle", "\\u006eeedle")
    assert WORD in text_of("", "assistant", tool_calls=[{"function": {"name": "f", "arguments": escaped}}])
    assert WORD in text_of("", "ai", tool_calls=[{"name": "f", "args": {"q": WORD}, "id": "1"}])
    assert "{not json" in text_of("", "ai", tool_calls=[{"function": {"name": "f", "arguments": "{not json"}}])


def test_media_are_named_and_not_sent():
    turn = read_turn(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": "data:image/png;base64,AAAA"},
                {"type": "input_audio", "input_audio": "AAAA"},
                {"type": "document_url", "document_url": "https://host/x.pdf"},
                {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
            ],
        }
    )
    assert turn.unchecked == ("image", "audio", "file")
    assert turn.text == "look"


def test_roles_of_all_dialects():
    roles = {"human": "user", "ai": "assistant", "developer": "system", "function": "tool", "nobody": "user"}
    assert {role: read_turn({"role": role, "content": "x"}).role for role in roles} == roles


def test_a_nest_as_deep_as_a_sender_likes_is_no_error():
    block = {"type": "text", "text": WORD}
    for _ in range(50_000):
        block = {"type": "x", "content": [block]}
    assert text_of([block]) == WORD


def test_a_turn_shows_no_text():
    assert WORD not in repr(Turn(role="user", text=WORD))


TURNS = st.lists(
    st.builds(
        Turn,
        role=st.sampled_from(["user", "assistant"]),
        text=st.sampled_from(["", "a. " * 20, "b" * 900, "é. " * 900]),
    ),
    min_size=1,
    max_size=6,
)


@given(TURNS)
def test_a_turn_is_judged_whole_within_the_limit(turns):
    limit = 4096
    sent = within(turns[:-1], turns[-1], limit)
    if not turns[-1].text.strip():
        assert sent == ()
        return
    covered = set()
    for messages, start, end in sent:
        assert sum(size(message["content"]) for message in messages) <= limit
        assert messages[-1] == {"role": turns[-1].role, "content": turns[-1].text[start:end]}
        before = [turn.wire() for turn in turns[:-1] if turn.text.strip()]
        assert messages[:-1] == before[len(before) - len(messages) + 1 :]
        covered.update(range(start, end))
    assert covered == set(range(len(turns[-1].text)))


def parts(*said):
    before, turn = last_turn([Turn(role=role, text=text) for role, text in said])
    return [message.text for message in before], [message.text for message in turn]


def test_the_last_turn_is_everything_since_the_assistant_spoke():
    asked = [("system", "s"), ("user", "q")]
    assert parts(*asked) == (["s"], ["q"])
    assert parts(*asked, ("assistant", "a")) == (["s", "q"], ["a"])
    assert parts(*asked, ("assistant", "a"), ("user", "more")) == (["s", "q", "a"], ["more"])
    called = [*asked, ("assistant", "call")]
    assert parts(*called, ("tool", "1"), ("tool", "2")) == (["s", "q", "call"], ["1\n2"])
    assert parts(*called, ("tool", "1"), ("user", "and?")) == (["s", "q", "call"], ["1", "and?"])
    assert parts(("system", "s")) == ([], ["s"])


@given(TURNS)
def test_no_turn_hides_behind_another(turns):
    before, turn = last_turn(turns)
    last_answer = max((i for i, each in enumerate(turns) if each.role == "assistant"), default=-1)
    if turns[-1].role != "assistant":
        assert [each.text for each in before] == [each.text for each in turns[: last_answer + 1]]
    said = "\n".join(each.text for each in turn)
    assert all(each.text in said for each in turns[len(before) :])
