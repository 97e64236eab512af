"""What an IDE knows of the public calls: checked by mypy, in its strict mode, as users would have it."""

import subprocess
import sys
from pathlib import Path

import pytest

CALLS = """
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable, RunnableSerializable
from pydantic import BaseModel

from guard_integrations import GuardPolicy, KeyRing, OutputSanitizer
from guard_integrations.core.sanitizer.json_stream import JsonStream
from guard_integrations.langchain import (
    DocumentGuard,
    GuardedChatMistralAI,
    GuardMiddleware,
    MetadataCallbackHandler,
    RunnableInputGuard,
    RunnableModerationGuard,
    RunnableOutputSanitizer,
)


class Note(BaseModel):
    text: str


llm = GuardedChatMistralAI(policy=GuardPolicy.strict(), moderation="off", on_block="refuse", model_name="mistral-small-latest")
assert_type(llm, GuardedChatMistralAI)
assert_type(llm.invoke("Hi"), AIMessage)
assert_type(llm.stream("Hi"), Iterator[AIMessageChunk])
assert_type(llm.astream("Hi"), AsyncIterator[AIMessageChunk])
assert_type(llm.batch(["Hi"]), list[AIMessage])
assert_type(llm.keys, KeyRing | None)
assert_type(llm.bind_tools([]), Runnable[LanguageModelInput, AIMessage])
assert_type(llm.with_structured_output(Note), Runnable[LanguageModelInput, dict[Any, Any] | BaseModel])
assert_type(RunnableInputGuard(wrap=True, keys=("question",)) | llm, RunnableSerializable[Any, AIMessage])
assert_type(llm | RunnableOutputSanitizer(render="html"), RunnableSerializable[LanguageModelInput, Any])
assert_type(RunnableModerationGuard(stage="output").invoke("Hi"), Any)
assert_type(OutputSanitizer().json_stream(), JsonStream)
assert_type(OutputSanitizer().json_stream().feed("{}"), str)
create_agent(llm, middleware=[GuardMiddleware(spotlight=True, tool_policies={"search": GuardPolicy.strict()})])
llm.invoke("Hi", {"callbacks": [MetadataCallbackHandler(print)]})


async def main() -> None:
    assert_type(await llm.ainvoke("Hi"), AIMessage)
    assert_type(await DocumentGuard().atransform_documents([Document("Hi")]), list[Document])
    async for chunk in llm.astream("Hi"):
        assert_type(chunk, AIMessageChunk)
"""
WRONG = {
    'GuardedChatMistralAI(on_block="never")': "arg-type",
    'RunnableOutputSanitizer(render="pdf")': "arg-type",
    "GuardMiddleware(spotlite=True)": "call-arg",
    'DocumentGuard(on_injection="ignore")': "arg-type",
}  # fmt: skip


def checked(folder: Path, code: str) -> str:
    file = folder / "calls.py"
    file.write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own interpreter
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_public_calls_have_the_types_that_their_frameworks_have(tmp_path):
    assert checked(tmp_path, CALLS) == ""


@pytest.mark.slow
def test_a_wrong_call_is_seen(tmp_path):
    names = "DocumentGuard, GuardedChatMistralAI, GuardMiddleware, RunnableOutputSanitizer"
    said = checked(tmp_path, "\n".join([f"from guard_integrations.langchain import {names}", *WRONG]))
    for number, code in enumerate(WRONG.values(), start=2):
        assert f"calls.py:{number}: error" in said
        assert f"[{code}]" in said
