"""What things are called in programs that use language models, in Python and in TypeScript."""

import re
from typing import Final

__all__ = [
    "ANSWER_NAME",
    "CLEANS",
    "CLEANS_OUTPUT",
    "KEY_NAME",
    "MODEL_NAME",
    "SERVERS",
    "TEXT_METHODS",
    "USER_NAMES",
    "WEB",
]

USER_NAMES: Final = frozenset(
    {
        "customer_name", "display_name", "message", "query", "question", "user_input", "user_message", "user_name",
        "user_prompt", "user_query", "user_question", "user_text", "username", "utterance",
        "customerName", "displayName", "userInput", "userMessage", "userName", "userPrompt", "userQuery", "userQuestion",
    }
)  # fmt: skip
"""Parameters and template variables that hold what a user says."""
MODEL_NAME: Final = re.compile(
    r"(?i)(?:^|_)(?:llm|model|chain|agent|graph|rag|qa|bot|assistant|executor|runnable|pipeline|client|resilient)s?$"
    r"|(?:llm|model|chain|agent|graph|assistant|pipeline)$"
)
"""Variables that hold something that asks a model."""
ANSWER_NAME: Final = re.compile(
    r"(?i)(?:^|[_.$])(?:answers?|reply|replies|completions?|responses?|generated\w*|llm_?\w*|ai_?\w*|chat_?\w*|bot_?\w*"
    r"|summary|translation|output_?text|assistant\w*)$"
)
"""Variables that hold what a model answers, where nothing else is known of them."""
CLEANS: Final = re.compile(
    r"(?i)^_?(?:sanitiz|sanitis|clean|guard|moderat|redact|scrub|purify|escape|encode|encodeuri|anonymi|mask|filter_|strip_"
    r"|validate|verify|check|assert|is_?safe|is_?harm|is_?allowed|is_?flagged|allowed|refuse|detect|literal_eval|parse_obj"
    r"|model_validate|scan)|(?:sanitize|sanitise|clean|escape|moderate|guard|redact)(?:d|_?text|_?html|_?input|_?output|_?prompt)?$"
)
"""Functions out of which text comes checked or cleaned."""
CLEANS_OUTPUT: Final = re.compile(
    r"(?i)(?:sanitiz|sanitis|redact|scrub|clean|filter|escape|purify|guard|encode)\w*(?:out|answer|reply|response|completion|html)"
    r"|^(?:out|answer|reply|response)\w*(?:guard|sanit|clean|redact)"
)
"""Functions whose name says that they clean what a model answers."""
KEY_NAME: Final = re.compile(r"(?i)(?:api|secret|access|mistral|openai|auth)_?(?:key|token)s?$|^authorization$")
"""Variables that hold a credential."""
SERVERS: Final = frozenset(
    {
        "aiohttp", "bottle", "chainlit", "discord", "django", "falcon", "fastapi", "flask", "gradio", "langserve", "litestar",
        "quart", "rest_framework", "robyn", "sanic", "slack_bolt", "starlette", "streamlit", "telegram", "tornado",
    }
)  # fmt: skip
"""Libraries that answer people over a network."""
WEB: Final = SERVERS - {"streamlit", "gradio", "chainlit", "discord", "telegram", "slack_bolt"}
"""Those among them that serve programs or many people, and should keep records."""
TEXT_METHODS: Final = frozenset(
    {
        "str", "format", "format_map", "join", "strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "replace",
        "get", "getlist", "get_json", "json", "text", "dedent", "read", "decode", "splitlines", "split", "removeprefix",
        "get_username", "get_full_name", "pop", "input", "chat_input", "text_input", "text_area", "removesuffix",
        "String", "trim", "toString", "slice", "substring", "replaceAll", "concat", "stringify", "parse", "safeParse", "map",
        "toLowerCase", "toUpperCase", "formData", "filter", "question", "getAll",
    }
)  # fmt: skip
"""Functions that give the text, or the form, that they are given."""
