"""A deterministic moderation model: words and patterns, by category.

It is a stand-in to test with, not a classifier to rely on: it knows a few dozen words of English.
"""

import re
from collections.abc import Sequence
from zlib import crc32

from guard_integrations.testing.models.conversation import Turn

__all__ = ["CATEGORIES_2411", "CATEGORIES_2603", "THRESHOLD", "moderate", "moderate_chat", "taxonomy"]

THRESHOLD = 0.5

# One hit is 0.9 on its own; a category's further patterns bring it nearer to 1.
_HIT = 0.9

_PATTERNS: dict[str, tuple[str, ...]] = {
    "sexual": (r"\b(?:porn\w*|explicit sex|sex(?:ual)? (?:act|scene)s?|erotic\w*|nudes?)\b",),
    "hate_and_discrimination": (
        r"\b(?:hate|despise|exterminate|deport) (?:all |those |every )?(?:immigrants?|foreigners?|jews?|muslims?|christians?|women|men|gays?|blacks?|whites?)\b",
        r"\b(?:inferior|subhuman|vermin) (?:race|people|religion)s?\b",
        r"\bracial slurs?\b",
    ),
    "violence_and_threats": (
        r"\b(?:kill|murder|stab|shoot|strangle|torture|behead|beat up)\w*\s+(?:you|him|her|them|me|someone|somebody|people|everyone|my|your|his|the)\b",
        r"\bi(?:'ll| will| am going to|'m going to) (?:hurt|kill|destroy) (?:you|him|her|them)\b",
        r"\b(?:massacre|bloodbath|death threats?)\b",
    ),
    "dangerous": (
        r"\b(?:build|make|making|assemble|construct|detonate)\w*\b.{0,30}\b(?:bombs?|explosives?|grenades?|nerve gas|napalm|molotov\w*)\b",
        r"\b(?:pipe bombs?|bioweapons?|chemical weapons?|dirty bombs?)\b",
    ),
    "criminal": (
        r"\b(?:launder(?:ing)? money|money laundering|shoplift\w*|counterfeit\w*|credit card fraud|ransomware|hotwire|pick(?:ing)? (?:a )?locks?)\b",
        r"\b(?:cook|synthesi[sz]e|make|sell)\w*\b.{0,20}\b(?:meth|methamphetamine|heroin|cocaine|fentanyl)\b",
        r"\b(?:break into|rob|burgle)\b.{0,20}\b(?:house|bank|car|store)\b",
    ),
    "selfharm": (
        r"\b(?:kill(?:ing)? myself|suicid\w+|self[- ]?harm\w*|cut(?:ting)? myself|end(?:ing)? my (?:own )?life|want to die)\b",
    ),
    "health": (
        r"\b(?:what|which|how much|how many)\b.{0,30}\b(?:dose|dosage|medication|medicine|ibuprofen|paracetamol|antibiotics?)\b",
        r"\b(?:diagnose|my symptoms|should i take|treatment for my)\b",
    ),
    "financial": (
        r"\b(?:should i|where (?:should|do) i|which)\b.{0,30}\b(?:invest|stocks?|shares|bitcoin|crypto\w*|mortgage)\b",
        r"\b(?:financial advice|stock tips?)\b",
    ),
    "law": (r"\b(?:legal advice|should i sue|can i sue|am i liable|is it legal for me)\b",),
    "pii": (
        r"\b[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{1,63}\b",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"\b(?:my|his|her|their) (?:home address|social security number|passport number|phone number) is\b",
        r"\+\d[\d ()-]{8,}\d\b",
    ),
    "jailbreaking": (
        r"\b(?:ignore|disregard|forget)\b.{0,30}\b(?:instructions?|rules|prompts?|guidelines)\b",
        r"\b(?:you are now|act as|pretend to be)\b.{0,30}\b(?:dan|unrestricted|jailbroken|evil|without (?:any )?(?:rules|restrictions|filters?))\b",
        r"\b(?:jailbreak\w*|developer mode|do anything now|no restrictions)\b",
    ),
}
_COMPILED = {name: tuple(re.compile(p, re.IGNORECASE | re.DOTALL) for p in found) for name, found in _PATTERNS.items()}
_JOINED = "dangerous_and_criminal_content"

# A turn that only makes sense with what stands before it: the context is judged with it.
_GO_ON = re.compile(
    r"^\W*(?:yes|yeah|ok(?:ay)?|sure|please|go on|go ahead|continue|do it|tell me(?: more| how)?|how|and then|what next|why not)\b.{0,40}$",
    re.IGNORECASE | re.DOTALL,
)

CATEGORIES_2603 = tuple(_PATTERNS)
CATEGORIES_2411 = (
    "sexual",
    "hate_and_discrimination",
    "violence_and_threats",
    _JOINED,
    "selfharm",
    "health",
    "financial",
    "law",
    "pii",
)


def taxonomy(model: str) -> tuple[str, ...]:
    """The categories a model name stands for. `mistral-moderation-latest` still points at 2411."""
    return CATEGORIES_2411 if model.endswith(("2411", "latest")) else CATEGORIES_2603


def _scores(text: str) -> dict[str, float]:
    # A real classifier never says 0: the rest is noise below 0.01, seeded by text and category.
    noise = crc32(text.encode(errors="surrogatepass"))
    scores = {}
    for name, patterns in _COMPILED.items():
        hits = sum(pattern.search(text) is not None for pattern in patterns)
        if hits:
            scores[name] = 1 - (1 - _HIT) ** hits
        else:
            scores[name] = (crc32(name.encode(), noise) % 1000) / 100_000
    return scores


def _named(scores: dict[str, float], model: str) -> dict[str, float]:
    joined = {**scores, _JOINED: max(scores["dangerous"], scores["criminal"])}
    return {name: round(joined[name], 6) for name in taxonomy(model)}


def moderate(text: str, model: str) -> dict[str, float]:
    """Scores from 0 to 1 by category of the model's taxonomy; above 0.5 is a hit."""
    return _named(_scores(text), model)


def moderate_chat(turns: Sequence[Turn], model: str) -> dict[str, float]:
    """Scores of the last turn, given its context.

    A last turn that only carries on ("yes, go on", "how?") takes nine tenths of the scores of the turns before it.
    """
    if not turns:
        return moderate("", model)
    last = turns[-1].text
    scores = _scores(last)
    if _GO_ON.match(last):
        for turn in turns[:-1]:
            if turn.role != "system":
                before = _scores(turn.text)
                scores = {name: max(score, 0.9 * before[name]) for name, score in scores.items()}
    return _named(scores, model)
