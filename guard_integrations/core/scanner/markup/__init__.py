"""Markup in an answer: HTML and Markdown made safe by parser, and held to a policy of hosts."""

from typing import Literal, Protocol, TypeAlias

from guard_integrations.core.findings import Action, Finding
from guard_integrations.core.scanner.detector import Edit, Step
from guard_integrations.core.scanner.markup.flow import Flow
from guard_integrations.core.scanner.markup.markdown import Markdown
from guard_integrations.core.scanner.markup.rules import CATEGORIES, MARKUP_RULES
from guard_integrations.core.scanner.markup.urls import UrlPolicy

__all__ = ["MARKUP_RULES", "MarkupDetector", "Render"]

Render: TypeAlias = Literal["markdown", "html", "text"]
"""Where a text will be shown: as rendered Markdown, as HTML, or as plain text, in a terminal or a chat."""


def _is_telling(text: str) -> bool:
    """Whether there is anything in a whole text that a change could begin at. One character is found fast, two are not."""
    return (
        "<" in text
        or "\\" in text
        or (("[" in text or "]" in text) and any(telling in text for telling in ("](", "]:", "![")))
        or ("/" in text and "://" in text)
        or "www." in text.lower()
    )


class _Reader(Protocol):
    edits: list[tuple[int, int, str]]
    findings: list[tuple[str, int, int]]

    def feed(self, text: str, *, final: bool) -> int: ...


class MarkupDetector:
    """Makes markup safe for where it will be shown.

    - `markdown`: images, links and HTML outside code; code stays as it is.
    - `html`: every tag; nothing is taken for code.
    - `text`: URLs that stand by themselves, since chats and terminals make links of them.

    What loads by itself needs a host of the list. A link stays unless it carries a user, a query or an opaque path on
    a host that is not listed. Written-out terminal escapes go everywhere but in Markdown's code.

    Args:
        render: where the text will be shown.
        allowed_hosts: hosts that, with their subdomains, may be loaded from and linked to.
        listed_only: whether every link needs the list.
        action: what the policy does with the category `markup`; `flag` reports and changes nothing.
        disabled: ids of rules that are not to run.
    """

    def __init__(
        self,
        *,
        render: Render = "markdown",
        allowed_hosts: frozenset[str] = frozenset(),
        listed_only: bool = False,
        action: Action = Action.FILTER,
        disabled: frozenset[str] = frozenset(),
    ) -> None:
        hosts = frozenset(host.strip().strip(".").lower() for host in allowed_hosts)
        self._urls = UrlPolicy(allowed_hosts=hosts, listed_only=listed_only, disabled=disabled)
        self._render = render
        self._action = action

    def start(self) -> "MarkupSession":
        """A session for one text."""
        if self._render == "markdown":
            return MarkupSession(Markdown(self._urls), self._action)
        flow = Flow(self._urls, tags=self._render == "html")
        return MarkupSession(flow, self._action)

    @staticmethod
    def clears(text: str) -> bool:
        """As `Clearing.clears`."""
        return not _is_telling(text)


class MarkupSession:
    """One text on its way; see `detector.Session`."""

    def __init__(self, reader: _Reader, action: Action) -> None:
        self._reader = reader
        self._action = action
        self._fed = False

    def feed(self, text: str, *, final: bool = False) -> Step:
        """Takes the next piece of the text."""
        if final and not self._fed and not _is_telling(text):
            return Step(decided=len(text))
        self._fed = True
        reader = self._reader
        decided = reader.feed(text, final=final)
        if not reader.edits and not reader.findings:
            return Step(decided=decided)
        edits = tuple(Edit(start=start, end=end, text=new) for start, end, new in reader.edits)
        findings = tuple(
            Finding(
                rule=str(rule),
                category=CATEGORIES[rule],
                severity=MARKUP_RULES[rule][0],
                start=start,
                end=end,
                action=self._action,
            )
            for rule, start, end in reader.findings
        )
        reader.edits.clear()
        reader.findings.clear()
        return Step(edits=() if self._action is Action.FLAG else edits, findings=findings, decided=decided)
