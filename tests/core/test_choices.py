"""A misspelt setting is refused: it must not switch a guard off."""

import pytest

from guard_integrations import InputSanitizer, KeyRing, OutputSanitizer, PolicyError

KEY = "k" * 32


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("render", lambda: OutputSanitizer(render="pdf")),
        ("stage", lambda: InputSanitizer().sanitize("hello", stage="inputs")),
        ("stage", lambda: InputSanitizer().scan("hello", stage="output")),
        ("max_wait", lambda: KeyRing([KEY], max_wait=-1)),
        ("cooldown", lambda: KeyRing([KEY], cooldown=0)),
        ("max_cooldown", lambda: KeyRing([KEY], cooldown=60, max_cooldown=30)),
    ],
)
def test_it_is_named(name, make):
    with pytest.raises(PolicyError, match=name):
        make()


def test_what_was_given_is_not_shown():
    with pytest.raises(PolicyError) as caught:
        OutputSanitizer(render="somebody's secret")
    assert "secret" not in str(caught.value)
    assert str(caught.value) == 'render is "markdown", "html" or "text"'
