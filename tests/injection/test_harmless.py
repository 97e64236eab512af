"""Harmless sentences full of the words that attacks use. Written for this test; nothing is trained on them."""

from pathlib import Path

import pytest

from guard_integrations import InputSanitizer

HERE = Path(__file__).parent
SAID = (HERE / "harmless_said.txt").read_text(encoding="utf-8").splitlines()
"""What documents say to people: harmless in a user's turn, too."""
ASKED = (HERE / "harmless_asked.txt").read_text(encoding="utf-8").splitlines()
"""What users ask: ordinary in their own turn."""
GUARD = InputSanitizer()


@pytest.mark.parametrize(("stage", "texts"), [("input", [*SAID, *ASKED]), ("document", SAID), ("tool", SAID)])
def test_harmless_sentences_full_of_trigger_words_pass(stage, texts):
    assert len(set(texts)) == len(texts) > 100
    flagged = [text for text in texts if GUARD.scan(text, stage).is_injection]
    assert len(flagged) <= 0.02 * len(texts), flagged
