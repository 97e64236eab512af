"""Each kind of personal data that is promised, by name; and what looks like one and is none."""

import logging

import pytest
from rule_samples import written_out

from guard_integrations import GuardPolicy, InputSanitizer, OutputSanitizer, PseudonymVault
from guard_integrations.core.scanner.rule import builtin_rules

RULES = {rule.id: rule for rule in builtin_rules()}
COUNTRIES = {
    "FR": ("fr-nir", "fr-nif"),
    "DE": ("de-idnr", "de-rvnr"),
    "ES": ("es-dni", "es-nie", "es-nss"),
    "IT": ("it-codice-fiscale", "it-iva"),
    "PT": ("pt-nif", "pt-cc"),
    "NL": ("nl-bsn",),
    "BE": ("be-nn",),
    "PL": ("pl-pesel", "pl-nip"),
    "SE": ("se-personnummer", "se-personnummer-in-context"),
    "FI": ("fi-hetu",),
    "DK": ("dk-cpr",),
    "NO": ("no-fnr",),
    "AT": ("at-svnr", "at-svnr-in-context"),
    "CH": ("ch-ahv",),
    "IE": ("ie-pps",),
    "UK": ("gb-nino", "gb-nhs", "gb-nhs-in-context", "gb-utr"),
    "US": ("us-ssn", "us-ssn-in-context", "us-itin"),
    "CA": ("ca-sin",),
    "AU": ("au-tfn", "au-medicare"),
    "IN": ("in-aadhaar", "in-aadhaar-in-context", "in-pan"),
    "BR": ("br-cpf", "br-cpf-in-context"),
}
OTHERS = (
    *("email", "phone-international", "phone-nanp", "phone-fr", "phone-national", "phone-in-context", "iban"),
    *("payment-card", "payment-card-in-context", "ipv4", "ipv6", "mac-address", "passport", "identity-document"),
    *("driving-licence", "gb-driving-licence", "date-of-birth", "postal-code", "coordinates", "coordinates-in-degrees"),
    *("crypto-address", "crypto-address-bech32", "crypto-address-ethereum", "url-credentials"),
)
KINDS = (*OTHERS, *(rule for rules in COUNTRIES.values() for rule in rules))
CLEAN = OutputSanitizer()


def streamed(sanitizer, text):
    stream = sanitizer.stream()
    return "".join([*map(stream.feed, text), stream.finish()])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_taken_out_in_a_stream_too(kind):
    for example in RULES[kind].examples:
        text = written_out(example)
        done = CLEAN.sanitize(text)
        assert kind in {finding.rule for finding in done.findings}, example
        assert done.text != text
        assert streamed(CLEAN, text) == done.text
        hit = next(iter(done.findings))
        assert text[hit.start : hit.end] not in done.text


def test_a_checksum_that_is_wrong_is_nobodys():
    for kind, right, wrong in (
        ("iban", "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 01"),
        ("payment-card", "4111 1111 1111 1111", "4111 1111 1111 1112"),
    ):
        assert kind in {finding.rule for finding in CLEAN.sanitize(f"it is {right} now").findings}
        assert kind not in {finding.rule for finding in CLEAN.sanitize(f"it is {wrong} now").findings}


@pytest.mark.parametrize(
    "text",
    [
        "The id is 123e4567-e89b-12d3-a456-426614174000.",
        "Version 10.4.2 of it, build 1.2.3.4567, runs on Python 3.11.7.",
        "Order 4839201748, invoice 2024-000123, ticket #88213, part number 90210-1234.",
        "md5 d41d8cd98f00b204e9800998ecf8427e and commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "On 2024-05-17 at 12:30:45 it was 17/05/2024, or 17.05.2024.",
        "ISBN 978-3-16-148410-0, 1 000 000 copies, 3.14159265358979",
        "Rows 10 115 to 75 001 hold 90210 values.",
    ],
)
def test_what_only_looks_like_one_stays(text):
    assert CLEAN.sanitize(text).text == text
    assert streamed(CLEAN, text) == text


def test_a_word_to_the_left_raises_and_another_lowers():
    number = "612345678"
    assert CLEAN.sanitize(f"Call me on {number}").text == "Call me on [PHONE]"
    assert CLEAN.sanitize(f"It is {number}").text == f"It is {number}"
    assert CLEAN.sanitize(f"Call us about order {number}").text == f"Call us about order {number}"
    far = "x" * 70
    assert CLEAN.sanitize(f"Call {far} {number}").text == f"Call {far} {number}"


def test_handles_only_on_request():
    text = "Follow @john_doe on Mastodon"
    assert CLEAN.sanitize(text).text == text
    asked = OutputSanitizer(GuardPolicy(enabled_rules={"user-handle"}))
    assert asked.sanitize(text).text != text
    assert streamed(asked, text) == asked.sanitize(text).text


@pytest.mark.parametrize("strategy", ["redact", "mask", "hash", "pseudonymise"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_strategy_leaves_anything_of_a_value(kind, strategy):
    vault = PseudonymVault()
    policy = GuardPolicy(strategies={"pii": strategy, "secret": strategy}, hash_key="k" * 16)
    sanitizer = OutputSanitizer(policy, vault=vault)
    text = written_out(RULES[kind].examples[0])
    done = sanitizer.sanitize(text)
    for hit in done.findings:
        assert text[hit.start : hit.end] not in done.text
    # Known tokens come back: the second time all are.
    again = sanitizer.sanitize(text, restore=False).text
    assert again == done.text
    stream = sanitizer.stream(restore=False)
    assert "".join([*map(stream.feed, text), stream.finish()]) == again


def test_no_log_and_no_finding_tells_a_value_of_the_vault(caplog):
    caplog.set_level(logging.DEBUG)
    vault = PseudonymVault()
    policy = GuardPolicy(strategies={"pii": "pseudonymise"})
    told = "Write to john.doe@example.com or call +33 6 12 34 56 78"
    sent = InputSanitizer(policy, vault=vault).sanitize(told)
    shown = OutputSanitizer(policy, vault=vault).sanitize(sent.text)
    assert shown.text == told
    said = caplog.text + repr((vault, sent, shown, sent.findings, shown.findings))
    assert "john" not in said
    assert "12 34" not in said
