"""Tool calls: the model calls a tool when it is told to, whoever tells it."""

import ast
import hashlib
import json
import re
from dataclasses import dataclass

from guard_integrations.testing.models.conversation import Conversation, OfferedTool
from guard_integrations.testing.models.values import Source, value_for

__all__ = ["Call", "call_tools"]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TO_BRACE = re.compile(
    r"[`\"']?\s*(?:tool|function)?\s*(?:with|using)?\s*(?:the|these)?\s*(?:arguments?|args|inputs?|parameters|json)?\s*[:=]?[\s`]*(?=\{)",
    re.IGNORECASE,
)
_SHORT = 4  # letters below which a word has no ending to ignore
_GENERIC = frozenset(
    "a and by call do fetch find for from get in list lookup of query run search the to tool use".split()  # noqa: SIM905 - one line
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call: nine letters and digits, the tool's name, the arguments as JSON."""

    id: str
    name: str
    arguments: str


def call_tools(conversation: Conversation) -> list[Call]:
    """The tools to call now.

    `tool_choice` decides first: "none" calls nothing, "any" and "required" call one, the best fitting that was not called
    yet, and a named tool is called. "auto" calls the tools whose name stands in what was not answered yet (`send_email`,
    "send email"), in a document or a tool result too; failing that, one tool if the user's question has all the telling
    words of its name ("weather" for `get_weather`); failing that, the only tool, if its name is a class's and no verb's
    (`Place`): so frameworks ask for structured output. A tool that was called since the last answer is not called again.
    Without `parallel_tool_calls` only the first is called.

    Arguments: a JSON object or a Python-style call behind the tool's name is taken as it stands; else they are made from
    the question by `values.value_for`. The same conversation gives the same calls and ids.
    """
    if not conversation.tools or conversation.tool_choice == "none":
        return []
    chosen = _chosen(conversation)
    if not conversation.parallel_tool_calls:
        chosen = chosen[:1]
    seed = "\x00".join(turn.text for turn in conversation.turns)
    return [
        Call(
            id=_identifier(f"{seed}\x00{tool.name}\x00{place}"),
            name=tool.name,
            arguments=_arguments(tool, conversation),
        )
        for place, tool in enumerate(chosen)
    ]


def _chosen(conversation: Conversation) -> list[OfferedTool]:
    if conversation.tool_choice.startswith("="):
        return [tool for tool in conversation.tools if tool.name == conversation.tool_choice[1:]]
    fresh = [tool for tool in conversation.tools if tool.name not in conversation.called]
    if conversation.tool_choice in ("any", "required"):
        candidates = fresh or list(conversation.tools)
        named = [tool for tool in candidates if _mention(tool.name, conversation.untrusted)]
        if named:
            return named
        return [max(candidates, key=lambda tool: _fit(tool, conversation.query))]
    named = [tool for tool in fresh if _mention(tool.name, conversation.untrusted)]
    if named or conversation.called:
        return named
    telling = [tool for tool in fresh if _telling_words_in(tool.name, conversation.query)][:1]
    return telling or [tool for tool in fresh if len(conversation.tools) == 1 and _is_form(tool.name)]


def _mention(name: str, text: str) -> re.Match[str] | None:
    spoken = re.escape(name).replace("_", r"[_\s-]").replace(r"\-", r"[_\s-]")
    return re.search(rf"(?<!\w){spoken}(?!\w)", text, re.IGNORECASE)


def _is_form(name: str) -> bool:
    return name[0].isupper() and _split(name)[0] not in _GENERIC


def _split(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).casefold())


def _name_words(name: str) -> list[str]:
    return [word for word in _split(name) if word not in _GENERIC]


def _stands_in(word: str, words: list[str]) -> bool:
    if len(word) < _SHORT:
        return word in words
    stem = word[: max(_SHORT, len(word) - 2)]
    return any(other.startswith(stem) for other in words)


def _telling_words_in(name: str, text: str) -> bool:
    telling, words = _name_words(name), re.findall(r"[a-z0-9]+", text.casefold())
    return bool(telling) and all(_stands_in(word, words) for word in telling)


def _fit(tool: OfferedTool, text: str) -> int:
    words = re.findall(r"[a-z0-9]+", text.casefold())
    return sum(_stands_in(word, words) for word in {*_name_words(tool.name), *_name_words(tool.description)})


def _arguments(tool: OfferedTool, conversation: Conversation) -> str:
    if mention := _mention(tool.name, conversation.untrusted):
        given = _given(tool, conversation.untrusted[mention.end() :])
        if given is not None:
            return json.dumps(given, ensure_ascii=False)
    # An order to call a tool comes from where the tool is named; its values stand there, too.
    text = conversation.query if mention is None else conversation.untrusted
    value = value_for(tool.parameters, Source(text=text, filler=conversation.query))
    return json.dumps(value, ensure_ascii=False)


def _given(tool: OfferedTool, behind: str) -> dict[str, object] | None:
    if brace := _TO_BRACE.match(behind):
        try:
            value, _ = json.JSONDecoder().raw_decode(behind, brace.end())
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None
    if not behind.startswith("(") or (end := _closing(behind)) is None:
        return None
    try:
        call = ast.parse(f"f{behind[: end + 1]}", mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        names = list(properties) if isinstance(properties := tool.parameters.get("properties"), dict) else []
        pairs = [*zip(names, call.args, strict=False), *((word.arg or "", word.value) for word in call.keywords)]
        return {name: ast.literal_eval(value) for name, value in pairs}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _closing(text: str) -> int | None:
    depth = 0
    quoted = ""
    for place, letter in enumerate(text[:2000]):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "\"'":
            quoted = letter
        elif letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
            if depth == 0:
                return place
    return None


def _identifier(seed: str) -> str:
    number = int.from_bytes(hashlib.sha256(seed.encode(errors="surrogatepass")).digest()[:8])
    letters = []
    for _ in range(9):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)
