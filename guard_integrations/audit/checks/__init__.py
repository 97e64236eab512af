"""The checks, one module per subject.

A module offers `Check`s; they run once they are listed here. Ids never change their meaning: GI001 to GI006 are the six
questions of the textbook checklist (key from the environment, `.env` ignored, no hard-coded key, moderation, output
sanitised, audit logging). A check is run on every file of its `languages` that holds one of its `keywords`; what it
asks of a file (`python.calls`, `python.name`, `python.origins`, `script.calls`, `settings`, `secrets`) is worked out
once for all checks. What guards, whoever made it, is told in `guards`; `Hit.unless` names what makes a hit none.
"""

from typing import Final

from guard_integrations.audit.checks.guardrails import GUARDRAIL_OFF
from guard_integrations.audit.checks.keys import HARD_CODED_KEY
from guard_integrations.audit.model import Check

__all__ = ["CHECKS"]

CHECKS: Final[tuple[Check, ...]] = tuple(sorted((HARD_CODED_KEY, GUARDRAIL_OFF), key=lambda check: check.id))
"""All checks, in the order of their ids."""
