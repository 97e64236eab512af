"""Marks where somebody else's text begins and ends, so that a model can tell it from its instructions."""

import hashlib
import hmac
import re
import secrets
from typing import Final

__all__ = ["build_safe_messages", "spotlight", "unspotlight", "without_spotlighted", "wrap"]

_KEY: Final = secrets.token_bytes(32)
"""Per process: a document written yesterday cannot know the nonce of today."""
_TAG: Final = re.compile(r"[<\uff1c]([\s/\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*user_query)", re.IGNORECASE)
_OPENING: Final = re.compile(r'<untrusted id="([0-9a-f]{16})">\n')
_MARKED: Final = re.compile(r'<untrusted id="([0-9a-f]{16})">\n(.*)\n</untrusted id="\1">', re.DOTALL)


def wrap(text: str) -> str:
    """The user's text in a `<user_query>` tag.

    Whatever in the text looks like the tag, opening or closing, in any case and with white space or invisible
    characters in it, gets its `<` written as `&lt;`, so that the text cannot end its own tag.
    """
    escaped = _TAG.sub(r"&lt;\1", text)
    return f"<user_query>{escaped}</user_query>"


def build_safe_messages(system: str, user_input: str) -> list[dict[str, str]]:
    """The two messages of a call: the instructions as they are, and the user's text wrapped.

    Args:
        system: the application's instructions.
        user_input: the user's text. It is wrapped, not sanitised: that is `InputSanitizer`'s work.

    Returns:
        Messages in the form of the Mistral API.
    """
    return [{"role": "system", "content": system}, {"role": "user", "content": wrap(user_input)}]


def spotlight(text: str) -> str:
    """A document or a tool's result in a tag that it cannot forge.

    The tag carries the HMAC of the text under a key that this process made at random, 64 bits of it. So a text cannot
    contain its own end, equal texts give equal prompts, and a text that is already marked is known by its nonce and
    stays as it is. Source: Hines et al., "Defending Against Indirect Prompt Injection Attacks With Spotlighting", 2024.
    """
    if unspotlight(text) is not None:
        return text
    nonce = _nonce(text)
    return f'<untrusted id="{nonce}">\n{text}\n</untrusted id="{nonce}">'


def unspotlight(text: str) -> str | None:
    """The text inside the mark, when the whole text is marked by this process; else None."""
    found = _MARKED.fullmatch(text)
    if found is None or not hmac.compare_digest(found[1], _nonce(found[2])):
        return None
    return found[2]


def without_spotlighted(text: str) -> str:
    """A text less what this process has marked in it as somebody else's; a mark that does not verify stays."""
    kept: list[str] = []
    done = 0
    for opening in _OPENING.finditer(text):
        closing = f'\n</untrusted id="{opening[1]}">'
        end = text.find(closing, opening.end())
        if opening.start() < done or end < 0 or not hmac.compare_digest(opening[1], _nonce(text[opening.end() : end])):
            continue
        kept.append(text[done : opening.start()])
        done = end + len(closing)
    return "".join((*kept, text[done:]))


def _nonce(text: str) -> str:
    return hmac.new(_KEY, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]
