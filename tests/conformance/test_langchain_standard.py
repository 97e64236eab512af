"""LangChain's own standard tests, for the guarded model with its guards on. Expected failures name the upstream bug."""

import langchain_mistralai_sdist as sdist
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_mistralai import ChatMistralAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from guard_integrations.langchain import GuardedChatMistralAI


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return GuardedChatMistralAI

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {"model": "mistral-large-latest", "api_key": "k" * 32}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, object], dict[str, object]]:
        return {"MISTRAL_API_KEY": "k" * 32}, {"model": "mistral-large-latest"}, {"mistral_api_key": "k" * 32}


@pytest.fixture
def environment(mistral_server, monkeypatch):
    monkeypatch.setenv("MISTRAL_API_KEY", mistral_server.key)
    monkeypatch.setenv("MISTRAL_BASE_URL", mistral_server.base_url)


@pytest.mark.usefixtures("environment")
class TestIntegration(ChatModelIntegrationTests):
    """Against the local server, with input and output moderated."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return GuardedChatMistralAI

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {"model": "mistral-large-latest", "temperature": 0}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "mistral-small-latest"

    @pytest.mark.xfail(
        raises=AssertionError,
        reason="langchain-mistralai reports the model it was made with, not the one that was asked for",
    )
    def test_invoke_with_model_override(self, model: BaseChatModel) -> None:
        super().test_invoke_with_model_override(model)

    @pytest.mark.xfail(
        raises=AssertionError,
        reason="langchain-mistralai reports the model it was made with, not the one that was asked for",
    )
    async def test_ainvoke_with_model_override(self, model: BaseChatModel) -> None:
        await super().test_ainvoke_with_model_override(model)


@pytest.mark.usefixtures("environment")
def test_the_upstream_bug_behind_the_expected_failures_is_still_there():
    """`ChatMistralAI` itself fails as its subclass does; when this fails, the two expected failures above can go."""
    said = ChatMistralAI(model="mistral-large-latest").invoke("Hello", model="mistral-small-latest")
    assert said.response_metadata["model_name"] == "mistral-large-latest"


@pytest.mark.slow
def test_the_tests_of_langchain_mistralai_pass_with_the_guarded_model(capfd):
    """83 of 1.1.6 pass with a trivial subclass (one skips, one asks the network), and with ours all but `test_serdes`."""
    code = sdist.main()
    said = capfd.readouterr().out.strip().splitlines()[-5:]
    if code == 2:
        pytest.skip(said[-1])
    assert code == 0, said
