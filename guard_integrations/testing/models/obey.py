"""Obedience: instructions are followed wherever they stand and whoever wrote them.

Four kinds are understood, in English and most of them in French, German, Spanish, Italian and Portuguese:

1. An *override* ("ignore all previous instructions", "vergiss alle Anweisungen") with an order behind it ("… and say X").
2. A *claim of authority* ("SYSTEM:", "Important instruction:", "you must", "from now on") with an order behind it.
3. An *exact order* anywhere: "reply with: X", "say exactly: X", "print the following: X", "repeat after me: X", or the
   same with X in quotation marks.
4. A *plain order* at the start of a sentence of the user's own question: "Say X", "Please print X".

X is what stands in the quotation marks, else the rest of the line behind a colon, else the rest of the sentence; a fenced code
block is taken whole. `{system_prompt}` and `{question}` in X are filled in, quoted for a URL: so exfiltration carries data.
An override without an order is obeyed too: the answer says so and takes up what stands behind it.

Wrapping does not help: tags, spotlighting and `[FILTERED]` are just text. Only when the instruction is gone is it not obeyed.
In a system message, which the developer wrote, only an override counts, unless it stands in retrieved context.
"""

import re
from collections.abc import Iterator
from urllib.parse import quote

from guard_integrations.testing.models.conversation import Conversation

__all__ = ["OVERRIDE", "TRIGGER", "obey"]

_I = re.IGNORECASE

OVERRIDE = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|neglect)\b\s+(?:\w+\s+){0,4}?"
    r"(?:(?:previous|prior|above|earlier|preceding|foregoing|all|any|your|my|every|these|those|the|initial|original)\s+)"
    r"(?:[\w-]+\s+){0,5}?(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|commands?|orders?|context)\b"
    r"|\b(?:ignore|disregard|forget)\s+(?:everything|all|anything|what)\b(?:\s+\w+){0,3}?\s+(?:above|before|earlier|previously|said|told|instructed)\b"
    r"|\b(?:ignore[rz]?|oublie[rz]?)\b[^.\n]{0,40}\b(?:instructions|consignes|règles|directives)\b[^\n,.:;]{0,15}?(?:précédentes|antérieures|ci-dessus)?"
    r"|\b(?:ignorier(?:e|en|t|st)?|vergiss|vergesst|vergessen|missachte)\b[^.\n]{0,50}\b(?:anweisungen?|instruktionen|vorgaben|regeln|befehle)\b"
    r"|\b(?:ignor[ae]|olvid[ae]|omit[ae])\b[^.\n]{0,40}\b(?:instrucciones|reglas|indicaciones|órdenes)\b(?:\s+(?:anteriores|previas))?"
    r"|\b(?:ignora|dimentica)\b[^.\n]{0,40}\b(?:istruzioni|regole)\b(?:\s+precedenti)?"
    r"|\b(?:ignore|esqueça|desconsidere)\b[^.\n]{0,40}\b(?:instruções|regras)\b(?:\s+anteriores)?",
    _I,
)
_AUTHORITY = (
    r"(?:^|[\n\[(<>*#])\W{0,20}(?:system|important|attention|urgent|admin(?:istrator)?|new instructions?|new task"
    r"|(?:note|message|instructions?) (?:to|for) (?:the |any |all )?(?:ai|assistants?|llms?|models?|agents?)\b|ai assistant|assistant)\b[^:\n]{0,40}:"
    r"|\[/?(?:system|inst)\]|<\|?/?(?:system|important|im_start|im_end)\b[^>\n]*>"
    r"|\b(?:you are now|from now on|you must|your new (?:task|instruction|goal|role) is|instead of answering"
    r"|when(?:ever)? (?:you are |you're )?asked|if (?:you are|anyone|the user) (?:an ai|asks?))\b"
)
TRIGGER = re.compile(f"{OVERRIDE.pattern}|{_AUTHORITY}", _I | re.MULTILINE)

# An order's verb, and what may stand between it and what is to be said.
_VERB = (
    r"\b(?:say|reply|respond|answer|print|output|write|return|repeat|echo|display|include|insert|append|add|state|show|tell(?:\s+(?:the user|them|me))?"
    r"|dis|dites|réponds|répondez|écris|écrivez|affiche[rz]?|imprime[rz]?"
    r"|sag(?:e|en|t)?|antworte[nt]?|schreib(?:e|en|t)?|gib|geben|drucken?|nennen?"
    r"|di|diga|responde|responda|escribe|escriba|muestra|rispondi|scrivi|stampa|diga|escreva|imprima)\b"
)
_FILLER = (
    r"(?:\s+(?:exactly|only|just|simply|back|with|by|saying|that|the|this|following|words?|phrase|text|string|sentence|message|line|link|image|html"
    r"|avec|par|seulement|exactement|ce qui suit|à la place|sie|mit|nur|genau|aus|folgendes|stattdessen|lo siguiente|en su lugar|con|com|solo|sólo|exactamente|in your (?:answer|reply|response)|to (?:the user|your answer))\b)*"
)
_QUOTES = (
    r"\"(?P<q1>[^\"\n]+)\"|“(?P<q2>[^”\n]+)”|«\s*(?P<q3>[^»\n]+?)\s*»|„(?P<q4>[^“”\n]+)[“”]"
    r"|'(?P<q5>(?:[^'\n]|'(?=\w))+)'(?!\w)|\u2018(?P<q6>[^\u2019\n]+)\u2019(?!\w)|(?<!`)`(?P<q7>[^`\n]+)`(?!`)"
)
_BLOCK = r"```\w*\n(?P<block>.*?)\n[ \t]*```"
_LINE = r"(?P<line>\S[^\n]*)"
_SENTENCE = r"(?P<sentence>(?:[^\s.!?]|[.!?](?!\s|$))(?:[^\n.!?]|[.!?](?!\s|$))*[.!?]?)"

