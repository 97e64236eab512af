"""Reading prompts from the user's own file."""

import json
from pathlib import Path

from guard_integrations.cli.demo.scenario import Prompt

__all__ = ["read_prompts"]

_FIELDS = ("text", "prompt", "input", "question", "content")


def read_prompts(file: Path) -> tuple[Prompt, ...]:
    """Reads a file of prompts: one a line, or JSON Lines of strings or of objects with a text field.

    Raises:
        ValueError: when the file is empty, or a line of JSON holds no prompt; the message names the line.
    """
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise ValueError(f"{file} holds no prompt.")
    as_json = file.suffix.lower() in {".jsonl", ".ndjson", ".json"}
    texts = (_from_json(file, number, line) if as_json else line for number, line in numbered)
    return tuple(Prompt(text=text, kind="yours") for text in texts)


def _from_json(file: Path, number: int, line: str) -> str:
    row: object = None
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        row = None
    if isinstance(row, dict):
        row = next((row[field] for field in _FIELDS if isinstance(row.get(field), str)), None)
    if not isinstance(row, str):
        raise ValueError(  # noqa: TRY004 - the file is at fault, not a caller's type
            f"{file}, line {number}: not a JSON string, nor an object with one of: {', '.join(_FIELDS)}."
        )
    return row
