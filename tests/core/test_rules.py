"""Every built-in pack: its rules are well made, match their examples, and leave their counterexamples alone."""

import re
from functools import cache

import pytest
from rule_samples import written_out

from guard_integrations import PolicyError
from guard_integrations.core.findings import Action
from guard_integrations.core.scanner.engine import RuleSet
from guard_integrations.core.scanner.rule import builtin_rules, load_pack
from guard_integrations.core.scanner.session import RuleDetector
from guard_integrations.core.scanner.treatment import Treatment

RULES = builtin_rules()


@cache
def detector_of(rule):
    return RuleDetector(RuleSet([rule]), {rule.id: Treatment(action=Action.FLAG, label=rule.label)})


def found(rule, text):
    return detector_of(rule).start().feed(text, final=True).findings


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_matches_its_examples_and_not_its_counterexamples(rule):
    assert [text for text in rule.examples if not found(rule, written_out(text))] == []
    assert [text for text in rule.counterexamples if found(rule, written_out(text))] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_well_made(rule):
    assert list(rule.problems()) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_class_holds_a_counter(rule):
    """There it counts nothing: it adds its digits, its comma and its braces to the class."""
    classes = re.findall(r"(?<!\\)\[(?:\\.|[^\]\\])*\]", f"{rule.pattern} {rule.lead}")
    assert [one for one in classes if re.search(r"\{\d+(,\d*)?\}", one)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_label_is_no_finding(rule):
    assert [other.id for other in RULES if other.stages & rule.stages and rule.label and found(other, rule.label)] == []


MINIMAL = """
[[rule]]
id = "mine"
category = "pii"
severity = "low"
pattern = 'a{1,3}'
rationale = "r"
examples = ["a"]
stages = ["output"]
profiles = ["balanced"]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"mine"', '"Mine"', "rule Mine: id"),
        ("'a{1,3}'", "'a+'", "rule mine: pattern has no bound"),
        ("'a{1,3}'", "'a*'", "rule mine: pattern"),
        ("'a{1,3}'", "'(?=a)'", "rule mine: pattern: character 1"),
        ("'a{1,3}'", "'a{1,900}'", "counters go up to 200"),
        ("'a{1,3}'", r"'\bönce'", r"has a \\b beside a letter that is not ASCII"),
        ('"pii"', '"colour"', "rule mine: category"),
        ('"r"', '"r"\nunknown = 1', "rule mine: unknown"),
        ('"r"', '"r"\nvalidator = "none"', "there is no 'none'"),
        ('"r"', '"r"\nlead = "ab"', "lead is not a pattern of one character"),
        ('"r"', '"r"\ntail = [{ run = "ab" }]', "tail.0 is not a pattern of one character"),
        ('"r"', '"r"\nkeep = "b+"', "keep has no bound"),
        ('"r"', '"r"\nthrough = "b"', "through: only for rules"),
        ("[[rule]]", "[[rule", "is not TOML"),
    ],
)
def test_what_is_wrong_with_a_pack_is_said_with_file_rule_and_fault(tmp_path, old, new, said):
    pack = tmp_path / "pack.toml"
    pack.write_text(MINIMAL)
    assert [rule.id for rule in load_pack(pack)] == ["mine"]
    pack.write_text(MINIMAL.replace(old, new))
    with pytest.raises(PolicyError, match=said) as caught:
        load_pack(pack)
    assert "pack.toml" in str(caught.value)
    assert caught.value.__context__ is None
