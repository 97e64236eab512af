"""What the chat shows beside the answers: a status line, reasons, the policy. Made of metadata alone."""

from collections import Counter
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from guard_integrations.cli.chat.conversation import Turn
from guard_integrations.core.events import EventKind, GuardEvent
from guard_integrations.core.findings import Action
from guard_integrations.core.policy import GuardPolicy
from guard_integrations.core.scanner.catalogue import catalogue

__all__ = ["policy_view", "status_line", "visible", "why_view"]

_DONE = {Action.FLAG: "flagged", Action.FILTER: "filtered", Action.BLOCK: "blocked", None: ""}
_KEY_NEWS = {
    EventKind.KEY_ROTATED: "key changed",
    EventKind.KEY_COOLED: "key cooling",
    EventKind.KEY_DIED: "key dead",
    EventKind.KEY_HEALED: "key healed",
    EventKind.RETRIED: "sent again",
}


def status_line(turn: Turn) -> Text:
    """One line: what the guards did, what moderation said, which key served, how long it took."""
    hits: Counter[str] = Counter()
    for event in turn.of(EventKind.SCANNED, EventKind.BLOCKED):
        hits[f"{_DONE[event.action]} in the {event.stage}"] += sum(event.rules.values()) or 1
    parts = [f"{count} {what}" for what, count in hits.items()] or ["guards: nothing found"]
    judged = turn.of(EventKind.MODERATED)
    flagged = sorted({name for event in judged for name in event.categories})
    if judged:
        parts.append(f"moderation: {', '.join(flagged) or 'ok'}")
    parts += [f"{news} ({event.key})" for event in turn.events if (news := _KEY_NEWS.get(event.kind))]
    parts.append(turn.key)
    if turn.first is not None:
        parts.append(f"first {turn.first:.2f} s")
    parts.append(f"{turn.seconds:.2f} s")
    if turn.tokens is not None:
        parts.append(f"{turn.tokens} tokens")
    return Text(" · ".join(part for part in parts if part), style="dim")


def why_view(turn: Turn) -> RenderableType:
    """Which rules fired in the last turn, where, and why they exist."""
    reasons = {entry.id: entry.rationale for entry in catalogue()}
    rows = [
        (rule, str(count), event.stage or "", _DONE[event.action], reasons.get(rule, "A rule of your own."))
        for event in turn.of(EventKind.SCANNED, EventKind.BLOCKED)
        for rule, count in event.rules.items()
    ]
    parts: list[RenderableType] = []
    if rows:
        parts.append(_table(("rule", "hits", "where", "what", "why"), rows))
    if moderated := dict.fromkeys(_moderated(turn.of(EventKind.MODERATED))):
        parts.append(Text("\n".join(moderated)))
    if turn.problem:
        parts.append(Text(turn.problem))
    return Group(*parts) if parts else Text("Nothing was found, changed or refused.")


def _moderated(events: Iterable[GuardEvent]) -> Iterable[str]:
    # The question is judged first; of an answer, each window.
    for number, event in enumerate(events):
        where = "answer" if number else "question"
        yield f"Moderation of the {where}: {', '.join(event.categories) or 'nothing over a threshold'}."


def policy_view(policy: GuardPolicy) -> RenderableType:
    """The policy in force: what is done with each category, and the settings that decide."""
    rows = [
        (category, action.value, policy.strategies.get(category, "")) for category, action in sorted(policy.actions)
    ]
    facts = [
        f"profile {policy.profile}, fingerprint {policy.fingerprint}",
        f"injection threshold {policy.injection_threshold}, at most {policy.max_input_chars:,} characters of input",
        f"on error: {policy.on_error}; hosts allowed: {', '.join(sorted(policy.allowed_hosts)) or 'none'}",
    ]
    return Group(_table(("category", "action", "strategy"), rows), Text("\n".join(facts)))


def _table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(*columns)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def visible(text: str) -> str:
    """A text that a terminal cannot obey: control and invisible characters are written out."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in text)
