"""Names of people and places, found by an analyzer that reads sentences.

What such an analyzer makes of a word depends on the whole sentence. So a text is handed to it paragraph by paragraph,
and nothing of a paragraph is decided before it has ended. However a text is cut into chunks, the paragraphs are the
same.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from guard_integrations.core.findings import Action, Finding
from guard_integrations.core.scanner.detector import Edit, Step
from guard_integrations.core.scanner.name_rules import NAME_RULES
from guard_integrations.core.scanner.treatment import Treatment

__all__ = ["MAX_PARAGRAPH", "Analyzer", "NameDetector"]


MAX_PARAGRAPH: Final = 8192
"""Characters of a paragraph that are read at once; a longer one is cut after a sentence, or else a word."""
_BLANK_LINE: Final = re.compile(r"\n[ \t\r]*\n")
_SENTENCE_END: Final = re.compile(r"[.!?…。！？]\s")  # noqa: RUF001 - full stops of other scripts
_HALF: Final = re.compile("[\ud800-\udfff]")
"""Half a character, which no analyzer reads."""
_WRITTEN: Final = re.compile(r"\[\w{1,80}\]|\*{8}")
"""A label, a hash, a pseudonym, a mask: what a guard has written, or is about to restore."""


class Found(Protocol):
    """A result of an analyzer; Presidio's `RecognizerResult` is one."""

    entity_type: str
    start: int
    end: int
    score: float


class Analyzer(Protocol):
    """What finds names in a text; Presidio's `AnalyzerEngine` is one."""

    supported_languages: list[str]

    def analyze(self, text: str, language: str, entities: list[str]) -> Sequence[Found]:
        """The entities in a text, in characters of it."""


class NameDetector:
    """Names, as a detector.

    Args:
        analyzer: reads the text, once in each of its languages.
        treatments: what is done with each kind of name, by rule id; kinds without one are not looked for.
        allowed: names that are never a finding; compared whole, regardless of case.
    """

    def __init__(
        self, analyzer: Analyzer, treatments: Mapping[str, Treatment], *, allowed: frozenset[str] = frozenset()
    ) -> None:
        self._analyzer = analyzer
        self._kinds = {rule.entity: (rule, treatments[rule.id]) for rule in NAME_RULES if rule.id in treatments}
        self._allowed = frozenset(text.casefold() for text in allowed)

    def start(self) -> "_NameSession":
        """A session for one text."""
        return _NameSession(self)

    def look(self, paragraph: str, base: int) -> tuple[list[Edit], list[Finding]]:
        """The names in a paragraph that begins at a place of the whole text."""
        edits: list[Edit] = []
        findings: list[Finding] = []
        if not any(char.isalpha() for char in paragraph):
            return edits, findings
        written = [found.span() for found in _WRITTEN.finditer(paragraph)]
        done = 0
        # Of those that begin together the longest; of those that overlap the first.
        for start, end, entity, score in sorted(self._names(paragraph), key=lambda name: (name[0], -name[1], name[2])):
            value = paragraph[start:end]
            known = value.casefold() in self._allowed or any(first < end and start < last for first, last in written)
            if start < done or known:
                continue
            done = end
            rule, treatment = self._kinds[entity]
            if treatment.action is Action.FILTER:
                label = treatment.label if treatment.replace is None else treatment.replace(value)
                edits.append(Edit(base + start, base + end, label))
            findings.append(
                Finding(
                    rule=rule.id,
                    category=rule.category,
                    severity=rule.severity,
                    start=base + start,
                    end=base + end,
                    score=score,
                    action=treatment.action,
                )
            )
        return edits, findings

    def _names(self, paragraph: str) -> set[tuple[int, int, str, float]]:
        """Start, end, kind and score of what is found in any of the languages, without the white space around it."""
        text = _HALF.sub("\ufffd", paragraph)
        names: set[tuple[int, int, str, float]] = set()
        for language in self._analyzer.supported_languages:
            for found in self._analyzer.analyze(text=text, language=language, entities=list(self._kinds)):
                value = paragraph[found.start : found.end]
                start = found.start + len(value) - len(value.lstrip())
                end = found.start + len(value.rstrip())
                if start < end and found.entity_type in self._kinds:
                    names.add((start, end, found.entity_type, min(1.0, max(0.0, float(found.score)))))
        return names


class _NameSession:
    """One text on its way; see `detector.Session`."""

    __slots__ = ("_base", "_detector", "_text")

    def __init__(self, detector: NameDetector) -> None:
        self._detector = detector
        self._text = ""
        """What has come of the paragraph that has not ended; it begins at `_base` in the whole text."""
        self._base = 0

    def feed(self, text: str, *, final: bool = False) -> Step:
        """Takes the next piece of the text."""
        self._text += text
        edits: list[Edit] = []
        findings: list[Finding] = []
        while (end := _paragraph(self._text, final=final)) is not None:
            more_edits, more_findings = self._detector.look(self._text[:end], self._base)
            edits += more_edits
            findings += more_findings
            self._text = self._text[end:]
            self._base += end
        return Step(self._base, tuple(edits), tuple(findings))


def _paragraph(text: str, *, final: bool) -> int | None:
    """Where the first paragraph of a text ends; None where that needs more text, or there is no text."""
    blank = _BLANK_LINE.search(text, 0, MAX_PARAGRAPH)
    if blank is not None:
        return blank.end()
    if len(text) <= MAX_PARAGRAPH:
        return len(text) if final and text else None
    sentence = max((end.end() for end in _SENTENCE_END.finditer(text, MAX_PARAGRAPH // 2, MAX_PARAGRAPH)), default=0)
    return sentence or text.rfind(" ", 0, MAX_PARAGRAPH) + 1 or MAX_PARAGRAPH
