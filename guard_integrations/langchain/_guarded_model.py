"""A guard around any chat model, for agents that bring their own."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseRunManager, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import BaseTool
from langchain_mistralai import ChatMistralAI
from pydantic import Field, SkipValidation

from guard_integrations.langchain._errors import without_content
from guard_integrations.langchain._flow import Call, counts_of, refusal_alone
from guard_integrations.langchain._guards import Guards
from guard_integrations.langchain._metadata import POLICY_PARAM

__all__ = ["GuardedChatModel"]

_INHERITED = (
    "cache", "callbacks", "custom_get_token_ids", "disable_streaming", "metadata", "name", "output_version",
    "profile", "rate_limiter", "tags", "verbose",
)  # fmt: skip


class GuardedChatModel(BaseChatModel):
    """Asks another chat model, and guards what goes in and what comes out, streamed or not.

    Args:
        model: the model that answers; its cache, rate limiter, callbacks and profile are this one's.
        guards: what guards it.
        answered: the answers that came through.
    """

    model: BaseChatModel = Field(exclude=True, repr=False)
    guards: SkipValidation[Guards] = Field(exclude=True, repr=False)
    answered: list[BaseMessage] = Field(default_factory=list, exclude=True, repr=False)

    @classmethod
    def around(cls, model: BaseChatModel, guards: Guards, answered: list[BaseMessage] | None = None) -> Self:
        """A guard around `model`; the answers that it gave are put into `answered`."""
        inherited = {name: getattr(model, name) for name in _INHERITED if getattr(model, name, None) is not None}
        made = cls(model=model, guards=guards, **inherited)
        if answered is not None:
            made.answered = answered
        return made

    def gave(self, message: BaseMessage) -> bool:
        """Whether a message is an answer that came through this guard."""
        return any(message is each for each in self.answered)

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools, guarded."""
        bound: Any = self.model.bind_tools(tools, **kwargs)
        if isinstance(bound, RunnableBinding) and isinstance(bound.bound, BaseChatModel):
            return bound.model_copy(update={"bound": self.around(bound.bound, self.guards, self.answered)})
        if isinstance(bound, BaseChatModel):
            return self.around(bound, self.guards, self.answered)
        raise TypeError(
            f"{type(self.model).__name__}.bind_tools gives a {type(bound).__name__}, which cannot be guarded"
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        ask = partial(self.model._generate, stop=stop, **kwargs)  # noqa: SLF001 - below the callbacks, which see clean text only
        return self._call(messages, kwargs, run_manager).answer(ask)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        ask = partial(self.model._agenerate, stop=stop, **kwargs)  # noqa: SLF001 - as above
        return await self._call(messages, kwargs, run_manager).aanswer(ask)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        begin = partial(self.model._stream, stop=stop, **kwargs)  # noqa: SLF001 - as above
        for chunk in self._call(messages, kwargs, run_manager).stream(begin):
            if run_manager:
                run_manager.on_llm_new_token(chunk.message.content, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        begin = partial(self.model._astream, stop=stop, **kwargs)  # noqa: SLF001 - as above
        async for chunk in self._call(messages, kwargs, run_manager).astream(begin):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.message.content, chunk=chunk)
            yield chunk

    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return self._noted(super()._generate_with_cache(*args, **kwargs))

    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return self._noted(await super()._agenerate_with_cache(*args, **kwargs))

    def _noted(self, result: ChatResult) -> ChatResult:
        alone = refusal_alone(result, self.guards.policy.refusal)
        self.answered.extend(generation.message for generation in alone.generations)
        return alone

    def _should_stream(self, *, async_api: bool, **kwargs: Any) -> bool:
        return self._streams(async_api=async_api) and super()._should_stream(async_api=async_api, **kwargs)

    def _should_use_protocol_streaming(self, *, async_api: bool, **kwargs: Any) -> bool:
        return self._streams(async_api=async_api) and super()._should_use_protocol_streaming(
            async_api=async_api, **kwargs
        )

    def _streams(self, *, async_api: bool) -> bool:
        kind = type(self.model)
        return kind._stream is not BaseChatModel._stream or (async_api and kind._astream is not BaseChatModel._astream)  # noqa: SLF001 - how LangChain tells, too

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        return self.model._streaming_disabled(**kwargs)  # noqa: SLF001 - it knows its own settings

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**self.model._identifying_params, POLICY_PARAM: self.guards.fingerprint}  # noqa: SLF001 - part of every cache key

    @property
    def _llm_type(self) -> str:
        return self.model._llm_type  # noqa: SLF001 - it answers for it

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return self.model._get_ls_params(stop=stop, **kwargs)  # noqa: SLF001 - it knows its own name

    def _call(self, messages: list[BaseMessage], kwargs: dict[str, Any], run_manager: BaseRunManager | None) -> Call:
        return Call(
            guards=self.guards,
            messages=messages,
            judge=self._judge,
            as_json=_is_json(kwargs),
            counts=counts_of(run_manager),
            says_when_over=lambda: isinstance(self.model, ChatMistralAI),
        )

    def _judge(self, error: Exception) -> Exception:
        # Another provider's errors stay what they are, so that retries and fallbacks go on working.
        return without_content(error) if isinstance(self.model, ChatMistralAI) else error


def _is_json(kwargs: dict[str, Any]) -> bool:
    wanted = kwargs.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema")
