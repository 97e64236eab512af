"""The development data, by source: what is trained on, what is left out together, and where each set stands.

Nothing here is shipped. The folder is `../shared/data` beside the repository, or GUARD_SHARED_DATA.
"""

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Stage = Literal["input", "document"]

FOLDS: dict[str, tuple[str, ...]] = {
    "jailbreak": (
        "inthewild_jailbreak_2023_05",
        "jackhhao_train",
        "jackhhao_rest_benign",
        "pyrit_inthewild_trustairlab",
        "pyrit_jailbreak_templates",
        "gptfuzzer_templates",
        "giskard_prompt_injections",
        "prompts_chat_benign",
    ),
    "hackaprompt": ("hackaprompt_parapet", "promptshield_hackaprompt", "promptshield_ifeval_benign", "benign_triviaqa"),
    "gandalf": ("gandalf_ignore_instructions", "mosscap_sample", "benign_oasst2"),
    "deepset": ("deepset_train", "benign_dolly"),
    "agentdojo": ("agentdojo_rendered_dev", "agentdojo_traces_dev", "benign_docs_tech_dev"),
    "injecagent": ("injecagent_dev", "benign_ultrachat"),
    "bipia": ("bipia_train_embedded", "benign_mmlu", "cyberseceval_frr_benign"),
    "bastion": ("bastioncorpus", "benign_wildchat"),
    "mini": ("jailbreak_corpus_mini", "xstest", "benign_instructions_small"),
    "struq": ("promptshield_struq_alpaca",),
}
"""Sets that share a source, and so are left out together."""

UNTRAINED = frozenset({"mosscap_sample", "promptshield_struq_alpaca"})
"""Measured, never trained on: noisy labels; non-commercial carriers."""

DOCUMENTS = frozenset({"agentdojo_rendered_dev", "agentdojo_traces_dev", "injecagent_dev", "bipia_train_embedded"})
"""Sets of documents and tool results; the others are users' turns."""

BOTH = frozenset({"benign_docs_tech_dev"})
"""Benign sets that are also measured as documents."""

_INDIRECT = {"bastioncorpus": ("tool_output", "memory", "document", "rag")}
"""Sets that hold both kinds: what the categories of documents contain."""

_DUPLICATED = {("jackhhao_train", 1)}  # the same 327 texts as inthewild_jailbreak_2023_05


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One text of a set; `label` is 1 for an attack."""

    text: str
    label: int
    set: str
    fold: str
    category: str
    stage: Stage


def folder() -> Path:
    """Where the development data is.

    Raises:
        FileNotFoundError: when it is not on this machine.
    """
    found = Path(os.environ.get("GUARD_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data") / "dev"
    if not found.is_dir():
        raise FileNotFoundError(f"no development data in {found}: set GUARD_SHARED_DATA")
    return found


def rows(fold: str) -> Iterator[Row]:
    """The rows of one fold, in the order of their files."""
    for name in FOLDS[fold]:
        path = folder() / f"{name}.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                label = int(row["label"])
                if (name, label) in _DUPLICATED:
                    continue
                category = str(row.get("category"))
                indirect = name in DOCUMENTS or any(part in category for part in _INDIRECT.get(name, ()))
                yield Row(
                    text=row["text"],
                    label=label,
                    set=name,
                    fold=fold,
                    category=category,
                    stage="document" if indirect else "input",
                )


def is_direct(row: Row) -> bool:
    """Whether an attack in a document is one in a user's turn, too: it overrides, and does not merely ask."""
    return "important_instructions" in row.category or "enhanced" in row.category
