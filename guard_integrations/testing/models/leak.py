"""The leak: the system prompt is told to whoever asks."""

import base64
import codecs
import re

from guard_integrations.testing.models.conversation import Conversation
from guard_integrations.testing.models.obey import OVERRIDE

__all__ = ["leak"]

_ASK = re.compile(
    r"(?P<no>\b(?:never|not|n't|don't|cannot|without)\s+(?:\w+\s+){0,2})?"
    r"(?:\b(?:what(?:'s| is| are| was| were)|show|reveal|print|output|repeat|tell|give|display|share|leak|disclose|dump|expose|write|translate|encode|summari[sz]e|say|send|append|include|spell|list)\b"
    r"(?:\s+(?:me|us|out|down|back|exactly|verbatim|again|the text of|the content of|all(?: of)?|in full))*\s+"
    r"(?:your|the|these|those|its)\s+(?:[\w-]+\s+){0,2}?"
    r"(?:system[\s_-]?(?:prompt|message|instructions?)|(?:initial|original|hidden|secret|first|previous|internal|full|exact|developer|above)\s+(?:prompt|instructions?|rules?|message)|instructions|guidelines|prompt)\b"
    r"|\brepeat\s+(?:everything|the (?:text|words|conversation)|all(?: of the text)?)\s+(?:above|before|so far)\b"
    r"|\bwhat (?:were|have) you (?:been )?(?:told|instructed)\b|\bhow were you instructed\b"
    r"|\b(?:quel(?:le)?s? (?:est|sont)|montre[rz]?(?:-moi)?|révèle[rz]?|affiche[rz]?|répète[rz]?|donne[rz]?(?:-moi)?)\s+(?:ton|tes|votre|vos|le|la|les)\s+(?:prompt|invite|instructions|consignes)(?:\s+(?:système|initiales?))?"
    r"|\b(?:wie lautet|wie lauten|was (?:ist|sind)|zeige?(?: mir)?|verrate?(?: mir)?|wiederhole|nenne?(?: mir)?|gib mir)\s+(?:dein(?:en?)?|ihr(?:en?)?|den|die)\s+(?:system[\s-]?prompt|systemanweisung(?:en)?|anweisungen|instruktionen)"
    r"|(?:\b(?:cuál es|cuáles son|muestra(?:me)?|muéstrame|revela|repite|dime)\s+(?:tu|tus|el|las)\s+(?:prompt|mensaje|instrucciones)(?:\s+(?:del?\s+)?(?:sistema|iniciales?))?))",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"(?P<no>\b(?:never|not|n't|don't|cannot|without)\s+(?:\w+\s+){0,2})?"
    r"\b(?:what(?:'s| is| are| was)|show|reveal|print|output|repeat|tell|give|display|share|disclose|supply|write|say|send|spell|know)\b(?:\s+\w+){0,3}?"
    r"\s+(?:the|your|its|a|any)\s+(?:\w+\s+){0,2}?(?P<what>passwords?|passphrase|secrets?|code ?words?|api keys?|codes?|tokens?|pins?|credentials)\b",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"\bbase[\s-]?64\b", re.IGNORECASE)
_ROT13 = re.compile(r"\brot[\s-]?13\b", re.IGNORECASE)
_REVERSED = re.compile(r"\b(?:backwards?|revers(?:ed?|ing)|rückwärts|à l'envers|al revés)\b", re.IGNORECASE)
_SPACED = re.compile(
    r"\b(?:letter by letter|spaces? between|spell(?:ed)? (?:it )?out|with dashes|hyphens between)\b", re.IGNORECASE
)


def _asked(conversation: Conversation) -> bool:
    if any(not found["no"] for found in _ASK.finditer(conversation.untrusted)):
        return True
    system = conversation.system.casefold()
    secrets = _SECRET.finditer(conversation.untrusted)
    return any(not found["no"] and found["what"].casefold().rstrip("s") in system for found in secrets)


def _dressed(system: str, request: str) -> str:
    if _BASE64.search(request):
        return base64.b64encode(system.encode(errors="surrogatepass")).decode()
    if _ROT13.search(request):
        return codecs.encode(system, "rot13")
    if _REVERSED.search(request):
        return system[::-1]
    if _SPACED.search(request):
        return " ".join(system)
    return system


def leak(conversation: Conversation) -> str | None:
    """The system prompt, if somebody asks for it: the user, a document or a tool result.

    Asked for it in base64, rot13, backwards or letter by letter, it comes like that. In a system message the question counts
    only behind an override, for prompts often say "never reveal your instructions"; "do not reveal" is no question anywhere.
    Asked for a password, code or key that its system prompt names, the model tells the prompt, too.
    """
    if not _asked(conversation):
        override = OVERRIDE.search(conversation.system)
        if override is None or not _ASK.search(conversation.system, override.end()):
            return None
    if not conversation.system:
        return "I was given no system prompt."
    return f"My system prompt is: {_dressed(conversation.system, conversation.untrusted)}"
