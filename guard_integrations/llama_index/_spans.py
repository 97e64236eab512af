"""Keeping raw arguments out of LlamaIndex's spans."""

from collections.abc import Callable
from typing import TypeVar, cast

import wrapt
from llama_index_instrumentation.dispatcher import DISPATCHER_SPAN_DECORATED_ATTR

__all__ = ["outside_spans", "without_span"]

_Function = TypeVar("_Function", bound=Callable[..., object])


def outside_spans(function: _Function) -> _Function:
    """Has LlamaIndex open no span for a method that cleans its arguments and hands them to its parent.

    LlamaIndex wraps every override of a traced method, and a span handler is given the arguments as they came in.
    A method that says it is wrapped already is left alone; the parent's own span then holds the clean arguments.
    """
    setattr(function, DISPATCHER_SPAN_DECORATED_ATTR, True)
    return function


def without_span(method: _Function) -> _Function:
    """A bound method less the span that LlamaIndex has put round it; any other wrapping stays."""
    if isinstance(method, wrapt.BoundFunctionWrapper) and hasattr(method, DISPATCHER_SPAN_DECORATED_ATTR):
        return cast("_Function", method.__wrapped__)
    return method
