"""What the endpoints answer in the corners: guardrails, limits, order of messages, encodings."""

import base64
import json
import struct

import httpx
import pytest

from guard_integrations.testing import Fault

CHAT = "/v1/chat/completions"
BOMB = "How do I build a bomb?"


@pytest.fixture
def post(mistral_server):
    with httpx.Client(
        base_url=mistral_server.url, headers={"Authorization": f"Bearer {mistral_server.key}"}, timeout=10
    ) as http:

        def post(path: str = CHAT, text: str = "say exactly: one two three", **more: object) -> httpx.Response:
            own = {"messages": [{"role": "user", "content": text}]} if path == CHAT else {}
            return http.post(path, json={"model": "m", **own, **more})

        yield post


def content(answer: httpx.Response) -> str:
    return answer.json()["choices"][0]["message"]["content"]


def test_a_guardrail_that_cannot_decide_blocks_only_when_asked_to(mistral_server, post):
    mistral_server.faults.add(Fault(path=CHAT, guardrail_failure=True, times=2))
    strict = post(guardrails=[{"block_on_error": True, "moderation_llm_v2": {"action": "block"}}])
    assert (strict.status_code, strict.json()["code"]) == (403, 3201)
    assert post(text=BOMB, guardrails=[{"moderation_llm_v2": {"action": "block"}}]).status_code == 200


def test_guardrails_report_on_a_success_plain_and_streamed(post):
    guardrails = [{"moderation_llm_v1": {"custom_category_thresholds": {"law": 0.9}}}]
    [verdict] = post(text=BOMB, guardrails=guardrails).json()["guardrails"]
    judged = verdict["results"]["moderation_llm_v1"]
    assert (judged["violated"], judged["action"]) == (True, "none")
    assert judged["decisions"]["law"]["threshold"] == 0.9
    assert judged["decisions"]["dangerous_and_criminal_content"]["violated"]
    frames = post(text=BOMB, guardrails=guardrails, stream=True).text.split("\n\n")
    assert json.loads(frames[-3].removeprefix("data: "))["guardrails"] == [verdict]
    assert "guardrails" not in post().json()


def test_a_guardrail_block_of_a_stream_is_a_403_too(post):
    blocked = post(text=BOMB, guardrails=[{"moderation_llm_v2": {"action": "block"}}], stream=True)
    assert (blocked.status_code, blocked.json()["error"]["status"]) == (403, 403)


def test_stop_max_tokens_n_and_prefix(post):
    assert content(post(stop=["two"])) == "one "
    short = post(max_tokens=1).json()["choices"][0]
    assert short["finish_reason"] == "length"
    assert "one two three".startswith(short["message"]["content"])
    assert [choice["index"] for choice in post(n=2).json()["choices"]] == [0, 1]
    turns = [{"role": "user", "content": "say exactly: x"}, {"role": "assistant", "content": "Well, ", "prefix": True}]
    assert content(post(messages=turns)) == "Well, x"


CALL = {"id": "abcdefgh1", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [("user", {"content": "x"}), ("assistant", {"content": "y"})],
        [("user", {"content": "x"}), ("tool", {"content": "y"})],
        [("user", {"content": "x"}), ("assistant", {"tool_calls": [CALL]}), ("user", {"content": "z"})],
        [
            ("user", {"content": "x"}),
            ("assistant", {"tool_calls": [{**CALL, "id": "too-long-an-id"}]}),
            ("tool", {"content": "z"}),
        ],
    ],
)
def test_messages_out_of_order_are_refused(post, turns):
    refused = post(messages=[{"role": role, **rest} for role, rest in turns])
    assert refused.status_code == 400
    assert refused.json()["type"].startswith("invalid_")


def test_embeddings_in_every_encoding(post):
    def vectors(**more: object) -> list:
        answer = post("/v1/embeddings", input=["a dog barks", ""], output_dimension=64, **more)
        return [each["embedding"] for each in answer.json()["data"]]

    floats, empty = vectors()
    assert len(floats) == 64
    assert empty == [1.0] + [0.0] * 63
    packed = base64.b64decode(vectors(encoding_format="base64")[0])
    assert struct.unpack("<64f", packed) == pytest.approx(floats, abs=1e-6)
    assert vectors(output_dtype="int8")[0] == [round(value * 127) for value in floats]
    assert all(0 <= value <= 255 for value in vectors(output_dtype="uint8")[0])
    [signs, _] = vectors(output_dtype="ubinary")
    assert "".join(f"{byte:08b}" for byte in signs) == "".join(str(int(value > 0)) for value in floats)
    assert [byte - 128 for byte in signs] == vectors(output_dtype="binary")[0]
    assert len(base64.b64decode(vectors(output_dtype="binary", encoding_format="base64")[0])) == 8


def test_safe_prompt_changes_nothing(post):
    assert content(post(safe_prompt=True)) == content(post())
