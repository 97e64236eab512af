"""The checks, one module per subject.

A module offers `Check`s; they run once they are listed here. Ids never change their meaning: GI001 to GI006 are the six
questions of the textbook checklist (key from the environment, `.env` ignored, no hard-coded key, moderation, output
sanitised, audit logging). A check is run on every file of its `languages` that holds one of its `keywords`; what it
asks of a file (`python.calls`, `python.name`, `python.origins`, `secrets`) is worked out once for all checks.
"""

from typing import Final

from guard_integrations.audit.checks.answers import UNGUARDED_STREAM, UNSANITISED_OUTPUT
from guard_integrations.audit.checks.callbacks import CALLBACK_BLOCKS, CALLBACK_LOGS_CONTENT
from guard_integrations.audit.checks.chains import FALLBACK_ROUND_GUARD, GUARD_BEHIND, UNGUARDED_RETRIEVAL
from guard_integrations.audit.checks.debugging import DEBUG_LEFT_ON
from guard_integrations.audit.checks.env_files import ENV_FILE
from guard_integrations.audit.checks.execution import ANSWER_EXECUTED
from guard_integrations.audit.checks.flags import DANGEROUS_FLAG
from guard_integrations.audit.checks.guardrails import GUARDRAIL_OFF
from guard_integrations.audit.checks.key_care import KEY_PRINTED, KEY_STRING
from guard_integrations.audit.checks.key_life import KEY_SHARED, KEY_STATIC
from guard_integrations.audit.checks.keys import HARD_CODED_KEY, KEY_FROM_ELSEWHERE
from guard_integrations.audit.checks.logs import ERROR_LOGGED_WHOLE, NO_AUDIT_LOG
from guard_integrations.audit.checks.moderation import NO_MODERATION, OLD_MODERATION_MODEL, SAFE_PROMPT
from guard_integrations.audit.checks.prompts import UNGUARDED_INPUT
from guard_integrations.audit.checks.rendering import UNSAFE_RENDERING
from guard_integrations.audit.checks.system_prompts import USER_IN_SYSTEM
from guard_integrations.audit.checks.tools import UNCHECKED_TOOL
from guard_integrations.audit.model import Check

__all__ = ["CHECKS"]

_ALL: Final = (
    ANSWER_EXECUTED,
    CALLBACK_BLOCKS,
    CALLBACK_LOGS_CONTENT,
    DANGEROUS_FLAG,
    DEBUG_LEFT_ON,
    ENV_FILE,
    ERROR_LOGGED_WHOLE,
    FALLBACK_ROUND_GUARD,
    GUARDRAIL_OFF,
    GUARD_BEHIND,
    HARD_CODED_KEY,
    KEY_FROM_ELSEWHERE,
    KEY_PRINTED,
    KEY_SHARED,
    KEY_STATIC,
    KEY_STRING,
    NO_AUDIT_LOG,
    NO_MODERATION,
    OLD_MODERATION_MODEL,
    SAFE_PROMPT,
    UNCHECKED_TOOL,
    UNGUARDED_INPUT,
    UNGUARDED_RETRIEVAL,
    UNGUARDED_STREAM,
    UNSAFE_RENDERING,
    UNSANITISED_OUTPUT,
    USER_IN_SYSTEM,
)
CHECKS: Final[tuple[Check, ...]] = tuple(sorted(_ALL, key=lambda check: check.id))
"""All checks, in the order of their ids."""
