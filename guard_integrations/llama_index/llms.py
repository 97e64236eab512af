"""`MistralAI` with guards around it, on every way in and out."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

from llama_index.core.base.llms.generic_utils import get_from_param_or_env
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager
from llama_index.core.constants import DEFAULT_TEMPERATURE
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.types import BaseOutputParser, PydanticProgramMode
from llama_index.llms.mistralai import MistralAI
from llama_index.llms.mistralai.base import (
    DEFAULT_MISTRALAI_ENDPOINT,
    DEFAULT_MISTRALAI_MAX_TOKENS,
    DEFAULT_MISTRALAI_MODEL,
    to_mistral_chatmessage,
)
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, SecretStr

from guard_integrations.core.choices import require_choice
from guard_integrations.core.moderation import Moderator
from guard_integrations.core.moderation.guardrail import MistralGuardrail, guardrails_payload
from guard_integrations.core.moderation.windows import StreamMode
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.rotation.ring import KeyRing
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.scanner.markup import Render
from guard_integrations.llama_index._admitted import Admitted
from guard_integrations.llama_index._asking import (
    GuardedStructuredLLM,
    by_conversation,
    by_prompt,
    by_template,
    cleaned,
    for_object,
    untraced,
)
from guard_integrations.llama_index._client import GuardedClient, fim_request, mistral_client
from guard_integrations.llama_index._guard import ModelGuard, Moderation
from guard_integrations.llama_index._messages import TurnGuard, user_message
from guard_integrations.llama_index._models import metadata_of
from guard_integrations.llama_index._policy import PolicyField
from guard_integrations.llama_index._said import (
    answered,
    arefusing,
    asaid_in,
    completed,
    completion_refused,
    refused,
    refusing,
    said_in,
)
from guard_integrations.llama_index._spans import outside_spans

__all__ = ["GuardedMistralAI"]

_dispatcher = get_dispatcher(__name__)


class GuardedMistralAI(MistralAI):
    """A `MistralAI` that is guarded on every way in and out, and a drop-in for it.

    User and tool messages are scanned and filtered by their role, system and assistant messages go in as they are;
    nothing is wrapped or cut, for LlamaIndex puts instructions, context and question into one message. Answers are
    clean in `message`, `delta`, `raw`, and in every event and span, since they are cleaned where they come in.
    Moderation judges the conversation before the model sees it and the answer before a reader does. Keys come from
    a ring, which turns on 401, 403 and 429.

    Beside these, all arguments of `MistralAI` serve, but those for Azure.

    Args:
        policy: what is looked for and what is done about it.
        keys: a key ring, or the keys for one; else `api_key`; else those of the environment.
        moderation: which side is moderated.
        moderator: who moderates; one that shares the keys and the endpoint where none is given.
        guardrails: Mistral's own, on its server; none are sent where none are given.
        on_block: `raise` a `GuardBlocked`, or answer the policy's `refusal`, with `content_filter` for finish reason.
        concurrent: whether the input is moderated beside the generation, and not before it: nothing of the answer is
            shown before the verdict, and a hit cancels the generation. A blocking `chat` cannot be cancelled: its
            answer is dropped.
        stream_moderation: `window` releases an answer part by part, each after its verdict; `buffer` all of it after
            one; `after` releases it unjudged and is unsafe.
        system_prompt: the model's instructions, as `MistralAI` takes them; no answer may repeat them.
        render: where answers will be shown; only in `markdown` do the rules for markup leave code alone.
        vault: the conversation's pseudonyms: personal data becomes tokens on the way in, and values on the way out.
        restore_tools: tools whose arguments may hold the vault's values.
        safe_mode: has Mistral put its safety prompt in front.
        max_retries: how often a request is sent again on 500, 502, 503 or 504.

    Raises:
        MissingKeyError: when no key is given and the environment has none.
        PolicyError: for a policy that leaves nothing to look for.
        GuardBlocked: from a call, when a rule or moderation refuses what goes in or comes out.
        GuardUnavailable: from a call, when moderation could not judge.
        KeysExhausted: from a call, when no key could be used in time.

    Example:
        ```python
        from guard_integrations.llama_index import GuardedMistralAI

        llm = GuardedMistralAI(model="mistral-small-latest", on_block="refuse")
        llm.complete("What is the capital of France?")
        ```
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    policy: PolicyField = Field(default_factory=GuardPolicy)
    moderation: Moderation = "both"
    on_block: Literal["raise", "refuse"] = "raise"
    concurrent: bool = False
    stream_moderation: StreamMode = "window"
    render: Render = "markdown"
    safe_mode: bool = False

    _guardrails: list[dict[str, object]] | None = PrivateAttr(default=None)
    _turns: TurnGuard = PrivateAttr()
    _guard: ModelGuard = PrivateAttr()
    _guarded: GuardedClient = PrivateAttr()

    def __init__(  # noqa: PLR0913, PLR0917 - MistralAI's arguments, in its order, and ours
        self,
        model: str = DEFAULT_MISTRALAI_MODEL,
        temperature: float = DEFAULT_TEMPERATURE,
        max_tokens: int = DEFAULT_MISTRALAI_MAX_TOKENS,
        timeout: int = 120,
        max_retries: int = 5,
        safe_mode: bool = False,  # noqa: FBT001, FBT002 - MistralAI's signature
        random_seed: int | None = None,
        api_key: str | SecretStr | None = None,
        additional_kwargs: dict[str, Any] | None = None,
        callback_manager: CallbackManager | None = None,
        system_prompt: str | None = None,
        messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None = None,
        completion_to_prompt: Callable[[str], str] | None = None,
        pydantic_program_mode: PydanticProgramMode = PydanticProgramMode.DEFAULT,
        output_parser: BaseOutputParser | None = None,
        endpoint: str | None = None,
        show_thinking: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        policy: GuardPolicy | None = None,
        keys: KeyRing | str | SecretStr | Sequence[str | SecretStr] | None = None,
        moderation: Moderation = "both",
        moderator: Moderator | None = None,
        guardrails: MistralGuardrail | Sequence[MistralGuardrail] | None = None,
        on_block: Literal["raise", "refuse"] = "raise",
        concurrent: bool = False,
        stream_moderation: StreamMode = "window",
        render: Render = "markdown",
        vault: PseudonymVault | None = None,
        restore_tools: Collection[str] = (),
    ) -> None:
        require_choice("on_block", on_block, ("raise", "refuse"))
        address = get_from_param_or_env("endpoint", endpoint, "MISTRAL_ENDPOINT", DEFAULT_MISTRALAI_ENDPOINT)
        ring = KeyRing.of(keys if keys is not None else api_key)
        super().__init__(
            model=model,
            temperature=temperature,
            max_tokens=max_tokens,
            timeout=timeout,
            max_retries=max_retries,
            random_seed=random_seed,
            # The parent wants a key of its own. Requests carry the ring's.
            api_key="from-the-key-ring",
            additional_kwargs=additional_kwargs,
            callback_manager=callback_manager,
            system_prompt=system_prompt,
            messages_to_prompt=messages_to_prompt,
            completion_to_prompt=completion_to_prompt,
            pydantic_program_mode=pydantic_program_mode,
            output_parser=output_parser,
            endpoint=address,
            show_thinking=show_thinking,
        )
        self.policy = policy or GuardPolicy()
        self.moderation = moderation
        self.on_block = on_block
        self.concurrent = concurrent
        self.stream_moderation = stream_moderation
        self.render = render
        self.safe_mode = safe_mode
        self._guardrails = guardrails_payload(guardrails)
        self._turns = TurnGuard(self.policy, vault=vault)
        if moderator is None and moderation != "off":
            moderator = Moderator(keys=ring, base_url=address)
        self._guard = ModelGuard(
            policy=self.policy,
            sanitizer=OutputSanitizer(self.policy, system_prompt=system_prompt, render=render, vault=vault),
            moderator=moderator,
            moderation=moderation,
            concurrent=concurrent,
            stream_moderation=stream_moderation,
            vault=vault,
            restore_tools=frozenset(restore_tools),
            refusal=self.policy.refusal if on_block == "refuse" else None,
        )
        self._guarded = GuardedClient(mistral_client(ring, address, retries=max_retries), self._guard)
        self._client = self._guarded  # type: ignore[assignment] # it has all that MistralAI asks of a client

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex knows this class by."""
        return "GuardedMistralAI"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex asks about a model; one that its table does not know gets defaults instead of an error."""
        return metadata_of(self.model, self.max_tokens)

    @property
    def _model_kwargs(self) -> dict[str, Any]:
        """What goes into each request, with what `MistralAI` leaves out: `safe_mode`, and guardrails."""
        request = {**super()._model_kwargs, "timeout_ms": int(self.timeout * 1000)}
        request.pop("retries", None)  # an integer, which the SDK ignores; the auth flow retries
        if self.safe_mode:
            request["safe_prompt"] = True
        if self._guardrails is not None:
            request["guardrails"] = self._guardrails
        return request

    @outside_spans
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:  # noqa: ANN401 - the API's own options
        """Answers a conversation.

        Raises:
            GuardBlocked: when a rule or moderation refuses the conversation or the answer.
        """
        response: ChatResponse = self._guarded_chat(Admitted(self._turns.messages(messages)), **kwargs)
        return response

    @outside_spans
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:  # noqa: ANN401 - as above
        """The twin of `chat`."""
        response: ChatResponse = await self._guarded_achat(Admitted(self._turns.messages(messages)), **kwargs)
        return response

    @outside_spans
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:  # noqa: ANN401 - as above
        """Answers a conversation in pieces: `delta` is what is new, `message` all that there is so far.

        Raises:
            GuardBlocked: when a rule or moderation refuses the conversation; when it is the answer that is refused,
                from the generator that is read.
        """
        responses: ChatResponseGen = self._guarded_stream_chat(Admitted(self._turns.messages(messages)), **kwargs)
        return responses

    @outside_spans
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:  # noqa: ANN401 - as above
        """The twin of `stream_chat`."""
        turn = Admitted(self._turns.messages(messages))
        responses: ChatResponseAsyncGen = await self._guarded_astream_chat(turn, **kwargs)
        return responses

    complete = cleaned(MistralAI.complete, by_prompt)
    acomplete = cleaned(MistralAI.acomplete, by_prompt)
    stream_complete = cleaned(MistralAI.stream_complete, by_prompt)
    astream_complete = cleaned(MistralAI.astream_complete, by_prompt)
    predict = cleaned(MistralAI.predict, by_template)
    apredict = cleaned(MistralAI.apredict, by_template)
    stream = cleaned(MistralAI.stream, by_template)
    astream = cleaned(MistralAI.astream, by_template)
    structured_predict = cleaned(MistralAI.structured_predict, for_object)
    astructured_predict = cleaned(MistralAI.astructured_predict, for_object)
    stream_structured_predict = cleaned(MistralAI.stream_structured_predict, for_object)
    astream_structured_predict = cleaned(MistralAI.astream_structured_predict, for_object)
    predict_and_call = cleaned(MistralAI.predict_and_call, by_conversation)
    apredict_and_call = cleaned(MistralAI.apredict_and_call, by_conversation)
    _prepare_chat_with_tools = untraced(MistralAI._prepare_chat_with_tools)  # noqa: SLF001 - the parent's

    def as_structured_llm(self, output_cls: type[BaseModel], **kwargs: Any) -> GuardedStructuredLLM:  # noqa: ANN401 - the parent's signature
        """This model, answering with objects of one class."""
        return GuardedStructuredLLM(llm=self, output_cls=output_cls, **kwargs)

    def fill_in_middle(self, prompt: str, suffix: str, stop: list[str] | None = None) -> CompletionResponse:
        """What stands between a prompt and a suffix, by a model that can.

        Raises:
            GuardBlocked: when a rule or moderation refuses the prompt, the suffix or the answer.
        """
        turn = Admitted(self._turns.messages([user_message(prompt), user_message(suffix)]))
        completion: CompletionResponse = self._guarded_fill_in_middle(turn[0].content or "", turn, stop)
        return completion

    async def afill_in_middle(self, prompt: str, suffix: str, stop: list[str] | None = None) -> CompletionResponse:
        """The twin of `fill_in_middle`."""
        turn = Admitted(self._turns.messages([user_message(prompt), user_message(suffix)]))
        completion: CompletionResponse = await self._guarded_afill_in_middle(turn[0].content or "", turn, stop)
        return completion

    @_dispatcher.span
    @llm_completion_callback()
    def _guarded_fill_in_middle(self, prompt: str, turn: Admitted, stop: list[str] | None) -> CompletionResponse:
        if turn.refuses(self.policy, self.on_block):
            return completion_refused(self.policy.refusal)
        return completed(self._guarded.fim.complete(**fim_request(self, prompt, turn[1].content, stop)))

    @_dispatcher.span
    @llm_completion_callback()
    async def _guarded_afill_in_middle(self, prompt: str, turn: Admitted, stop: list[str] | None) -> CompletionResponse:
        if turn.refuses(self.policy, self.on_block):
            return completion_refused(self.policy.refusal)
        return completed(await self._guarded.fim.complete_async(**fim_request(self, prompt, turn[1].content, stop)))

    @_dispatcher.span
    @llm_chat_callback()
    def _guarded_chat(self, messages: Admitted, **kwargs: Any) -> ChatResponse:  # noqa: ANN401 - the API's own options
        if messages.refuses(self.policy, self.on_block):
            return refused(self.policy.refusal)
        return answered(self._guarded.chat.complete(**self._request(messages, kwargs)), self.show_thinking)

    @_dispatcher.span
    @llm_chat_callback()
    async def _guarded_achat(self, messages: Admitted, **kwargs: Any) -> ChatResponse:  # noqa: ANN401 - as above
        if messages.refuses(self.policy, self.on_block):
            return refused(self.policy.refusal)
        return answered(await self._guarded.chat.complete_async(**self._request(messages, kwargs)), self.show_thinking)

    @_dispatcher.span
    @llm_chat_callback()
    def _guarded_stream_chat(self, messages: Admitted, **kwargs: Any) -> ChatResponseGen:  # noqa: ANN401 - as above
        if messages.refuses(self.policy, self.on_block):
            return refusing(self.policy.refusal)
        return said_in(self._guarded.chat.stream(**self._request(messages, kwargs)), self.show_thinking)

    @_dispatcher.span
    @llm_chat_callback()
    async def _guarded_astream_chat(self, messages: Admitted, **kwargs: Any) -> ChatResponseAsyncGen:  # noqa: ANN401 - as above
        if messages.refuses(self.policy, self.on_block):
            return arefusing(self.policy.refusal)
        return asaid_in(await self._guarded.chat.stream_async(**self._request(messages, kwargs)), self.show_thinking)

    def _request(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> dict[str, Any]:
        return {"messages": to_mistral_chatmessage(messages), **self._get_all_kwargs(**kwargs)}
