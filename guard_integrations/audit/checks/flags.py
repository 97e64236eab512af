"""Arguments whose name says that they are dangerous."""

from collections.abc import Iterator
from typing import Final

from guard_integrations.audit.checks._examples import python
from guard_integrations.audit.model import Check, Hit
from guard_integrations.audit.source import SourceFile
from guard_integrations.core.findings import Severity

__all__ = ["DANGEROUS_FLAG"]


def _dangerous(file: SourceFile) -> Iterator[Hit]:
    for call in file.python.calls:
        for keyword in call.keywords:
            if (keyword.arg or "").startswith("allow_dangerous") and file.python.constant(keyword.value) is True:
                yield file.hit(keyword, f"{keyword.arg} is switched on.")


DANGEROUS_FLAG: Final = Check(
    id="GI025",
    name="dangerous-flag",
    severity=Severity.MEDIUM,
    title="allow_dangerous_* is switched on",
    rationale=(
        "The flag is there because what it allows (running a model's code, unpickling an index, requests to anywhere) is "
        "as safe as whoever writes the prompt, the file or the page."
    ),
    remediation="Leave it out; else sandbox the code, sign the index, or list the hosts.",
    keywords=("allow_dangerous",),
    bad=(python("FAISS.load_local('index', embeddings, allow_dangerous_deserialization=True)\n"),),
    good=(
        python("FAISS.load_local('index', embeddings, allow_dangerous_deserialization=False)\n"),
        python("def load(allow_dangerous_deserialization: bool = False): ...\n"),
    ),
    inspect=_dangerous,
)
