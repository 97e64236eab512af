"""Answers from what was given: retrieved context, tool results, and else next to nothing."""

import re

from guard_integrations.testing.models.conversation import Conversation
from guard_integrations.testing.models.words import words

__all__ = ["answer_from_context", "condense", "echo", "quote_tool_result"]

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+(?=\s|$)|[.!?](?!\s|$)[^.!?\n]*)*")
_STANDALONE = re.compile(r"standalone (?:question|query)", re.IGNORECASE)


def condense(conversation: Conversation) -> str | None:
    """The follow-up question as it stands, when a chat engine asks for a standalone question."""
    return conversation.query if _STANDALONE.search(conversation.user) and conversation.query else None


def quote_tool_result(conversation: Conversation) -> str | None:
    """The tools' results, quoted."""
    results = [f"{turn.name or 'The tool'} says: {turn.text}" for turn in conversation.tool_results]
    return "\n".join(results) or None


def answer_from_context(conversation: Conversation) -> str | None:
    """The sentence of the retrieved context that has most words in common with the question, and the next best.

    The second is given if it shares at least half as many words with the question; both stand in the order of the context.
    Without a word in common there is no answer in the context, and the model says so.
    """
    if not conversation.context:
        return None
    asked = set(words(conversation.query))
    sentences = [found.group().strip() for found in _SENTENCE.finditer(conversation.context)]
    overlap = [(len(asked.intersection(words(sentence))), -place) for place, sentence in enumerate(sentences)]
    best = sorted(overlap, reverse=True)[:2]
    if not best or best[0][0] == 0:
        return "The context does not say."
    chosen = sorted(-place for shared, place in best if 2 * shared >= best[0][0])
    return " ".join(sentences[place] for place in chosen)


def echo(conversation: Conversation) -> str:
    """A short harmless answer that repeats the question, if there is one, and nothing else."""
    question = next((s for s in _SENTENCE.findall(conversation.query) if s.endswith("?")), None)
    if question:
        return f"You asked: {question.strip()} I am a small local model and know only what I am given."
    return f"I have read your message of {len(conversation.query.split())} words. What would you like to know?"