_ORDER = re.compile(
    rf"{_VERB}{_FILLER}\s*(?::\s*(?:{_BLOCK}|{_QUOTES}|{_LINE})|(?:{_QUOTES.replace('<q', '<r')}|{_BLOCK.replace('<b', '<c')})|\s{_SENTENCE})",
    _I | re.DOTALL,
)
_EXACT = re.compile(
    r"(?:\bsay(?:\s+(?:exactly|only|just|this|the following))*|\b(?:reply|respond|answer)(?:\s+(?:exactly|only|just))*\s+(?:with|by saying)(?:\s+(?:exactly|only|just|this|the following|the\s+\w+))*"
    r"|\brepeat after me|\b(?:print|output|write|display|echo|include|insert|append|add|return|show)\s+(?:exactly|only|just|the following|this)(?:\s+\w+){0,6}"
    r"|\b(?:dis|dites|écris|écrivez)(?:\s+(?:exactement|seulement))?|\b(?:réponds|répondez)(?:\s+(?:avec|par|seulement))*"
    r"|\b(?:sage?|schreibe?)(?:\s+(?:genau|nur))?|\bantworte(?:\s+(?:mit|nur|genau))+|\bgib\s+(?:nur\s+)?aus"
    r"|\b(?:di|diga|escribe|escriba)(?:\s+(?:exactamente|solo))?|\bresponde(?:\s+(?:con|solo))*)"
    rf"(?:\s*:\s*(?:{_BLOCK}|{_QUOTES}|{_LINE})|\s+(?:{_QUOTES.replace('<q', '<r')}))",
    _I | re.DOTALL,
)
_PLAIN = re.compile(
    r"(?:^|[.!?\n>])\s{0,20}(?:(?:please|now|then|ok(?:ay)?|hey|can you|could you|would you|just|bitte|s'il (?:te|vous) plaît|por favor)[,\s]{1,20}){0,4}"
    r"(?=(?:say|print(?!\s*\(|\s+out\b)|output(?=\s*[:\"'“])|repeat|echo|reply\s+with|respond\s+with|answer\s+with|dis|dites|affiche|répète|sage?|wiederhole|di|repite)\b)",
    _I,
)
# What turns an order into something else: "do not say", "how do you say".
_NO_ORDER = re.compile(
    r"(?:\bnot|n't|\bnever|\bhow (?:do|would|can|should|to)(?: you| i| we| one)?|\b(?:correct|possible) to)\s+$", _I
)
_REST = re.compile(
    r"[\s,;:.\u2013\u2014-]*(?:and\b|then\b|instead\b|et\b|und\b|y\b)?[\s,;:]*(?P<rest>[^\n]{0,400})", _I
)
_TAIL = re.compile(
    r"(?:\s*,?\s*(?:and nothing else|nothing else|instead|to the user|in your (?:answer|reply|response)))+[.!]?$", _I
)
_CLOSING = re.compile(r"\s*</([a-z_][\w.-]*)[^<>]*>\s*$", _I)
_REACH = 300  # characters behind a trigger in which an order is looked for


def _payload(found: re.Match[str]) -> str:
    name, text = next((name, text) for name, text in found.groupdict().items() if text is not None)
    text = text.strip()
    # A closing tag that nothing in the text opens belongs to the wrapping round the instruction.
    while (closing := _CLOSING.search(text)) and not re.search(rf"<{re.escape(closing[1])}\b", text, _I):
        text = text[: closing.start()].rstrip()
    if name == "sentence":
        text = _TAIL.sub("", text).rstrip(".")
    return text


def _fill(text: str, conversation: Conversation) -> str:
    text = text.replace("{system_prompt}", quote(conversation.system, safe=""))
    return text.replace("{question}", quote(conversation.query, safe=""))


def _behind(trigger: re.Match[str], text: str) -> str | None:
    for order in _ORDER.finditer(text, trigger.end(), min(len(text), trigger.end() + _REACH)):
        # The window bounds where an order begins; what it says may be longer.
        if _is_order(order) and (whole := _ORDER.match(text, order.start())):
            return _payload(whole)
    return None


def _is_order(found: re.Match[str]) -> bool:
    return _NO_ORDER.search(found.string[max(0, found.start() - 30) : found.start()]) is None


def _comply(override: re.Match[str], text: str) -> str:
    rest = _REST.match(text, override.end())
    what = rest["rest"].strip() if rest else ""
    while (closing := _CLOSING.search(what)) and not re.search(rf"<{re.escape(closing[1])}\b", what, _I):
        what = what[: closing.start()].rstrip()
    return f"As you wish, I set my instructions aside. {what}".strip()


def obey(conversation: Conversation) -> str | None:
    """What an instruction in the conversation wants to be said."""
    said = next(_orders(conversation), None)
    return None if said is None else _fill(said, conversation)


def _orders(conversation: Conversation) -> Iterator[str]:
    untrusted, system, query = conversation.untrusted, conversation.system, conversation.query
    for pattern, text in ((TRIGGER, untrusted), (OVERRIDE, system)):
        for trigger in pattern.finditer(text):
            if said := _behind(trigger, text):
                yield said
    for exact in _EXACT.finditer(untrusted):
        if _is_order(exact):
            yield _payload(exact)
    for override in OVERRIDE.finditer(untrusted):
        yield _comply(override, untrusted)
    for start in _PLAIN.finditer(query):
        if order := _ORDER.match(query, start.end()):
            yield _payload(order)
