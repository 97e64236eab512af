"""Guards for LangChain: `RunnableInputGuard() | ChatMistralAI() | RunnableOutputSanitizer()`.

Needs the extra `langchain`; `GuardMiddleware` needs `agents` as well. Each name loads what it needs when it is first
used: the stages load langchain-core alone, the guarded model langchain-mistralai, the middleware langchain.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard_integrations.langchain.callbacks import MetadataCallbackHandler
    from guard_integrations.langchain.chat_models import GuardedChatMistralAI
    from guard_integrations.langchain.documents import DocumentGuard
    from guard_integrations.langchain.middleware import GuardMiddleware
    from guard_integrations.langchain.moderation import RunnableModerationGuard
    from guard_integrations.langchain.runnables import RunnableInputGuard, RunnableOutputSanitizer

__all__ = [
    "DocumentGuard",
    "GuardMiddleware",
    "GuardedChatMistralAI",
    "MetadataCallbackHandler",
    "RunnableInputGuard",
    "RunnableModerationGuard",
    "RunnableOutputSanitizer",
]

_MODULES = {
    "DocumentGuard": "documents",
    "GuardMiddleware": "middleware",
    "GuardedChatMistralAI": "chat_models",
    "MetadataCallbackHandler": "callbacks",
    "RunnableInputGuard": "runnables",
    "RunnableModerationGuard": "moderation",
    "RunnableOutputSanitizer": "runnables",
}
_EXTRAS = {"GuardMiddleware": "agents"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    missing = None
    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("guard_integrations"):
            raise
        missing = error.name
    extra = _EXTRAS.get(name, "langchain")
    raise ModuleNotFoundError(
        f"{name} needs {missing}: install it with pip install 'guard-integrations[{extra}]'.", name=missing
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
