"""A conversation with a guarded model, and what the guards did in each turn."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field

import httpx
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from guard_integrations.cli.chat.wire import Wiretap
from guard_integrations.core.events import EventKind, GuardEvent, add_observer, remove_observer
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.rotation.ring import KeyRing
from guard_integrations.core.sanitizer.input import InputSanitizer
from guard_integrations.errors import GuardError
from guard_integrations.langchain import GuardedChatMistralAI

__all__ = ["Conversation", "Turn"]


@dataclass(slots=True, kw_only=True)
class Turn:
    """One question and what became of it, as metadata.

    Args:
        events: what guards, moderation and keys did, in order.
        seconds: how long the turn took.
        first: seconds to the first character; None where there was none.
        tokens: tokens of question and answer; None where the server did not say.
        key: label of the key that is current afterwards.
        problem: why there is no answer; empty where there is one.
    """

    events: list[GuardEvent] = field(default_factory=list)
    seconds: float = 0.0
    first: float | None = None
    tokens: int | None = None
    key: str = ""
    problem: str = ""

    def of(self, *kinds: EventKind) -> list[GuardEvent]:
        """The events of these kinds."""
        return [event for event in self.events if event.kind in kinds]


class Conversation:
    """A conversation with a guarded Mistral model.

    Args:
        ring: the keys.
        base_url: the API, with its `/v1`.
        model: the model's name.
        policy: what is looked for and what is done about it.
        system: the system prompt; none where empty.
        moderation: whether Mistral's classifier judges question and answer.
    """

    def __init__(  # noqa: PLR0913 - each one is an option of the command
        self,
        ring: KeyRing,
        base_url: str,
        *,
        model: str,
        policy: GuardPolicy,
        system: str = "",
        moderation: bool = True,
    ) -> None:
        self.policy = policy
        self.turn = Turn()
        self._ring = ring
        self._wire = Wiretap(httpx.HTTPTransport())
        client = httpx.Client(
            transport=self._wire,
            auth=ring.auth(),
            base_url=base_url,
            timeout=120,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        self._llm = GuardedChatMistralAI(
            model_name=model,
            base_url=base_url,
            keys=ring,
            client=client,
            policy=policy,
            moderation="both" if moderation else "off",
        )
        self._guard = InputSanitizer(policy)
        self._opening: list[BaseMessage] = [SystemMessage(system)] if system else []
        self._history: list[BaseMessage] = []

    def ask(self, question: str) -> Generator[str]:
        """Asks, and gives the guarded answer piece by piece; then `turn` says what happened.

        A refused question or answer leaves no trace in the conversation.
        """
        turn = self.turn = Turn()
        self._wire.forget()
        answer: list[str] = []
        started = time.monotonic()
        add_observer(turn.events.append)
        try:
            for chunk in self._llm.stream([*self._opening, *self._history, HumanMessage(question)]):
                if chunk.usage_metadata:
                    turn.tokens = chunk.usage_metadata["total_tokens"]
                if text := chunk.text:
                    turn.first = turn.first or time.monotonic() - started
                    answer.append(text)
                    yield text
        except GuardError as error:
            turn.problem = str(error)
        except httpx.HTTPStatusError as error:
            turn.problem = f"The server answered {error.response.status_code}."
        except httpx.HTTPError as error:
            turn.problem = f"The server cannot be reached ({type(error).__name__})."
        finally:
            remove_observer(turn.events.append)
            turn.seconds = time.monotonic() - started
            turn.key = next((key.label for key in self._ring.status() if key.current), "")
        if not turn.problem:
            # Clean, or what was filtered once would be found again in every later turn.
            self._history += [HumanMessage(self._guard.sanitize(question).text), AIMessage("".join(answer))]

    def clear(self) -> None:
        """Forgets what was said."""
        self._history.clear()
        self._wire.forget()
        self.turn = Turn()

    @property
    def raw(self) -> str:
        """What the model said in the last turn, before the guards."""
        return self._wire.text
