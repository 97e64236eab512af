import json
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from enum import StrEnum

import pytest
from pydantic import BaseModel, SecretStr

from guard_integrations import GuardPolicy, GuardUnavailable, OutputSanitizer

MAIL = "ann@example.org"
CLEAN = OutputSanitizer()
Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped kind is to be handled too


class Colour(StrEnum):
    RED = "ann@example.org"


class Model(BaseModel):
    name: str
    age: int = 3
    inner: dict[str, list[str]] = {}
    key: SecretStr = SecretStr("x")


@dataclass(frozen=True)
class Data:
    text: str


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MAIL, "[EMAIL]"),
        ({"a": MAIL, MAIL: 1}, {"a": "[EMAIL]", MAIL: 1}),
        ([MAIL, (MAIL, 1.5, None)], ["[EMAIL]", ("[EMAIL]", 1.5, None)]),
        ({MAIL: "a", "my 078-05-1120": "b"}, {MAIL: "a", "my 078-05-1120": "b"}),
        ({"to ann@example": ".org"}, {"to ann@example": ".org"}),
        ({MAIL}, {"[EMAIL]"}),
        (Pair(MAIL, 1), Pair("[EMAIL]", 1)),
        (Data(MAIL), Data("[EMAIL]")),
        (OrderedDict(a=MAIL), OrderedDict(a="[EMAIL]")),
        (Colour.RED, Colour.RED),
        (b"ann@example.org", b"ann@example.org"),
        (Model(name=MAIL, inner={"x": [MAIL]}), Model(name="[EMAIL]", inner={"x": ["[EMAIL]"]})),
    ],
)
def test_strings_are_cleaned_and_types_stay(value, expected):
    done = CLEAN.sanitize_value(value)
    assert done.value == expected
    assert type(done.value) is type(expected)
    assert MAIL not in repr(done)


def test_json_stays_json_and_to_the_byte_where_nothing_is_found():
    text = '{ "to":"ann@example.org",  "n": [1, "<script>x"] }'
    assert json.loads(CLEAN.sanitize_value(text).value) == {"to": "[EMAIL]", "n": [1, "&lt;script>x"]}
    assert CLEAN.sanitize_value('{ "to" : "bob"}').value == '{ "to" : "bob"}'


def test_what_is_too_deep_is_refused():
    deep = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(GuardUnavailable, match="deep"):
        CLEAN.sanitize_value(deep)


def test_a_value_is_read_with_its_key(tmp_path):
    pack = tmp_path / "pack.toml"
    pack.write_text(
        """
        [[rule]]
        id = "my-password"
        category = "secret"
        severity = "high"
        label = "[PASSWORD]"
        pattern = '\\bpassword: [a-z]{3,20}'
        rationale = "a test"
        examples = ["password: abc"]
        stages = ["output"]
        profiles = ["balanced"]
        """
    )
    clean = OutputSanitizer(GuardPolicy(rule_packs=(pack,)))
    assert clean.sanitize_value({"password": "hunter"}).value == {"password": "[PASSWORD]"}
    assert clean.sanitize_value({"user": "hunter"}).value == {"user": "hunter"}
