"""The chat model: deterministic, offline, and gullible on purpose.

It shows what a guard is for: whatever instruction reaches it, it follows. Each behaviour is a pure function of the
conversation; the first that has something to say gives the answer.

1. `tools.call_tools`: calls tools when told to, by anybody; `tool_choice` is honoured.
2. `leak.leak`: tells its system prompt when asked, in other encodings too.
3. `obey.obey`: says what an instruction wants said: PII, scripts, images with exfiltrating URLs, anything.
4. `read_through`: does 2 and 3 for instructions in disguise: invisible characters, lookalikes, base64.
5. `context.condense`: gives back the follow-up question when asked for a standalone one.
6. `context.quote_tool_result`: quotes what tools answered.
7. `context.answer_from_context`: answers from retrieved context.
8. `context.echo`: repeats the question.

In JSON mode the answer becomes a JSON value that fits the schema, its strings taken from the answer.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from guard_integrations.testing.models.context import answer_from_context, condense, echo, quote_tool_result
from guard_integrations.testing.models.conversation import Conversation
from guard_integrations.testing.models.leak import leak
from guard_integrations.testing.models.obey import obey
from guard_integrations.testing.models.reading import legible
from guard_integrations.testing.models.tools import Call, call_tools
from guard_integrations.testing.models.values import Source, value_for

__all__ = ["BEHAVIOURS", "Answer", "answer"]


def read_through(conversation: Conversation) -> str | None:
    """What an instruction in disguise wants: a leak or an order that only shows in `reading.legible` text."""
    turns = [replace(turn, text=legible(turn.text)) for turn in conversation.turns]
    if turns == conversation.turns:
        return None
    read = replace(conversation, turns=turns)
    said = leak(read)
    return obey(read) if said is None else said


BEHAVIOURS: tuple[Callable[[Conversation], str | None], ...] = (
    leak,
    obey,
    read_through,
    condense,
    quote_tool_result,
    answer_from_context,
)
_BRACES = 50  # opening braces in a prompt at which a schema is looked for
_KEYS = re.compile(r"[`\"']([A-Za-z_]\w*)[`\"']")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A text, or tool calls and no text."""

    text: str
    calls: tuple[Call, ...] = ()


def answer(conversation: Conversation) -> Answer:
    """What the model answers."""
    if calls := call_tools(conversation):
        return Answer(text="", calls=tuple(calls))
    text = next((said for behave in BEHAVIOURS if (said := behave(conversation)) is not None), None)
    if text is None:
        text = echo(conversation)
    if conversation.json_schema is not None or conversation.json_mode:
        text = _as_json(text, conversation)
    last = conversation.turns[-1] if conversation.turns else None
    if last is not None and last.prefix:
        text = last.text + text
    return Answer(text=text)


def _as_json(text: str, conversation: Conversation) -> str:
    schema, prompt = conversation.json_schema, conversation.query
    if schema is None:
        schema, prompt = _schema_in(f"{conversation.system}\n{conversation.user}")
    if schema is None:
        keys = dict.fromkeys(_KEYS.findall(prompt))
        value: object = dict.fromkeys(keys, text) or {"answer": text}
    else:
        value = value_for(schema, Source(text=prompt, filler=text))
    return json.dumps(value, ensure_ascii=False)


def _schema_in(prompt: str) -> tuple[Mapping[str, object] | None, str]:
    """The last JSON schema that stands in the prompt, as output parsers put it there, and the prompt without it."""
    found: Mapping[str, object] | None = None
    rest, at = prompt, 0
    for _ in range(_BRACES if '"properties"' in prompt else 0):
        if (at := prompt.find("{", at)) < 0:
            break
        try:
            value, end = json.JSONDecoder().raw_decode(prompt, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if isinstance(value, dict) and isinstance(value.get("properties"), dict):
            found, rest = value, f"{prompt[:at]}{prompt[end:]}"
        at = end
    return found, rest
