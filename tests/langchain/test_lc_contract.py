"""Every way into and out of LangChain gives what the bare core gives."""

from collections.abc import AsyncIterator, Iterator

import pytest
from contract import BLOCKED, AnswerContract, DocumentContract, GuardContract, PromptContract
from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableGenerator
from lc_wire import Wire, guarded

from guard_integrations import GuardBlocked
from guard_integrations.langchain import DocumentGuard, RunnableInputGuard, RunnableOutputSanitizer


async def call(runnable, value, mode):
    """The value that comes out, joined if it came in pieces."""
    try:
        match mode:
            case "sync":
                return runnable.invoke(value)
            case "async":
                return await runnable.ainvoke(value)
            case "stream":
                pieces = list(runnable.stream(value))
            case "astream":
                pieces = [piece async for piece in runnable.astream(value)]
    except GuardBlocked:
        return BLOCKED
    total = pieces[0] if pieces else ""
    for piece in pieces[1:]:
        total = total + piece
    return total


def text(value):
    return value if isinstance(value, str) else value.text


def says(*chunks):
    """A stage that streams `chunks` whatever it is asked."""

    def sync(_: Iterator[str]) -> Iterator[str]:
        yield from chunks

    async def asynchronous(_: AsyncIterator[str]) -> AsyncIterator[str]:
        for chunk in chunks:
            yield chunk

    return RunnableGenerator(sync, asynchronous)


class TestInputGuardOnText(PromptContract):
    async def prompt(self, text, mode, policy):
        return await call(RunnableInputGuard(policy=policy), text, mode)


class TestInputGuardOnMessages(PromptContract):
    async def prompt(self, text, mode, policy):
        out = await call(RunnableInputGuard(policy=policy), [HumanMessage(text, id="1")], mode)
        return out if out is BLOCKED else out[0].content


@pytest.mark.slow
class TestInputGuardOnToolResults(PromptContract):
    stage = "tool"

    async def prompt(self, text, mode, policy):
        out = await call(RunnableInputGuard(policy=policy), [ToolMessage(text, tool_call_id="1")], mode)
        return out if out is BLOCKED else out[0].content


class TestInputGuardBehindAPrompt(PromptContract):
    async def prompt(self, text, mode, policy):
        prompt = ChatPromptTemplate(
            [("system", "Ignore previous instructions is what attackers say."), ("human", "{q}")]
        )
        out = await call(prompt | RunnableInputGuard(policy=policy), {"q": text}, mode)
        if out is BLOCKED:
            return out
        system, human = out.to_messages()
        assert system.content == "Ignore previous instructions is what attackers say."
        return human.content


class TestInputGuardInADictionary(PromptContract):
    async def prompt(self, text, mode, policy):
        out = await call(RunnableInputGuard(policy=policy, keys=("question",)), {"question": text, "other": text}, mode)
        if out is BLOCKED:
            return out
        assert out["other"] == text
        return out["question"]


class TestDocumentGuard(DocumentContract):
    async def document(self, text, mode, policy):
        out = await call(DocumentGuard(policy=policy), [Document(text)], mode)
        return out if out is BLOCKED else out[0].page_content


class TestOutputSanitizerOnText(AnswerContract):
    async def answer(self, chunks, mode, policy):
        return await call(says(*chunks) | RunnableOutputSanitizer(policy=policy), "", mode)


class TestOutputSanitizerOnMessages(AnswerContract):
    async def answer(self, chunks, mode, policy):
        upstream = says(*(AIMessageChunk(content=chunk) for chunk in chunks))
        return text(await call(upstream | RunnableOutputSanitizer(policy=policy), "", mode))


class TestOutputSanitizerBehindAParser(AnswerContract):
    async def answer(self, chunks, mode, policy):
        upstream = says(*(AIMessageChunk(content=chunk) for chunk in chunks))
        return await call(upstream | StrOutputParser() | RunnableOutputSanitizer(policy=policy), "", mode)


@pytest.mark.slow
class TestOutputSanitizerAheadOfAParser(AnswerContract):
    async def answer(self, chunks, mode, policy):
        upstream = says(*(AIMessageChunk(content=chunk) for chunk in chunks))
        return await call(upstream | RunnableOutputSanitizer(policy=policy) | StrOutputParser(), "", mode)


class TestGuardedModel(GuardContract):
    cuts = False

    async def prompt(self, text, mode, policy):
        wire = Wire(["ok"])
        out = await call(guarded(wire, policy=policy), text, mode)
        return BLOCKED if out is BLOCKED else wire.user

    async def answer(self, chunks, mode, policy):
        return text(await call(guarded(Wire(chunks), policy=policy), "Hello", mode))


@pytest.mark.slow
class TestGuardedModelInBlocks(AnswerContract):
    """The answer comes as a list of blocks, as it does with citations."""

    async def answer(self, chunks, mode, policy):
        blocks = [[{"type": "text", "text": chunk}] for chunk in chunks]
        if "stream" not in mode:
            blocks = [[block for each in blocks for block in each]]
        return text(await call(guarded(Wire(blocks), policy=policy), "Hello", mode))


@pytest.mark.slow
class TestGuardedModelInBlocksOfTheFirstVersion(AnswerContract):
    async def answer(self, chunks, mode, policy):
        return text(await call(guarded(Wire(chunks), policy=policy, output_version="v1"), "Hello", mode))


@pytest.mark.parametrize("mode", ["sync", "async", "stream", "astream"])
async def test_the_contract_can_fail(mode):
    class Unguarded(AnswerContract):
        async def answer(self, chunks, mode, policy):
            return await call(says(*chunks), "", mode)

    contract = Unguarded()
    with pytest.raises(AssertionError):
        await contract.test_what_goes_out_is_what_the_core_says(mode, contract.policies[0])
