"""What configuration files set, and where."""

import pytest

from guard_integrations.audit.settings import read_settings

FILES = {
    "a.yaml": "a: &x {b: True, c: [A=1, é]}\nd: *x\n---\ne: !!python/object:os.system x\n",
    "b.toml": "x = 1\n[a.b] # c\nk = true\n[[t]]\nn = 'v'\n",
    "c.json": '{"a": {"b": [true, "x"]} /* c */, }',
    "Dockerfile": 'FROM x\nENV A=1 B="x y" \\\n  C=3\nenv D e f\nARG Z\n',
    ".env": "# x\nexport A=1\nB='x y' # c\n",
}


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        ("a.yaml", {"a.b": "true", "a.c.0.A": "1", "a.c.1": "é", "e": "x"}),
        ("b.toml", {"x": "1", "a.b.k": "true", "t.0.n": "v"}),
        ("c.json", {"a.b.0": "true", "a.b.1": "x"}),
        ("Dockerfile", {"ENV.A": "1", "ENV.B": "x y", "ENV.C": "3", "ENV.D": "e f", "ARG.Z": ""}),
        (".env", {"A": "1", "B": "x y"}),
    ],
)
def test_settings_are_read_with_their_place(path, settings):
    text = FILES[path]
    found = read_settings(path, text)
    assert {".".join(each.keys): each.value for each in found} == settings
    for each in found:
        assert each.value.partition(" ")[0].lower() in text[each.start : each.end].lower()


@pytest.mark.parametrize(("path", "text"), [("a.yaml", "a: [\n"), ("b.toml", "a = \n"), ("a.yml", "\ta: b: c")])
def test_what_is_not_what_its_name_says_is_refused_without_its_text(path, text):
    with pytest.raises(ValueError, match="is not"):
        read_settings(path, text)
