"""What has to be asked to judge a text or a conversation. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from guard_integrations.core.moderation.cache import keyed_hash
from guard_integrations.core.moderation.content import last_turn, read_turn, within
from guard_integrations.core.moderation.split import group, scrub, split
from guard_integrations.errors import PolicyError

__all__ = ["Case", "Message", "Planner", "Unit"]

Message: TypeAlias = Mapping[str, object]
"""`{"role": ..., "content": text or blocks}`, in any spelling that LangChain, LlamaIndex or Mistral use."""

_TEXTS = "moderations"
_CHATS = "chat/moderations"
_BATCH_INPUTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One thing the classifier is asked about, within its context.

    Args:
        path: the endpoint that is asked.
        payload: what it is asked; left out of `repr`.
        key: a keyed hash of all that.
        weight: bytes of the payload.
    """

    path: str
    payload: object = field(repr=False)
    key: bytes
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing the caller asks about.

    Args:
        units: what to ask, each with the span of the caller's text that it judges.
        unchecked: kinds of content that the classifier cannot read.
        length: characters of the caller's text.
    """

    units: tuple[tuple[Unit, int, int], ...] = ()
    unchecked: tuple[str, ...] = ()
    length: int = 0


class Planner:
    """Turns texts and conversations into cases.

    Args:
        limit: bytes that one unit may hold.
        hash_key: key of the units' hashes.
        scope: whom is asked: the same question to another model is another unit.
    """

    def __init__(self, *, limit: int, hash_key: bytes, scope: str) -> None:
        self._limit = limit
        self._hash_key = hash_key
        self._scope = scope.encode()

    def text(self, text: str) -> Case:
        """A text; one without words needs no unit."""
        text = scrub(text)
        if not text.strip():
            return Case()
        pieces = [(text[start:end], start, end) for start, end in split(text, self._limit)]
        return Case(
            units=tuple((self._unit(_TEXTS, piece, piece.encode()), start, end) for piece, start, end in pieces),
            length=len(text),
        )

    def chat(self, messages: Sequence[Message]) -> Case:
        """The last turn of a conversation; its spans count through the texts of that turn, one after another.

        Raises:
            PolicyError: for an empty conversation.
        """
        if not messages:
            raise PolicyError("an empty conversation has no last turn to judge")
        before, turn = last_turn([read_turn(message) for message in messages])
        units: list[tuple[Unit, int, int]] = []
        length = 0
        for message in turn:
            for sent, start, end in within(before, message, self._limit):
                content = json.dumps(sent, sort_keys=True, separators=(",", ":")).encode()
                units.append((self._unit(_CHATS, sent, content), length + start, length + end))
            length += len(message.text)
            before = [*before, message]
        unchecked = dict.fromkeys(kind for message in turn for kind in message.unchecked)
        return Case(units=tuple(units), unchecked=tuple(unchecked), length=length)

    def batches(self, units: Sequence[Unit]) -> list[list[Unit]]:
        """Requests: neighbours for one endpoint, few and small enough to go together."""
        batches: list[list[Unit]] = []
        for path in (_TEXTS, _CHATS):
            same = [unit for unit in units if unit.path == path]
            runs = group([unit.weight for unit in same], limit=self._limit, most=_BATCH_INPUTS)
            batches += [[same[index] for index in run] for run in runs]
        return batches

    def _unit(self, path: str, payload: object, content: bytes) -> Unit:
        key = keyed_hash(self._hash_key, self._scope, path.encode(), content)
        return Unit(path=path, payload=payload, key=key, weight=len(content))
