"""A `ChatMistralAI` that guards itself, however it is called."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from threading import Lock
from typing import Annotated, Any, Final, Literal, Self

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseRunManager, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import RunnableSerializable
from langchain_core.runnables.utils import AnyConfigurableField
from langchain_mistralai import ChatMistralAI
from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from guard_integrations.core.moderation.client import Moderator
from guard_integrations.core.moderation.guardrail import MistralGuardrail, guardrails_payload
from guard_integrations.core.moderation.windows import StreamMode
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.rotation.auth import KeyRingAuth
from guard_integrations.core.rotation.ring import KeyRing
from guard_integrations.core.runs import outside
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.markup import Render
from guard_integrations.langchain._clients import async_client, client
from guard_integrations.langchain._errors import judged
from guard_integrations.langchain._flow import Call, counts_of, refusal_alone
from guard_integrations.langchain._guards import Guards, OnBlock
from guard_integrations.langchain._metadata import POLICY_PARAM
from guard_integrations.langchain._over_http import Watch
from guard_integrations.langchain._structure import same

__all__ = ["GuardedChatMistralAI"]


def _as_ring(given: Any) -> Any:
    return KeyRing.of(given) if isinstance(given, (str, SecretStr, list, tuple)) else given


UNTRACED_FIELDS = frozenset({"keys", "system_prompt"})
"""What no tracer may see, however it is set."""
_MAKING: Final = Lock()
"""Of all models: one in a model would have to be left out when it is copied and pickled."""


class GuardedChatMistralAI(ChatMistralAI):
    """`ChatMistralAI` with guards around every way of calling it. All of its own arguments work as they did.

    User messages and tool results are made safe on the way in, answers on the way out: text, thinking, tool-call
    arguments, structured output, whole or streamed, in results, callbacks, events and traces. No answer may repeat
    the system prompt. Input and answers are moderated. Keys rotate in the HTTP client, before the first byte of an
    answer. Errors keep their type and their status, and hold no body, header, key or content.

    Args:
        policy: what to look for and what to do about it.
        keys: a key ring, or keys for one; else `api_key`, else those of the environment.
        moderation: what is moderated.
        moderator: a moderator of your own; else one on the same keys and base URL.
        guardrails: Mistral's own guardrails, which look at the input on the server.
        concurrent: whether the input is moderated beside the generation, and not before it: nothing of the answer is
            shown before the verdict, and a hit cancels the generation. A blocking `invoke` cannot be cancelled: its
            answer is dropped.
        on_block: "raise" raises `GuardBlocked`; "refuse" answers the policy's refusal.
        stream_moderation: "window" releases a stream part by part after each verdict, "buffer" after one verdict on
            the whole, "after" at once, with a verdict when it has been read.
        system_prompt: the instructions that no answer may repeat; else the conversation's system messages, less what
            was spotlighted in them.
        render: where answers will be shown; only in "markdown" do the rules for markup leave code alone.
        vault: the conversation's pseudonyms: personal data becomes tokens on the way in, and values on the way out.
        restore_tools: tools whose arguments may hold the vault's values.

    Raises:
        MissingKeyError: when there is no key and no client of your own.
        GuardBlocked: from a call, when a guard refuses. Leave it out of `.with_retry()`: the same call is refused again.
        GuardUnavailable: from a call, when a guard could not decide.
        KeysExhausted: from a call, when no key can be used in time.

    Example:
        ```python
        from guard_integrations.langchain import GuardedChatMistralAI

        llm = GuardedChatMistralAI(model="mistral-small-latest", on_block="refuse")
        llm.invoke("What is the capital of France?")
        ```
    """

    policy: GuardPolicy = Field(default_factory=GuardPolicy, exclude=True, repr=False)
    keys: Annotated[KeyRing | None, BeforeValidator(_as_ring)] = Field(default=None, exclude=True, repr=False)
    moderation: Literal["both", "input", "output", "off"] = "both"
    moderator: Moderator | None = Field(default=None, exclude=True, repr=False)
    guardrails: MistralGuardrail | tuple[MistralGuardrail, ...] | None = None
    concurrent: bool = False
    on_block: OnBlock = "raise"
    stream_moderation: StreamMode = "window"
    system_prompt: str | None = Field(default=None, exclude=True, repr=False)
    render: Render = "markdown"
    vault: PseudonymVault | None = Field(default=None, exclude=True, repr=False)
    restore_tools: frozenset[str] = frozenset()

    _own_moderator: Moderator | None = PrivateAttr(default=None)
    _guards_made: tuple[tuple[Any, ...], tuple[Guards, str]] | None = PrivateAttr(default=None)

    model_config = ConfigDict(hide_input_in_errors=True)

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Builds the HTTP clients around the key ring, ahead of the parent, which would bake one key into them."""
        ours = [name for name in ("client", "async_client") if self._is_for_another_ring(getattr(self, name))]
        if self.keys is None and (ours or self._needs_moderator):
            given = "mistral_api_key" in self.model_fields_set and self.mistral_api_key
            self.keys = KeyRing([given]) if given else KeyRing.from_env()
        if "client" in ours:
            self.client = client(self.keys, self.timeout)
        if "async_client" in ours:
            self.async_client = async_client(self.keys, self.timeout)
        super().validate_environment()  # type: ignore[operator] # pydantic's decorator hides that it can be called
        for name in ours:
            getattr(self, name).base_url = self.endpoint
        if self._needs_moderator:
            self._own_moderator = Moderator(keys=self.keys, base_url=self.endpoint)
        return self

    def _is_for_another_ring(self, client: httpx.Client | httpx.AsyncClient | None) -> bool:
        """Whether the client must be made: there is none, or it was made for a model that this one's fields came from."""
        if client is None:
            return True
        auth = client.auth
        return isinstance(auth, KeyRingAuth) and self.keys is not None and auth.ring is not self.keys

    # -- where LangChain comes in ------------------------------------------------------------------------------

    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        """Rewrites only, so that traces are clean; `_generate` and `_stream` guard again, and refuse."""
        prompt = super()._convert_input(model_input)
        messages = prompt.to_messages()
        guarded = self._clean(messages)
        unchanged = all(after is before for before, after in zip(messages, guarded, strict=True))
        return prompt if unchanged else ChatPromptValue(messages=guarded)

    def _clean(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        with outside():  # counted in the run that is about to begin
            return self._guards.input.messages(messages).messages

    def astream_events(self, input: LanguageModelInput, *args: Any, **kwargs: Any) -> Any:
        """As the parent's; its first event repeats the input as it was given."""
        return super().astream_events(self._safe_to_trace(input), *args, **kwargs)

    def astream_log(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """As the parent's; it, too, repeats the input."""
        return super().astream_log(self._safe_to_trace(input), *args, **kwargs)

    def configurable_fields(
        self, **kwargs: AnyConfigurableField
    ) -> RunnableSerializable[LanguageModelInput, AIMessage]:
        """As the parent's, with two exceptions for what no tracer may see.

        LangChain hands a text that a config sets to tracers as metadata, unless its id begins with two underscores:
        `keys` and `system_prompt` need such an id. Of the two names for keys only `keys` can be configured.

        Raises:
            ValueError: when one of them has another id.
        """
        if "mistral_api_key" in kwargs:
            raise ValueError('make `keys` configurable, with an id that begins with "__", instead of `mistral_api_key`')
        for name in UNTRACED_FIELDS & kwargs.keys():
            if not kwargs[name].id.startswith("__"):
                raise ValueError(
                    f'{name} as a configurable field needs an id that begins with "__": tracers are shown the others'
                )
        return super().configurable_fields(**kwargs)

    def _safe_to_trace(self, given: LanguageModelInput) -> LanguageModelInput:
        prompt = super()._convert_input(given)
        guarded = self._convert_input(prompt)
        return given if guarded is prompt else guarded

    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """As the parent's; it does not come through `_convert_input`, and its traces are to be clean as well."""
        return super().generate([self._clean(each) for each in messages], *args, **kwargs)

    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """As `generate`."""
        clean = [self._clean(each) for each in messages]
        return await super().agenerate(clean, *args, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        stream: bool | None = None,  # noqa: FBT001 - the parent's signature
        **kwargs: Any,
    ) -> ChatResult:
        ask = partial(
            super()._generate, stop=stop, run_manager=run_manager, stream=stream, **self._with_guardrails(kwargs)
        )
        return self._call(messages, kwargs, run_manager).answer(ask)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        stream: bool | None = None,  # noqa: FBT001 - the parent's signature
        **kwargs: Any,
    ) -> ChatResult:
        ask = partial(
            super()._agenerate, stop=stop, run_manager=run_manager, stream=stream, **self._with_guardrails(kwargs)
        )
        return await self._call(messages, kwargs, run_manager).aanswer(ask)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        # The parent would report each chunk to the run manager as it came.
        begin = partial(super()._stream, stop=stop, run_manager=None, **self._with_guardrails(kwargs))
        watch = Watch(self.client)
        call = self._call(messages, kwargs, run_manager, lambda: watch.answered)
        for chunk in call.stream(partial(watch.stream, begin)):
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
        begin = partial(super()._astream, stop=stop, run_manager=None, **self._with_guardrails(kwargs))
        watch = Watch(self.async_client)
        call = self._call(messages, kwargs, run_manager, lambda: watch.answered)
        async for chunk in call.astream(partial(watch.astream, begin)):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.message.content, chunk=chunk)
            yield chunk

    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return refusal_alone(super()._generate_with_cache(*args, **kwargs), self.policy.refusal)

    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return refusal_alone(await super()._agenerate_with_cache(*args, **kwargs), self.policy.refusal)

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        """As the parent's, which fails on the nested counts that the API sends now (langchain#38482)."""
        usage: dict[str, Any] = {}
        for output in llm_outputs:
            _add(usage, (output or {}).get("token_usage") or {})
        return {"token_usage": usage, "model_name": self.model}

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """The parent's and what the guards do: two policies must not share a cached answer."""
        guards, settings = self._made
        return {**super()._identifying_params, POLICY_PARAM: guards.fingerprint, "guard_settings": settings}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """False: guards and keys do not go through LangChain's serialisation."""
        return False

    # -- settings ----------------------------------------------------------------------------------------------

    @property
    def _needs_moderator(self) -> bool:
        return self.moderation != "off" and self.moderator is None

    @property
    def _active_moderator(self) -> Moderator | None:
        # Apart from the field, so that a model made of this one's fields with other keys moderates with those.
        return self.moderator or self._private["_own_moderator"]

    @property
    def _private(self) -> dict[str, Any]:
        # Private attributes, without pydantic's way to them, which takes a microsecond for each.
        return self.__pydantic_private__ or {}

    @property
    def _guards(self) -> Guards:
        return self._made[0]

    @property
    def _made(self) -> tuple[Guards, str]:
        """The guards, and a hash of what they do."""
        # A copy of the model with another policy carries this attribute over: what was made is for these settings only.
        settings = (
            self.policy, self._active_moderator, self.moderation, self.stream_moderation, self.on_block, self.system_prompt, self.vault,
            self.restore_tools, self.guardrails, self.concurrent,
            self.render,
        )  # fmt: skip
        made = self._made_for(settings)
        if made is None:
            # Guards remember what they found when a call came in: two threads that come first must get the same ones.
            with _MAKING:
                made = self._made_for(settings) or self._make(settings)
        return made

    def _made_for(self, settings: tuple[Any, ...]) -> tuple[Guards, str] | None:
        made: tuple[tuple[Any, ...], tuple[Guards, str]] | None = self._private["_guards_made"]
        return made[1] if made is not None and same(made[0], settings) else None

    def _make(self, settings: tuple[Any, ...]) -> tuple[Guards, str]:
        guards = Guards(
            policy=self.policy,
            fingerprint=self.policy.fingerprint,
            moderator=self._active_moderator,
            moderates_input=self.moderation in ("both", "input"),
            moderates_output=self.moderation in ("both", "output"),
            concurrent=self.concurrent,
            stream_moderation=self.stream_moderation,
            on_block=self.on_block,
            system_prompt=self.system_prompt,
            render=self.render,
            vault=self.vault,
            restore_tools=self.restore_tools,
        )
        made = guards, self._settings()
        self._guards_made = settings, made
        return made

    def _settings(self) -> str:
        moderator = self._active_moderator
        said = {
            "moderation": self.moderation,
            "moderator": None if moderator is None else [moderator.model, repr(moderator.rules), moderator.on_error],
            "guardrails": guardrails_payload(self.guardrails),
            "on_block": self.on_block,
            "stream_moderation": self.stream_moderation,
            # Its pattern holds the suffix that is random per vault: one reader never gets another one's values.
            "vault": None if self.vault is None else self.vault.pattern.pattern,
            "system_prompt": self.system_prompt,
            "render": self.render,
            "restore_tools": sorted(self.restore_tools),
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def _with_guardrails(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        payload = guardrails_payload(self.guardrails)
        return kwargs if payload is None else {"guardrails": payload, **kwargs}

    def _call(
        self,
        messages: list[BaseMessage],
        kwargs: dict[str, Any],
        run_manager: BaseRunManager | None,
        says_when_over: Callable[[], bool] = bool,
    ) -> Call:
        return Call(
            guards=self._guards,
            messages=messages,
            judge=judged,
            as_json=self._is_json(kwargs),
            counts=counts_of(run_manager),
            says_when_over=says_when_over,
        )

    def _is_json(self, kwargs: dict[str, Any]) -> bool:
        wanted = kwargs.get("response_format") or self.model_kwargs.get("response_format")
        return isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema")


def _add(total: dict[str, Any], counts: dict[str, Any]) -> None:
    for name, count in counts.items():
        if isinstance(count, dict):
            _add(total.setdefault(name, {}), count)
        elif isinstance(count, (int, float)):
            total[name] = (total.get(name) or 0) + count
