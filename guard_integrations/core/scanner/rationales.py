"""Why each rule is there, for reports."""

from guard_integrations.core.scanner.injection import HIDDEN_RULE, MODEL_RULE
from guard_integrations.core.scanner.invisible import INVISIBLE_RULES
from guard_integrations.core.scanner.markup import MARKUP_RULES
from guard_integrations.core.scanner.overflow import FLOOD_RULE, NESTED_RULE
from guard_integrations.core.scanner.rule import builtin_rules

__all__ = ["rationales"]


def rationales() -> dict[str, str]:
    """The rationale of every rule that comes with the package, by its id."""
    return {
        **{rule.id: rule.rationale for rule in builtin_rules()},
        **{rule: why for rule, (_, why) in (*INVISIBLE_RULES.items(), *MARKUP_RULES.items())},
        MODEL_RULE: "The local model takes this for an order to the assistant.",
        HIDDEN_RULE: "Text in characters that nobody sees is meant for the model alone.",
        FLOOD_RULE: "From here on the text holds more of what attacks are made of than is looked at one by one.",
        NESTED_RULE: "What is encoded again and again cannot be read to its end.",
    }
