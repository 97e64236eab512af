import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.core.moderation.guardrail import (
    MistralGuardrail,
    guardrail_refusal,
    guardrails_payload,
    read_guardrails,
)
from guard_integrations.errors import GuardBlocked, GuardUnavailable, PolicyError

SECRET = "a text nobody may see"  # noqa: S105 - not a credential
DECISIONS = {
    "sexual": {"threshold": 0.2, "score": 0.1, "violated": False},
    "criminal": {"threshold": 0.5, "score": 0.8, "violated": True},
}
VERDICT = {
    "name": "moderation_llm_v2",
    "violated": True,
    "action": "block",
    "categories": ["criminal"],
    "scores": {"sexual": 0.1, "criminal": 0.8},
    "thresholds": {"sexual": 0.2, "criminal": 0.5},
}
RESULT = {"decisions": DECISIONS, "violated": True, "action": "block"}


def test_the_defaults_guard_where_the_apis_own_do_not():
    assert guardrails_payload(MistralGuardrail()) == [
        {
            "block_on_error": True,
            "moderation_llm_v2": {
                "action": "block",
                "ignore_other_categories": False,
                "custom_category_thresholds": {"health": 1.0, "financial": 1.0, "law": 1.0, "pii": 1.0},
            },
        }
    ]


def test_thresholds_and_taxonomies():
    (payload,) = guardrails_payload([MistralGuardrail(thresholds={"sexual": 0.3, "pii": 0.5})])
    assert payload["moderation_llm_v2"]["custom_category_thresholds"] | {"x": 1} == {
        "health": 1.0,
        "financial": 1.0,
        "law": 1.0,
        "pii": 0.5,
        "sexual": 0.3,
        "x": 1,
    }
    only = MistralGuardrail(thresholds={"sexual": 0.3}, only_thresholds=True).payload()
    assert only["moderation_llm_v2"]["custom_category_thresholds"] == {"sexual": 0.3}
    everything = MistralGuardrail(preset="all", action="none", block_on_error=False).payload()
    assert everything == {
        "block_on_error": False,
        "moderation_llm_v2": {"action": "none", "ignore_other_categories": False},
    }
    old = MistralGuardrail(taxonomy="2411", thresholds={"dangerous_and_criminal_content": 0.4}).payload()
    assert old["moderation_llm_v1"]["custom_category_thresholds"]["dangerous_and_criminal_content"] == 0.4


@pytest.mark.parametrize(
    "settings",
    [
        {"thresholds": {"dangerous_and_criminal_content": 0.4}},
        {"thresholds": {"jailbreaking": 0.4}, "taxonomy": "2411"},
        {"thresholds": {"sexual": 2}},
        {"only_thresholds": True},
        {"action": "pass"},
        {"preset": "x"},
        {"taxonomy": "v2"},
    ],
)
def test_settings_that_guard_nothing_are_refused(settings):
    with pytest.raises(PolicyError):
        MistralGuardrail(**settings)


def test_no_guardrail_is_said_with_none_alone():
    assert guardrails_payload(None) is None
    with pytest.raises(PolicyError):
        guardrails_payload([])


@pytest.mark.parametrize(
    "body",
    [
        {"guardrails": {"results": {"moderation_llm_v2": RESULT}}},
        {"guardrails": [{"results": {"moderation_llm_v2": RESULT}}]},
        {"guardrails": [{"moderation_llm_v2": RESULT}]},
        {"error": {"guardrails": {"moderation_llm_v2": RESULT}}},
        {
            "guardrails": [
                {
                    "moderation_llm_v2": {
                        "decisions": [{"category": name, **each} for name, each in DECISIONS.items()],
                        "action": "block",
                    }
                }
            ]
        },
    ],
)
def test_the_verdict_is_read_in_every_form_the_documentation_shows(body):
    assert read_guardrails(body) == [VERDICT]
    refusal = guardrail_refusal(403, json.dumps(body).encode())
    assert isinstance(refusal, GuardBlocked)
    assert (refusal.stage, refusal.categories, refusal.scores) == ("input", ("criminal",), {"criminal": 0.8})


def test_what_a_403_means():
    blocked = guardrail_refusal(403, {"error": {"message": "Content blocked by guardrail", "status": 403}})
    assert isinstance(blocked, GuardBlocked)
    failed = guardrail_refusal(403, {"error": {"message": "Guardrail error", "code": 3201}})
    assert isinstance(failed, GuardUnavailable)
    assert failed.status == 403
    assert guardrail_refusal(403, {"message": "Forbidden"}) is None
    assert guardrail_refusal(403, b"not JSON") is None
    assert guardrail_refusal(401, {"error": {"message": "guardrail"}}) is None
    assert guardrail_refusal(403, b"[" * 100_000) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.just(SECRET) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["guardrails", "decisions", "results", "violated", "score", "action", "criminal", SECRET]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_the_server_writes_no_content_gets_through(body):
    assert SECRET not in json.dumps(read_guardrails(body))
    refusal = guardrail_refusal(403, body if isinstance(body, dict) else json.dumps(body))
    assert SECRET not in repr(refusal) + repr(vars(refusal) if refusal else "")
