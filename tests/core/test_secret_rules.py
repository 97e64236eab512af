"""Secrets: what is found of the development data, what is left alone, and what every strategy leaves behind."""

import gzip
import json
from random import Random
from string import ascii_letters, digits

import pytest
from rule_samples import written_out
from shared_data import shared_data

from guard_integrations import GuardBlocked, GuardPolicy, InputSanitizer, OutputSanitizer, PseudonymVault
from guard_integrations.core.findings import Category
from guard_integrations.core.sanitizer.output import detector_of
from guard_integrations.core.scanner.rule import builtin_rules, rules_of

RULES = [rule for rule in builtin_rules() if rule.category is Category.SECRET]
POLICY = GuardPolicy()
DETECTOR = detector_of(POLICY, [rule for rule in rules_of(POLICY, "output") if rule.category is Category.SECRET])
FLOORS = {
    "secrets_gitleaks_literals": 0.84,
    "secrets_kingfisher_rule_examples": 0.67,
    "secrets_noseyparker_rule_examples": 0.59,
}
"""The share of the secrets in each set that is found. Half of the rest are host names, user names and account numbers."""
HARMLESS = (
    "benign_docs_tech_dev",
    "benign_oasst2",
    "benign_wildchat",
    "prompts_chat_benign",
    "cyberseceval_frr_benign",
)


def found(text):
    return DETECTOR.start().feed(text, final=True).findings


def rows(name):
    with gzip.open(shared_data(f"dev/{name}.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def made(number, kind=ascii_letters + digits, seed=0):
    """So many characters at random, the same each time."""
    text = "".join(Random(seed).choices(kind, k=number - 3))  # noqa: S311 - no secret
    return f"{text}aZ7" if set(kind) & set(ascii_letters.upper()) else text


@pytest.mark.parametrize("name", FLOORS)
def test_secrets_of_the_development_data_are_found(name):
    secrets = [row for row in rows(name) if row["label"] == 1]
    hits = sum(
        all(any(one.start < span["end"] and one.end > span["start"] for one in findings) for span in row["spans"])
        for row in secrets
        if (findings := found(row["text"]))
    )
    assert hits >= FLOORS[name] * len(secrets)


@pytest.mark.parametrize("name", HARMLESS)
def test_texts_without_secrets_are_left_alone(name):
    assert [one.rule for row in rows(name) for one in found(row["text"])] == []


KEY = made(32)


@pytest.mark.parametrize(
    "before",
    ["MISTRAL_API_KEY=", "export MISTRAL_API_KEY='", "your Mistral key: ", "mistral:\n  ", 'Mistral(api_key="'],
)
def test_a_key_of_mistral_is_found_by_what_stands_before_it(before):
    assert "API_KEY" in OutputSanitizer().sanitize(f"{before}{KEY}").text
    assert KEY not in OutputSanitizer().sanitize(f"{before}{KEY}'").text


@pytest.mark.parametrize(
    "text",
    [
        f"The Datadog id {KEY}",
        f"Mistral's session id {KEY}",
        "The MD5 of the Mistral weights is " + made(35, "0123456789abcdef"),
        f"mistral {KEY}x",
        "Mistral request 123e4567-e89b-12d3-a456-426614174000",
        f"data:image/png;base64,{made(400)}==",
        "sha256-" + made(46) + "=",
        "commit " + made(43, "0123456789abcdef"),
        '{"id": "123e4567-e89b-12d3-a456-426614174000", "key": "' + made(35, "0123456789abcdef") + '"}',
    ],
)
def test_what_only_looks_made_at_random_is_left_alone(text):
    assert found(text) == ()


@pytest.mark.parametrize("strategy", ["redact", "mask", "hash", "pseudonymise", "block"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_strategy_takes_every_secret_out(rule, strategy):
    text = written_out(rule.examples[0])
    policy = GuardPolicy(strategies={"secret": strategy}, hash_key="k" * 16)
    vault = PseudonymVault() if strategy == "pseudonymise" else None
    sanitizer = OutputSanitizer(policy, vault=vault)
    if strategy == "block":
        with pytest.raises(GuardBlocked) as caught:
            sanitizer.sanitize(text)
        assert caught.value.categories == ("secret",)
        return
    findings = [one for one in found(text) if one.rule == rule.id]
    once = sanitizer.sanitize(text, restore=False).text
    assert findings
    assert all(text[one.start : one.end] not in once for one in findings)
    assert sanitizer.sanitize(once, restore=False).text == once


def test_a_value_is_read_with_its_key_and_json_stays_json():
    value = {
        "user": "ann",
        "password": "hunter" + "2x!",
        "note": "password",
        "db_password": "sesame",
        "nested": json.dumps({"api_key": made(40)}),
    }
    clean = OutputSanitizer().sanitize_value(value).value
    assert clean["user"] == "ann"
    assert clean["note"] == "password"
    assert clean["db_password"] == "[PASSWORD]"  # noqa: S105 - a label
    schema = {"password": "string", "type": "password"}
    assert OutputSanitizer().sanitize_value(schema).value == schema
    assert clean["password"] == "[PASSWORD]"  # noqa: S105 - a label
    assert json.loads(clean["nested"]) == {"api_key": "[SECRET]"}


def test_on_the_way_in_secrets_go_only_where_the_policy_says_so():
    text = "Deploy with ghp_" + made(36)
    assert InputSanitizer().sanitize(text).text == text
    assert InputSanitizer(GuardPolicy(redact_input=True)).sanitize(text).text == "Deploy with [API_KEY]"


def test_a_head_whose_value_is_not_all_there_does_not_hide_another_ones():
    text = "bkey-80:ABSK" + made(70) + made(15)
    sanitizer = OutputSanitizer(GuardPolicy(strategies={"secret": "hash"}, hash_key="k" * 16))
    batch = sanitizer.sanitize(text)
    stream = sanitizer.stream()
    assert "".join([*map(stream.feed, text), stream.finish()]) == batch.text
    assert [one.rule for one in stream.findings] == [one.rule for one in batch.findings]
    assert len(batch.findings) == 2


def test_a_head_beside_a_label_is_not_lost_while_its_value_comes():
    text = "pubkey-" + made(35, "0123456789abcdef") + "~9V7Q~P" + made(29)
    sanitizer = OutputSanitizer(GuardPolicy(allow=("something else",)))
    batch = sanitizer.sanitize(text)
    stream = sanitizer.stream()
    assert "".join([*map(stream.feed, text), stream.finish()]) == batch.text == "[API_KEY][API_KEY]"
