"""The judge is a browser: what is left of the payloads runs nothing and asks for nothing."""

import gzip
import json

import pytest
from browser import show
from judges import RENDERERS
from shared_data import shared_data

from guard_integrations import OutputSanitizer

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

SETS = ["xss_bleach_tests", "xss_nh3_tests", "xss_owasp_filter_evasion", "xss_payloadbox_sample"]
AT_ONCE = 300


def payloads(*names):
    texts = []
    for name in names:
        with gzip.open(shared_data(f"dev/{name}.jsonl.gz"), "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return texts


def portions(pieces):
    return [pieces[start : start + AT_ONCE] for start in range(0, len(pieces), AT_ONCE)]


def assert_inert(pieces):
    for portion in portions(pieces):
        shown = show(portion)
        assert {portion[index] for index in shown.ran | shown.handlers | shown.links} == set()
        assert shown.requests == []


def test_the_browser_itself_asks_for_nothing():
    assert show(["<p>hello</p>"]).requests == []


def test_the_payloads_run_where_nothing_guards():
    shown = show(payloads("xss_owasp_filter_evasion"))
    assert len(shown.ran) >= 5
    assert len(shown.handlers) >= 5
    assert len(shown.links) >= 5
    assert len(shown.requests) >= 5


@pytest.mark.parametrize("name", SETS)
def test_no_payload_runs_or_loads_as_html(name):
    sanitizer = OutputSanitizer(render="html")
    assert_inert([sanitizer.sanitize(payload).text for payload in payloads(name)])


@pytest.mark.parametrize("renderer", ["comrak", "markdown-it"])
def test_no_payload_runs_or_loads_as_markdown(renderer):
    sanitizer, render = OutputSanitizer(), RENDERERS[renderer]
    texts = payloads("markdown_exfil_garak", "markdown_exfil_spikee", "xss_bleach_tests", "xss_owasp_filter_evasion")
    texts += payloads("xss_payloadbox_sample")[::4]
    if renderer == "comrak":
        assert show([render(text) for text in payloads("markdown_exfil_garak")]).requests
    assert_inert([render(sanitizer.sanitize(text).text) for text in texts])
