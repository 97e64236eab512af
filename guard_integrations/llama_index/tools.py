"""A tool around a tool: what the model passes in and what comes back are guarded."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from llama_index.core.base.llms.types import TextBlock
from llama_index.core.tools import FunctionTool, ToolOutput
from llama_index.core.tools.types import AsyncBaseTool, BaseTool, adapt_to_async_tool
from llama_index_instrumentation import get_dispatcher

from guard_integrations.core.flow import Flow, Wait, arun, run
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.core.sanitizer.output import OutputSanitizer
from guard_integrations.core.sanitizer.vault import PseudonymVault
from guard_integrations.core.sanitizer.wrapping import spotlight as mark
from guard_integrations.core.textguard import Checking, Screening
from guard_integrations.errors import GuardError
from guard_integrations.llama_index._spans import outside_spans, without_span
from guard_integrations.llama_index._values import rewrite_tool_output, rewrite_value

__all__ = ["GuardedTool"]

_dispatcher = get_dispatcher(__name__)


class GuardedTool(FunctionTool):
    """Guards the arguments a model passes to a tool, value by value, and the tool's result as untrusted text.

    An error that the tool raises is answered as its guarded text, for an agent shows it to the model.

    Args:
        tool: any tool; name, description, schema and `return_direct` stay its own.
        policy: what is looked for and what is done about it.
        spotlight: also puts the result's text between tags that it cannot forge.
        vault: the conversation's pseudonyms: personal data in the result becomes tokens.
        restore: whether the tool is given the vault's values instead of tokens.

    Raises:
        GuardBlocked: from a call, when a rule blocks an argument or the result; an agent answers that to its model.

    Example:
        ```python
        from guard_integrations.llama_index import GuardedTool
        from llama_index.core.tools import FunctionTool

        tool = GuardedTool(FunctionTool.from_defaults(search), spotlight=True)
        tool.call(query="refunds")
        ```
    """

    def __init__(
        self,
        tool: BaseTool,
        *,
        policy: GuardPolicy | None = None,
        spotlight: bool = False,
        vault: PseudonymVault | None = None,
        restore: bool = False,
    ) -> None:
        inner = adapt_to_async_tool(tool)
        policy = policy or GuardPolicy()
        # A function tool, since agents hand their context to function tools alone.
        super().__init__(fn=tool.real_fn if isinstance(tool, FunctionTool) else inner.call, metadata=tool.metadata)
        self._tool: AsyncBaseTool = inner
        self._spotlight = spotlight
        self._arguments = Checking(OutputSanitizer(policy, vault=vault), restore=restore)
        self._results = Screening(InputSanitizer(policy, vault=vault))

    @outside_spans
    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401 - whatever the tool takes
        """Runs the tool.

        Raises:
            GuardBlocked: when a rule blocks an argument or the result.
        """
        values, named = self._guard_arguments(args, kwargs)
        output: ToolOutput = self._run(*values, **named)
        return output

    @outside_spans
    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401 - whatever the tool takes
        """The twin of `call`."""
        values, named = self._guard_arguments(args, kwargs)
        output: ToolOutput = await self._arun(*values, **named)
        return output

    @_dispatcher.span
    def _run(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401 - as above
        return run(self._asked(args, kwargs))

    @_dispatcher.span
    async def _arun(self, *args: Any, **kwargs: Any) -> ToolOutput:  # noqa: ANN401 - as above
        return await arun(self._asked(args, kwargs))

    def _asked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[Any, ToolOutput]:
        call, acall = without_span(self._tool.call), without_span(self._tool.acall)
        try:
            output: ToolOutput = yield Wait(partial(call, *args, **kwargs), partial(acall, *args, **kwargs))
            return self._guard_output(output)
        except GuardError:
            raise
        except Exception as error:
            if _pauses(error):
                raise
            failed = error
        return self._failure(failed, kwargs)

    def _guard_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        return (
            [self._arguments.arguments(value, None)[0] for value in args],
            {
                name: value if name == self.ctx_param_name else self._arguments.arguments(value, None)[0]
                for name, value in kwargs.items()
            },
        )

    def _guard_output(self, output: ToolOutput) -> ToolOutput:
        clean = rewrite_tool_output(output, self._text)
        if self._spotlight:
            clean.blocks = [
                block.model_copy(update={"text": mark(block.text)}) if isinstance(block, TextBlock) else block
                for block in clean.blocks
            ]
        return clean

    def _failure(self, error: Exception, kwargs: Mapping[str, Any]) -> ToolOutput:
        """What an agent would make of the error, made safe; the error itself, which may quote content, is not kept."""
        text = self._text(str(error))
        named = {name: value for name, value in kwargs.items() if name != self.ctx_param_name}
        return ToolOutput(
            tool_name=self.metadata.get_name(),
            content=text or type(error).__name__,
            raw_input=rewrite_value({"kwargs": named}, self._text),
            raw_output=text,
            is_error=True,
        )

    def _text(self, text: str) -> str:
        return self._results.text(text, "tool").text


def _pauses(error: Exception) -> bool:
    """Whether an exception is how a workflow waits for an event, which must reach it."""
    return type(error).__module__.partition(".")[0] == "workflows"
