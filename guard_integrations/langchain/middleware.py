"""A guard for agents made with `create_agent`."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
    hook_config,
)
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from guard_integrations.core.model_errors import without_traceback
from guard_integrations.core.moderation.client import Moderator
from guard_integrations.core.moderation.windows import StreamMode
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.errors import GuardBlocked
from guard_integrations.langchain._guarded_model import GuardedChatModel
from guard_integrations.langchain._guards import Guards, OnBlock
from guard_integrations.langchain._input import BLOCKED_TEXT
from guard_integrations.langchain._output import AnswerGuard
from guard_integrations.langchain.chat_models import GuardedChatMistralAI

__all__ = ["GuardMiddleware"]

_Response = TypeVar("_Response", bound=ModelResponse[Any] | ExtendedModelResponse[Any] | AIMessage)


class GuardMiddleware(AgentMiddleware[Any, Any, Any]):
    """Guards an agent: the user's turn, tool results, tool-call arguments, and the model's answer in every stream.

    Flagged text is replaced in the agent's state, under the same message id, never appended to. The model is asked
    through a guard, so that `messages`, `updates`, `values` and both versions of the events show clean text alone.
    List it first: what stands behind it is inside the guard.

    Args:
        policy: what to look for and what to do about it.
        on_block: "refuse" ends the run with the policy's refusal; "raise" raises `GuardBlocked`.
        spotlight: puts tool results into a tag that they cannot forge, so that the prompt can say where they end.
        tool_policies: by tool name, the policy of its results and arguments, where it is not `policy`.
        moderator: moderates the user's turn and the answers; none by default.
        stream_moderation: when a stream is released, as in `GuardedChatMistralAI`.
        system_prompt: the instructions that no answer may repeat; else the agent's own.
        vault: the conversation's pseudonyms: personal data becomes tokens on the way in, and values on the way out.
        restore_tools: tools whose arguments may hold the vault's values.

    Raises:
        GuardBlocked: from a run, when a guard refuses and `on_block="raise"`.
        GuardUnavailable: from a run, when a guard could not decide.

    Example:
        ```python
        from langchain.agents import create_agent
        from guard_integrations.langchain import GuardMiddleware

        agent = create_agent("mistralai:mistral-small-latest", tools=[search], middleware=[GuardMiddleware()])
        ```
    """

    def __init__(  # noqa: PLR0913 - each one is a setting that the design names
        self,
        policy: GuardPolicy | None = None,
        *,
        on_block: OnBlock = "refuse",
        spotlight: bool = False,
        tool_policies: Mapping[str, GuardPolicy] | None = None,
        moderator: Moderator | None = None,
        stream_moderation: StreamMode = "window",
        system_prompt: str | None = None,
        vault: PseudonymVault | None = None,
        restore_tools: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.tools = []
        self.policy = policy or GuardPolicy()
        self._guards = Guards(
            policy=self.policy,
            fingerprint=self.policy.fingerprint,
            moderator=moderator,
            moderates_input=moderator is not None,
            moderates_output=moderator is not None,
            stream_moderation=stream_moderation,
            on_block=on_block,
            system_prompt=system_prompt,
            vault=vault,
            restore_tools=frozenset(restore_tools),
            spotlight=spotlight,
            tools=dict(tool_policies or {}),
        )

    # -- state -------------------------------------------------------------------------------------------------

    @hook_config(can_jump_to=["end"])
    def before_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """The user's turn, before anything else reads it."""
        return self._replaced(state)

    @hook_config(can_jump_to=["end"])
    async def abefore_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """The user's turn, before anything else reads it."""
        return self._replaced(state)

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """What has come since: tool results, and what a human put in."""
        return self._replaced(state)

    @hook_config(can_jump_to=["end"])
    async def abefore_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """What has come since: tool results, and what a human put in."""
        return self._replaced(state)

    def _replaced(self, state: AgentState[Any]) -> dict[str, Any] | None:
        messages: list[BaseMessage] = list(state["messages"])
        guarded = self._guards.input.messages(messages)
        changed = [
            # A tool's result that was refused reads [BLOCKED]; the agent goes on without it.
            after.model_copy(update={"additional_kwargs": before.additional_kwargs})
            if isinstance(after, ToolMessage)
            else after
            for before, after in zip(messages, guarded.messages, strict=True)
            if after is not before
        ]
        blocked = guarded.blocked
        if blocked is None or blocked.stage == "tool":
            return {"messages": changed} if changed else None
        if self._guards.on_block == "raise":
            raise blocked
        return {"messages": [*changed, AIMessage(self.policy.refusal)], "jump_to": "end"}

    # -- model -------------------------------------------------------------------------------------------------

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """The model, asked through a guard; and whatever else answered in its place."""
        guarded = self._guarded(request)
        return self._clean_response(guarded, handler(guarded))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """The model, asked through a guard; and whatever else answered in its place."""
        guarded = self._guarded(request)
        return self._clean_response(guarded, await handler(guarded))

    def _guarded(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        if isinstance(request.model, (GuardedChatMistralAI, GuardedChatModel)):
            return request
        return request.override(model=GuardedChatModel.around(request.model, self._guards))

    def _clean_response(self, request: ModelRequest[Any], response: _Response) -> _Response:
        """Clean already, unless a middleware further in asked another model."""
        if isinstance(response, ExtendedModelResponse):
            return replace(response, model_response=self._clean_response(request, response.model_response))
        if isinstance(response, ModelResponse):
            return replace(response, result=[self._clean_answer(request, message) for message in response.result])
        return cast("_Response", self._clean_answer(request, response))

    def _clean_answer(self, request: ModelRequest[Any], message: BaseMessage) -> BaseMessage:
        model = request.model
        if not isinstance(message, AIMessage) or (isinstance(model, GuardedChatModel) and model.gave(message)):
            return message
        system: list[BaseMessage] = [request.system_message] if request.system_message else []
        guard = AnswerGuard(self._guards.checking(system), as_json=_reads_as_json(message.content))
        try:
            return guard.whole(message)
        except GuardBlocked as error:
            blocked = without_traceback(error)
        if self._guards.on_block == "raise":
            raise blocked
        return AIMessage(self.policy.refusal, id=message.id, response_metadata={"finish_reason": "content_filter"})

    # -- tools -------------------------------------------------------------------------------------------------

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Arguments on their way to a tool, and its result."""
        clean = self._clean_call(request)
        return clean if isinstance(clean, ToolMessage) else self._clean_result(handler(clean))

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Arguments on their way to a tool, and its result."""
        clean = self._clean_call(request)
        return clean if isinstance(clean, ToolMessage) else self._clean_result(await handler(clean))

    def _clean_call(self, request: ToolCallRequest) -> ToolCallRequest | ToolMessage:
        """The model's arguments are clean already; another middleware may have written others, and the tool's policy may refuse.

        What a human decides further in, in `HumanInTheLoopMiddleware`, stays as the human wrote it. Where the
        arguments are refused, what the tool answers in their place is given back: the agent goes on without it.
        """
        call = request.tool_call
        if call["name"] in self._guards.restore_tools:
            # They hold the vault's values again, which a second look would take out.
            return request
        guard = AnswerGuard(self._guards.checking_tool(call["name"]))
        try:
            clean = guard.arguments(call["args"], call["name"])
        except GuardBlocked as error:
            blocked = without_traceback(error)
        else:
            return request if clean == call["args"] else request.override(tool_call={**call, "args": clean})
        if self._guards.on_block == "raise":
            raise blocked
        return ToolMessage(BLOCKED_TEXT, tool_call_id=call["id"], name=call["name"], status="error")

    def _clean_result(self, result: ToolMessage | Command[Any]) -> ToolMessage | Command[Any]:
        if isinstance(result, ToolMessage):
            return self._clean_tool_message(result)
        update = result.update
        if isinstance(update, Mapping) and isinstance(update.get("messages"), list):
            messages = [
                self._clean_tool_message(message) if isinstance(message, ToolMessage) else message
                for message in update["messages"]
            ]
            return replace(result, update={**update, "messages": messages})
        return result

    def _clean_tool_message(self, message: ToolMessage) -> ToolMessage:
        try:
            clean, _ = self._guards.input.message(message)
        except GuardBlocked as error:
            blocked = without_traceback(error)
        else:
            return clean  # type: ignore[return-value] # a copy of the same class
        if self._guards.on_block == "raise":
            raise blocked
        return message.model_copy(update={"content": BLOCKED_TEXT})


def _reads_as_json(content: Any) -> bool:
    if not isinstance(content, str) or not content.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
