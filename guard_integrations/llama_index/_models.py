"""What LlamaIndex wants to know of a model before it asks it anything."""

from typing import Final

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.llms.mistralai.utils import MISTRALAI_MODELS, is_mistralai_function_calling_model

__all__ = ["metadata_of"]

_CONTEXT_WINDOW: Final = 128_000
"""Tokens, for a model that LlamaIndex's table does not know."""


def metadata_of(model: str, max_tokens: int) -> LLMMetadata:
    """Its context, in tokens, and whether it calls functions; one that the table does not know gets defaults."""
    known = model.split(":")[1] if model.startswith("ft:") else model
    window = MISTRALAI_MODELS.get(known)
    return LLMMetadata(
        context_window=window or _CONTEXT_WINDOW,
        num_output=max_tokens,
        is_chat_model=True,
        model_name=model,
        is_function_calling_model=window is None or is_mistralai_function_calling_model(model),
    )
