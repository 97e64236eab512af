"""The categories that Mistral's moderation models know, old and new.

`mistral-moderation-2411` has one category where `mistral-moderation-2603` has two, and no `jailbreaking`.

Source: https://docs.mistral.ai/capabilities/guardrailing/
"""

from typing import Final

__all__ = ["CATEGORIES_2411", "CATEGORIES_2603", "MERGED", "PARTS", "SUBJECTS"]

MERGED: Final = "dangerous_and_criminal_content"
"""What the older model has in place of `PARTS`."""
PARTS: Final = ("dangerous", "criminal")
SUBJECTS: Final = frozenset({"health", "financial", "law", "pii"})
"""Categories that say what a text is about, not that it harms."""
_SHARED: Final = frozenset({"sexual", "hate_and_discrimination", "violence_and_threats", "selfharm"}) | SUBJECTS
CATEGORIES_2411: Final = _SHARED | {MERGED}
CATEGORIES_2603: Final = _SHARED | {*PARTS, "jailbreaking"}
