"""What everything that finds something in a text has in common, whether the text is all there or still growing.

Batch and stream are one path: a batch is one `feed` with `final=True`.
"""

from typing import NamedTuple, Protocol

from guard_integrations.core.findings import Finding

__all__ = ["Clearing", "Detector", "Edit", "Session", "Step"]


class Edit(NamedTuple):
    """Something else stands in a text's stead. Offsets are characters from the beginning of the whole text.

    One is made for every match, which is why it is a tuple: it costs a third of a dataclass.

    Args:
        start: first character that goes.
        end: one past the last character that goes.
        text: what is written instead.
        continues: this goes on with an edit reported before, whose end is where this begins: nothing is written.
    """

    start: int
    end: int
    text: str = ""
    continues: bool = False


class Step(NamedTuple):
    """What a session has come to know from one more piece of text; a tuple, since one is made for every token.

    Args:
        decided: characters from the beginning of the text before which no further edit will start.
        edits: final: no text that follows changes them. An edit may reach past `decided`.
        findings: whose whole extent is known now. One with the action `block` refuses the whole text.
    """

    decided: int
    edits: tuple[Edit, ...] = ()
    findings: tuple[Finding, ...] = ()


class Session(Protocol):
    """One text on its way through a detector."""

    def feed(self, text: str, *, final: bool = False) -> Step:
        """Takes the next piece of the text, the last one with `final`; then `decided` is the text's length."""


class Detector(Protocol):
    """Finds things. Holds no state of any text, and is safe to share between threads."""

    def start(self) -> Session:
        """A session for one text."""


class Clearing(Detector, Protocol):
    """A detector that can also say of many texts at once that there is nothing in any of them."""

    def clears(self, text: str) -> bool:
        """Whether it is certain that nothing is found in the text, nor in any stretch of it between line breaks.

        "In a stretch" means: were it a text of its own. So texts may be joined by line breaks and looked at together.
        False says nothing.
        """
