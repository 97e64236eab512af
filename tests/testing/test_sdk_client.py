"""`mistralai` against the server, unmodified."""

import pytest
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, SDKError

MESSAGES = [{"role": "user", "content": "say exactly: one two three four five six seven"}]
SAID = "one two three four five six seven"


@pytest.fixture
def sdk(mistral_server):
    with Mistral(api_key=mistral_server.key, server_url=mistral_server.url) as sdk:
        yield sdk


def test_chat_plain_and_streamed(sdk):
    assert sdk.chat.complete(model="mistral-small-latest", messages=MESSAGES).choices[0].message.content == SAID
    with sdk.chat.stream(model="mistral-small-latest", messages=MESSAGES) as events:
        chunks = [event.data for event in events]
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == SAID
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens > 0


async def test_chat_async_plain_and_streamed(mistral_server):
    async with Mistral(api_key=mistral_server.key, server_url=mistral_server.url) as sdk:
        answer = await sdk.chat.complete_async(model="mistral-small-latest", messages=MESSAGES)
        assert answer.choices[0].message.content == SAID
        stream = await sdk.chat.stream_async(model="mistral-small-latest", messages=MESSAGES)
        async with stream:
            assert "".join([event.data.choices[0].delta.content async for event in stream]) == SAID


def test_thoughts_come_as_a_part_of_their_own(sdk):
    answer = sdk.chat.complete(model="magistral-medium-latest", messages=MESSAGES, prompt_mode="reasoning")
    thought, text = answer.choices[0].message.content
    assert (thought.type, text.text) == ("thinking", SAID)
    with sdk.chat.stream(model="magistral-medium-latest", messages=MESSAGES, prompt_mode="reasoning") as events:
        parts = [event.data.choices[0].delta.content for event in events]
    assert "".join(part for part in parts if isinstance(part, str)) == SAID
    assert [part[0].type for part in parts if isinstance(part, list)] == ["thinking"]


@pytest.mark.parametrize(
    ("model", "dangerous"),
    [
        ("mistral-moderation-2603", "dangerous"),
        ("mistral-moderation-2411", "dangerous_and_criminal_content"),
        ("mistral-moderation-latest", "dangerous_and_criminal_content"),
    ],
)
def test_moderation_in_both_taxonomies(sdk, model, dangerous):
    answer = sdk.classifiers.moderate(model=model, inputs=["How do I build a bomb?", "Good morning"])
    bad, good = answer.results
    assert [name for name, flagged in bad.categories.items() if flagged] == [dangerous]
    assert not any(good.categories.values())
    assert bad.category_scores[dangerous] > 0.8
    assert ("jailbreaking" in bad.categories) == model.endswith("2603")


def test_chat_moderation_judges_the_last_turn_in_its_context(sdk):
    def flagged(*messages):
        inputs = [{"role": role, "content": text} for role, text in messages]
        [result] = sdk.classifiers.moderate_chat(model="mistral-moderation-2603", inputs=inputs).results
        return {name for name, flag in result.categories.items() if flag}

    bomb = ("user", "How do I build a bomb?")
    assert flagged(bomb) == {"dangerous"}
    assert flagged(bomb, ("assistant", "Do you mean that?"), ("user", "Yes, go on")) == {"dangerous"}
    assert flagged(bomb, ("assistant", "I will not say."), ("user", "Then what is the capital of Italy?")) == set()


def test_embeddings_models_and_fim(sdk):
    one, again = sdk.embeddings.create(model="mistral-embed", inputs=["a cat", "a cat"]).data
    assert one.embedding == again.embedding
    assert len(one.embedding) == 1024
    assert {"mistral-large-latest", "mistral-moderation-2603"} <= {model.id for model in sdk.models.list().data}
    middle = sdk.fim.complete(model="codestral-latest", prompt="def f(x):", suffix="return y")
    assert "def f(x):" in middle.choices[0].message.content
    with sdk.fim.stream(model="codestral-latest", prompt="def f(x):") as events:
        streamed = "".join(event.data.choices[0].delta.content for event in events)
    assert streamed == middle.choices[0].message.content


def test_errors_are_the_sdk_s_own(mistral_server, sdk):
    with pytest.raises(HTTPValidationError):
        sdk.chat.complete(model="m", messages=MESSAGES, presence_penalty=9)
    mistral_server.keys.revoke(mistral_server.key)
    with pytest.raises(SDKError) as caught:
        sdk.chat.complete(model="m", messages=MESSAGES)
    assert caught.value.status_code == 401


GUARDRAIL = {"moderation_llm_v2": {"action": "block"}}
BOMB = [{"role": "user", "content": "How do I build a bomb?"}]


def test_a_guardrail_blocks_reports_or_ignores(sdk):
    with pytest.raises(SDKError) as caught:
        sdk.chat.complete(model="m", messages=BOMB, guardrails=[GUARDRAIL])
    assert caught.value.status_code == 403
    body = caught.value.raw_response.json()
    assert body["error"] == {"message": "Content blocked by guardrail", "status": 403}
    verdict = body["guardrails"]["results"]["moderation_llm_v2"]
    assert (verdict["violated"], verdict["action"]) == (True, "block")
    assert verdict["decisions"]["dangerous"]["violated"]
    only_law = {
        **GUARDRAIL["moderation_llm_v2"],
        "ignore_other_categories": True,
        "custom_category_thresholds": {"law": 0.5},
    }
    for harmless in ({"moderation_llm_v2": {}}, {"moderation_llm_v2": only_law}):
        assert sdk.chat.complete(model="m", messages=BOMB, guardrails=[harmless]).choices
