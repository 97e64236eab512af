"""Which run is going on, and what guards, moderation and keys have done in it.

A framework's handler opens a run where work begins; whatever emits an event or makes a request while that run is the
innermost one is counted there. A context variable says which one it is, so that threads and tasks that copy their
context are told apart. A run that has ended stops counting, also in contexts that still name it, and so does one whose
handler is gone: its outer run counts again.
"""

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from threading import Lock
from typing import Final
from uuid import UUID

from guard_integrations.core.findings import Action, Finding
from guard_integrations.core.forms import moderation_names, rule_id
from guard_integrations.errors import GuardBlocked

__all__ = [
    "Run",
    "begin",
    "count_answer",
    "count_policy",
    "count_request",
    "current",
    "current_id",
    "outside",
    "resumed",
    "run_of",
]

_DEEPEST: Final = 100
"""Runs that never ended are let go of when they are this far out."""

_GUARDRAIL: Final = "mistral-guardrail"
"""Rule id of the server's own guardrail; its categories are not those of the moderation that this package asks for."""

_MODERATION: Final = "moderation-"
"""Rule ids of moderation, whose findings are counted with its verdict."""

_NONE: Final[Mapping[str, Mapping[Action, int]]] = {}

_lock = Lock()


class _Link:
    """A run as contexts name it: weakly, for a run that never ends must not outlive its handler."""

    __slots__ = ("depth", "outer", "run")

    def __init__(self, run: "Run", outer: "_Link | None") -> None:
        self.depth: int = outer.depth + 1 if outer else 0
        self.outer = outer if self.depth < _DEEPEST else None
        self.run = weakref.ref(run)


class Run:
    """A run that is going on, and its counts. Content cannot get in.

    Args:
        run_id: the framework's id; None where the framework has none.
        outer: the run that this one is part of.

    Attributes:
        link: how contexts name it.
        open: how many handlers have begun it and not ended it.
        has_record: whether a handler that knows more than its times writes its record.
        key: label of the key that the last request was sent with.
        status: of the last answer.
        retries: how many times a request was sent again.
        policy: fingerprint of the policy.
    """

    __slots__ = (
        "__weakref__", "_findings", "_guardrails", "_moderation", "has_record", "id", "key", "link", "open", "outer",
        "policy", "retries", "status",
    )  # fmt: skip

    def __init__(self, run_id: UUID | None, outer: "Run | None" = None) -> None:
        self.id = run_id
        self.outer = outer
        self.link: _Link = _Link(self, outer.link if outer else None)
        self.open = 1
        self.has_record = False
        self.retries = 0
        self.key: str | None = None
        self.status: int | None = None
        self.policy: str | None = None
        self._findings: Counter[tuple[str, Action]] | None = None
        self._moderation: set[str] | None = None
        self._guardrails: set[str] | None = None

    def found(self, findings: Iterable[Finding]) -> None:
        """Counts findings, by rule and by what was done about them."""
        self._count((rule_id(each.rule), each.action) for each in findings)

    def blocked(self, refusal: GuardBlocked) -> None:
        """Counts a refusal, once for each rule."""
        self._count((rule_id(rule), Action.BLOCK) for rule in refusal.rules if not rule.startswith(_MODERATION))
        if _GUARDRAIL in refusal.rules:
            self.violated(refusal.categories)

    def violated(self, categories: Iterable[str]) -> None:
        """Notes the categories of the server's guardrail that were violated."""
        with _lock:
            self._guardrails = (self._guardrails or set()) | set(categories)

    def moderated(self, flags: Iterable[str]) -> None:
        """Notes the categories that were over their threshold."""
        with _lock:
            self._moderation = (self._moderation or set()) | set(flags)

    def _count(self, hits: Iterable[tuple[str, Action]]) -> None:
        with _lock:
            if self._findings is None:
                self._findings = Counter()
            self._findings.update(hits)

    @property
    def findings(self) -> Mapping[str, Mapping[Action, int]]:
        """How often each rule hit, by rule id and action."""
        if self._findings is None:
            return _NONE
        counts: dict[str, dict[Action, int]] = {}
        for (rule, action), count in sorted(self._findings.items()):
            counts.setdefault(rule, {})[action] = count
        return counts

    @property
    def moderation(self) -> tuple[str, ...]:
        """Moderation's categories over their threshold."""
        return moderation_names(self._moderation) if self._moderation else ()

    @property
    def guardrails(self) -> tuple[str, ...]:
        """Categories of the server's guardrail that were violated."""
        return moderation_names(self._guardrails) if self._guardrails else ()

    @property
    def ended(self) -> bool:
        """Whether everybody who has begun it has ended it."""
        return self.open <= 0

    def end(self) -> None:
        """Stops counting, once for each `begin`."""
        self.open -= 1


_current: ContextVar[_Link | None] = ContextVar("guard_integrations_run", default=None)
_known: "weakref.WeakValueDictionary[UUID, Run]" = weakref.WeakValueDictionary()


def begin(run_id: UUID | None, parent: UUID | None = None) -> Run:
    """Makes a run the innermost one of this context; one that another handler has begun is the same run.

    Args:
        run_id: its id.
        parent: the id of the run that it is part of; what goes on here where None or unknown.
    """
    there = run_of(run_id)
    if there is not None:
        there.open += 1
        _current.set(there.link)
        return there
    run = Run(run_id, _outer(parent))
    if run_id:
        _known[run_id] = run
    _current.set(run.link)
    return run


def _outer(parent: UUID | None) -> Run | None:
    return run_of(parent) or current()


def current() -> Run | None:
    """The innermost run that has not ended."""
    link = _current.get()
    while link is not None:
        run = link.run()
        if run is not None and not run.ended:
            return run
        link = link.outer
    return None


def current_id() -> UUID | None:
    """Its id."""
    run = current()
    return run.id if run is not None else None


def known(run_id: UUID | None) -> Run | None:
    """The run of this id, whether it goes on or has just ended."""
    return _known.get(run_id) if run_id else None


def run_of(run_id: UUID | None) -> Run | None:
    """The run of this id, for as long as it goes on."""
    run = _known.get(run_id) if run_id else None
    return run if run is not None and not run.ended else None


def count_request(key: str, *, again: bool) -> None:
    """Notes in the run that goes on which key a request is sent with, and whether it was sent before."""
    run = current()
    if run is not None:
        run.key = key
        run.retries += again


def count_answer(status: int) -> None:
    """Notes in the run that goes on the status of an answer."""
    run = current()
    if run is not None:
        run.status = status


def count_policy(fingerprint: str) -> None:
    """Notes in the run that goes on which policy guards it."""
    run = current()
    if run is not None:
        run.policy = fingerprint


class resumed:  # noqa: N801 - a context manager; a class, since a generator costs microseconds a token
    """Makes a run the innermost one for a while, whatever context this is; None leaves everything as it is."""

    __slots__ = ("_run", "_token")

    def __init__(self, run: Run | None) -> None:
        self._run = run
        self._token: Token[_Link | None] | None = None

    def __enter__(self) -> None:
        if self._run is not None:
            self._token = _current.set(self._run.link)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)


class outside(resumed):  # noqa: N801 - as above
    """Has nothing counted for a while: what goes on belongs to no run, or is counted elsewhere."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_NOWHERE)


_NOWHERE: Final = Run(None)
_NOWHERE.end()
