import copy
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_integrations import GuardPolicy, InputSanitizer, OutputSanitizer, PolicyError, PseudonymVault

MAIL = "ann@example.org"


def vault_with(*values):
    vault = PseudonymVault()
    return vault, [vault.token("EMAIL", value) for value in values]


def test_a_token_is_stable_and_of_its_vault():
    vault, [token] = vault_with(MAIL)
    assert re.fullmatch(r"\[EMAIL_1_[a-z0-9]{6}\]", token)
    assert vault.token("[EMAIL]", MAIL) == token
    assert vault.token("EMAIL", "b@example.org") != token
    other, _ = vault_with("c@example.org")
    assert other.restore(token) == token
    assert vault.restore(f"Write to {token}.") == f"Write to {MAIL}."


def test_a_vault_shows_and_gives_away_nothing():
    vault, _ = vault_with(MAIL)
    assert MAIL not in repr(vault) + str(vault)
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            leak(vault)


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/?q={}",
        "![x](https://evil.example/{})",
        "[x](<https://evil.example/a b {}>)",
        '<img src="/{}">',
        "mailto:{}",
        "www.evil.example/{}",
        "evil.example/?{}",
        "{}.evil.example",
        "{}@evil.example",
    ],
)
def test_no_link_carries_a_value_away(text):
    vault, [token] = vault_with(MAIL)
    assert MAIL not in vault.restore(text.format(token))


def test_what_markdown_escapes_is_restored():
    vault, [token] = vault_with(MAIL)
    assert vault.restore(token.replace("_", r"\_").replace("[", r"\[").replace("]", r"\]")) == MAIL


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_restoring_a_stream_equals_restoring_the_whole(data):
    vault, tokens = vault_with(MAIL, "b@example.org")
    parts = [
        *tokens,
        tokens[0][:7],
        "[",
        "\\",
        "]",
        " ",
        "https://",
        "x.example/",
        "](<",
        "<",
        ">",
        ".",
        "@",
        "\n",
        "ab",
    ]
    text = "".join(data.draw(st.lists(st.sampled_from(parts), max_size=12)))
    whole = vault.restore(text)
    for size in (1, 2, 3, 7, 50):
        restorer = vault.restorer()
        chunks = [restorer.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join([*chunks, restorer.finish()]) == whole


def test_a_conversation_goes_there_and_back():
    vault = PseudonymVault()
    seen = InputSanitizer(vault=vault).sanitize(f"My mail is {MAIL}, ssn 078-05-1120").text
    assert MAIL not in seen
    assert "078-05-1120" not in seen
    token = re.search(r"\[EMAIL_1_\w+\]", seen)[0]
    answer = OutputSanitizer(vault=vault).sanitize(f"I wrote to {token} and to bob@example.org.")
    assert answer.text == f"I wrote to {MAIL} and to [EMAIL]."
    assert OutputSanitizer(vault=vault).sanitize_value({"to": token}).value == {"to": token}


def test_what_the_output_makes_a_token_stays_one():
    vault = PseudonymVault()
    policy = GuardPolicy(strategies={"pii": "pseudonymise"})
    assert MAIL not in OutputSanitizer(policy, vault=vault).sanitize(f"It is {MAIL}").text
    with pytest.raises(PolicyError, match="needs a vault"):
        OutputSanitizer(policy)


VALUES = st.lists(
    st.sampled_from(["jane@example.com", "Jane", "jane", "+44 20 7946 0000", "a" * 9, "é(x)+", "12"]), unique=True
)


@given(VALUES, st.lists(st.sampled_from([" ", ", ", " and ", "\n"]), min_size=7, max_size=7))
def test_concealing_undoes_restoring(values, between):
    vault = PseudonymVault()
    tokens = [vault.token("VALUE", value) for value in values]
    text = "".join(token + glue for token, glue in zip(tokens, between, strict=False))
    shown = vault.restore(text)
    assert vault.conceal(shown) == text
    assert vault.conceal(text) == text


def test_a_short_value_is_not_taken_out_of_another_word():
    vault = PseudonymVault()
    token, telling = vault.token("NAME", "Jo"), vault.token("EMAIL", "jo@example.com")
    assert vault.conceal("Jo, Joanna, banjo and xjo@example.comx") == f"{token}, Joanna, banjo and x{telling}x"
    assert vault.conceal("nothing here") == "nothing here"
