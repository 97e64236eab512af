"""Every method that the guarded models inherit is known, and why it is no way around the guard.

A new one in LangChain makes a test here fail. Look whether it leads to or from the model without coming through
`_generate`, `_stream` and their twins; guard it if it does; then write it down below.
"""

import pytest
from langchain.agents.middleware.types import AgentMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langchain_mistralai import ChatMistralAI

from guard_integrations.langchain import GuardedChatMistralAI, GuardMiddleware
from guard_integrations.langchain._guarded_model import GuardedChatModel

GUARDED = {
    "_generate", "_agenerate", "_stream", "_astream", "_convert_input", "generate", "agenerate", "_combine_llm_outputs",
    "_generate_with_cache", "_agenerate_with_cache", "astream_events", "astream_log", "configurable_fields",
    "is_lc_serializable", "validate_environment",
}  # fmt: skip
KNOWN = {
    # Through `generate`, `_generate_with_cache`, `_generate` or `_stream`.
    "invoke", "ainvoke", "stream", "astream", "batch", "abatch", "batch_as_completed", "abatch_as_completed",
    "transform", "atransform", "generate_prompt", "agenerate_prompt", "stream_events", "_call_async",
    "_astream_events_v1_v2", "_astream_events_v3_unsupported", "_chat_model_stream_v3", "_achat_model_stream_v3",
    "_iter_v2_events", "_aiter_v2_events", "_replay_v2_events_for_cache_hit", "_areplay_v2_events_for_cache_hit",
    "_batch_with_config", "_abatch_with_config", "_call_with_config", "_acall_with_config",
    "_transform_stream_with_config", "_atransform_stream_with_config",
    # Below the guard: they carry what `_generate` and `_stream` send and get.
    "completion_with_retry", "_create_chat_result", "_create_message_dicts", "_convert_cached_generations",
    # Above it: they only say whether to stream, or what a trace or a cache key says of the settings.
    "_should_stream", "_streaming_disabled", "_should_use_protocol_streaming", "_get_invocation_params",
    "_get_llm_string", "_get_ls_params", "_get_ls_params_with_defaults", "_dict_for_compat", "asdict", "dict",
    # They make another runnable of the model, and that one comes in as all others do.
    "with_structured_output", "bind_tools", "as_tool", "assign", "bind", "configurable_alternatives", "map", "pick", "pipe",
    "with_alisteners", "with_config", "with_fallbacks", "with_listeners", "with_retry", "with_types",
    # They speak of the model and never ask it.
    "_add_version", "_check_profile_keys", "_resolve_model_profile", "_set_mistralai_version", "_set_model_profile",
    "build_extra", "config_schema", "get_config_jsonschema", "get_graph", "get_input_jsonschema", "get_input_schema",
    "get_lc_namespace", "get_name", "get_num_tokens", "get_num_tokens_from_messages", "get_output_jsonschema",
    "get_output_schema", "get_prompts", "get_token_ids", "lc_id", "model_post_init", "set_verbose", "to_json",
    "to_json_not_implemented",
}  # fmt: skip
HOOKS = {
    "before_agent", "abefore_agent", "before_model", "abefore_model", "wrap_model_call", "awrap_model_call",
    "wrap_tool_call", "awrap_tool_call",
}  # fmt: skip
# An answer is clean when it reaches these, and nothing that they change is shown before the next hook has seen it.
HOOKS_LEFT_ALONE = {"after_model", "aafter_model", "after_agent", "aafter_agent", "name", "state_schema"}


def inherited(kind):
    """What can be called on a class of LangChain's, other than what Python itself calls."""
    return {
        name
        for each in kind.__mro__
        if each.__module__.startswith("lang")
        for name, value in vars(each).items()
        if (not name.startswith("__") or name == "__call__")
        and (callable(value) or isinstance(value, (staticmethod, classmethod)))
    }


def new(kind):
    return inherited(kind) - KNOWN - GUARDED


@pytest.mark.parametrize("parent", [ChatMistralAI, BaseChatModel])
def test_no_method_of_the_parents_leads_around_the_guard(parent):
    assert not new(parent), f"new in the parents of the guarded models, perhaps around the guard: {sorted(new(parent))}"


@pytest.mark.parametrize("place", [ChatMistralAI, BaseChatModel, Runnable])
@pytest.mark.parametrize("name", ["ask", "ainvoke_raw", "_stream_chat_model_events", "__call__", "parse"])
def test_a_method_that_a_parent_gains_is_noticed(place, name, monkeypatch):
    monkeypatch.setattr(place, name, lambda self, text: self.completion_with_retry(text), raising=False)
    assert new(ChatMistralAI) == {name}


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_the_guarded_methods_are_ours(name):
    assert name in vars(GuardedChatMistralAI)


@pytest.mark.parametrize("native", ["_stream_chat_model_events", "_astream_chat_model_events"])
@pytest.mark.parametrize("parent", [ChatMistralAI, GuardedChatModel, BaseChatModel])
def test_the_parent_has_no_native_event_stream_yet(parent, native):
    """LangChain prefers such a method to `_stream`: the day it is there, it must be guarded."""
    assert getattr(parent, native, None) is None


def test_every_hook_of_a_middleware_is_known():
    hooks = {
        name for name in vars(AgentMiddleware) if not name.startswith("_") and callable(getattr(AgentMiddleware, name))
    }
    assert hooks - HOOKS - HOOKS_LEFT_ALONE == set()
    assert set(vars(GuardMiddleware)) >= HOOKS


def test_a_hook_that_middleware_gains_is_noticed(monkeypatch):
    monkeypatch.setattr(AgentMiddleware, "wrap_stream", lambda self, request, handler: handler(request), raising=False)
    with pytest.raises(AssertionError):
        test_every_hook_of_a_middleware_is_known()
