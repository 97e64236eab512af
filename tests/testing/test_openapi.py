"""What the clients send and what the server answers, against Mistral's own OpenAPI specification."""

import json

import httpx
import pytest
from jsonschema import Draft202012Validator
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_mistralai import ChatMistralAI
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.mistralai import MistralAI
from mistralai.client import Mistral
from pydantic import BaseModel
from shared_data import shared_data

from guard_integrations.testing import Fault

MODEL = "mistral-small-latest"
SHAPES = {
    "/v1/chat/completions": ("ChatCompletionRequest", "ChatCompletionResponse"),
    "/v1/fim/completions": ("FIMCompletionRequest", "FIMCompletionResponse"),
    "/v1/moderations": ("ClassificationRequest", "ModerationResponse"),
    "/v1/chat/moderations": ("ChatModerationRequest", "ModerationResponse"),
    "/v1/embeddings": ("EmbeddingRequest", "EmbeddingResponse"),
    "/v1/models": (None, "ModelList"),
}
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "say exactly: hello to all"}]}


class Place(BaseModel):
    """A place."""

    name: str
    people: int


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


def call_langchain(server):
    llm = ChatMistralAI(base_url=server.base_url, api_key=server.key, model=MODEL, max_tokens=50, stop=["zzz"])
    call = {"name": "look_up", "args": {"word": "x"}, "id": "abc123DEF", "type": "tool_call"}
    conversation = [
        SystemMessage("Be brief."),
        HumanMessage([{"type": "text", "text": "Use look_up"}]),
        AIMessage("", tool_calls=[call]),
        ToolMessage("found", tool_call_id="abc123DEF", name="look_up"),
    ]
    llm.bind_tools([look_up], tool_choice="any").invoke(conversation)
    list(llm.bind_tools([look_up]).stream("Use look_up for cats"))
    for method in ("function_calling", "json_mode", "json_schema"):
        form = json.dumps(Place.model_json_schema())
        llm.with_structured_output(Place, method=method).invoke(f"Lyon has 500000 people. JSON like this: {form}")
    llm.invoke("Hello", safe_prompt=True, guardrails=[{"moderation_llm_v2": {"action": "block"}}])


def call_sdk(server):
    with Mistral(api_key=server.key, server_url=server.url) as sdk:
        sdk.chat.complete(**HELLO, prompt_mode="reasoning", n=2, guardrails=[{"moderation_llm_v1": {}}])
        with sdk.chat.stream(**HELLO, prompt_mode="reasoning") as events:
            list(events)
        sdk.classifiers.moderate(model="mistral-moderation-2603", inputs=["a", "b"])
        sdk.classifiers.moderate_chat(model="mistral-moderation-2411", inputs=HELLO["messages"])
        sdk.embeddings.create(model="mistral-embed", inputs=["a"], output_dimension=16, output_dtype="int8")
        sdk.models.list()
        sdk.fim.complete(model="codestral-latest", prompt="def f(", suffix="")
        with sdk.fim.stream(model="codestral-latest", prompt="def f(") as events:
            list(events)


def call_llama_index(server):
    llm = MistralAI(endpoint=server.url, api_key=server.key, model=MODEL)
    messages = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Hello?")]
    llm.chat(messages)
    list(llm.stream_chat(messages))
    llm.predict_and_call([FunctionTool.from_defaults(lambda word: word, name="look_up")], "Use look_up for cats")
    llm.as_structured_llm(Place).complete("Lyon has 500000 people")


@pytest.fixture(scope="module")
def errors():
    spec = json.loads(shared_data("mistral-openapi.json").read_text())
    # The specification asks for `data` in chat answers, where it defines no such property; its own SDK knows none either.
    for part in spec["components"]["schemas"]["ChatCompletionResponse"]["allOf"]:
        if "required" in part:
            part["required"].remove("data")

    def errors(name, value):
        schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
        return [error.message for error in Draft202012Validator(schema).iter_errors(value)]

    return errors


def test_the_check_can_fail(errors):
    assert errors("ChatCompletionRequest", {**HELLO, "unknown": 1})
    assert errors("ModerationResponse", {"id": "x", "model": "m", "results": [{"categories": {"pii": "no"}}]})
    assert errors("ChatCompletionResponse", {"id": "x"})


@pytest.mark.parametrize("calls", [call_langchain, call_sdk, call_llama_index])
def test_requests_of_the_clients_and_the_answers_to_them_follow_the_specification(mistral_server, errors, calls):
    calls(mistral_server)
    received = list(mistral_server.requests)
    assert len(received) >= 4
    with httpx.Client(base_url=mistral_server.url, headers={"Authorization": f"Bearer {mistral_server.key}"}) as http:
        for entry in received:
            request, answer = SHAPES[entry.path]
            if request:
                assert errors(request, entry.body) == []
            # The same once more, to see the whole answer.
            again = http.request(entry.method, entry.path, content=entry.content)
            assert again.status_code == 200
            if isinstance(entry.body, dict) and entry.body.get("stream"):
                frames = [line.removeprefix("data: ") for line in again.text.split("\n\n") if line]
                assert frames.pop() == "[DONE]"
                for frame in frames:
                    assert errors("CompletionEvent", {"data": json.loads(frame)}) == []
            else:
                assert errors(answer, again.json()) == []


@pytest.mark.parametrize("path", [path for path, (request, _) in SHAPES.items() if request])
def test_a_validation_error_follows_the_specification(mistral_server, errors, path):
    with httpx.Client(base_url=mistral_server.url, headers={"Authorization": f"Bearer {mistral_server.key}"}) as http:
        for content in (b'{"model": 3, "input": {}, "more": [1]}', b"{", b"[]", b""):
            answer = http.post(path, content=content)
            assert answer.status_code == 422
            assert errors("HTTPValidationError", answer.json()) == []
            assert answer.json()["detail"]
        mistral_server.faults.add(Fault(status=422))
        assert errors("HTTPValidationError", http.post(path, json=HELLO).json()) == []


@pytest.mark.parametrize(
    "schema", ["ChatCompletionRequest", "ClassificationRequest", "EmbeddingRequest", "FIMCompletionRequest"]
)
def test_the_server_forbids_what_the_specification_forbids(mistral_server, errors, schema):
    path = next(path for path, (request, _) in SHAPES.items() if request == schema)
    bodies = [
        {"model": "m", **own, **more}
        for own in ({"messages": HELLO["messages"]}, {"input": "x"}, {"prompt": "x"}, {})
        for more in (
            {},
            {"temperature": 2},
            {"top_p": -1},
            {"n": 0},
            {"max_tokens": -1},
            {"tool_choice": "perhaps"},
            {"tools": [{"type": "function"}]},
            {"response_format": {"type": "xml"}},
            {"guardrails": [{"moderation_llm_v2": {"action": "explode"}}]},
            {"messages": [{"role": "user", "content": "x", "id": "1"}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "id": "1"}]}]},
            {"output_dtype": "float64"},
            {"encoding_format": "base64"},
            {"safe_prompt": True},
            {"prediction": {"type": "content", "content": "x"}},
        )
    ]
    with httpx.Client(base_url=mistral_server.url, headers={"Authorization": f"Bearer {mistral_server.key}"}) as http:
        answers = [(http.post(path, json=body).status_code == 422, bool(errors(schema, body))) for body in bodies]
    assert [refused for refused, _ in answers] == [forbidden for _, forbidden in answers]
    assert (False, False) in answers
    assert (True, True) in answers
