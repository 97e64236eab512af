"""Values that fit a JSON schema, taken from a text: for tool arguments and for structured answers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Source", "value_for"]

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])|(?<=\()-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"\"([^\"\n]+)\"|'((?:[^'\n]|'(?=\w))+)'(?!\w)|“([^”\n]+)”")
_NAME = re.compile(
    r"(?<=\b(?:in|to|of)\s)(?:[A-Z][\w'-]+)(?:\s[A-Z][\w'-]+)*|(?<=\b(?:for|von|für)\s)(?:[A-Z][\w'-]+)(?:\s[A-Z][\w'-]+)*"
)
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{0,63}\w")
_URL = re.compile(r"https?://[^\s<>\"')]+")
_EMAIL_NAMES = re.compile(r"e[-_]?mail|^(?:to|recipient|address)$")
_URL_NAMES = re.compile(r"ur[li]|link")
_PROPER_NAMES = re.compile(r"city|town|place|location|country|region|name|person|user|customer")
_DEPTH = 8
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
}


@dataclass(slots=True)
class Source:
    """What values are taken from; numbers and quoted strings are used up in the order in which they stand.

    Args:
        text: where numbers, quoted strings, names, addresses and "name: value" pairs are looked for.
        filler: the string for a property that nothing in the text fits.
    """

    text: str
    filler: str
    numbers: list[str] = field(init=False)
    quoted: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = _NUMBER.findall(self.text)
        self.quoted = [next(part for part in found.groups() if part) for found in _QUOTED.finditer(self.text)]


def value_for(schema: Mapping[str, object], source: Source) -> object:
    """A value that is valid under the schema.

    Understood: `$ref` into the schema itself, `const`, `enum`, `anyOf`, `oneOf`, `allOf`, lists of types, `format`, bounds of
    numbers, of lengths and of item counts. A `pattern` is only tried against what the text holds. Optional properties are
    given until recursion is eight levels deep.
    """
    return _Maker(source=source, root=schema).value(schema, "", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    source: Source
    root: Mapping[str, object]

    def value(self, schema: Mapping[str, object], name: str, depth: int) -> object:
        schema = _resolve(schema, self.root)
        if (
            isinstance(members := schema.get("enum", [schema["const"]] if "const" in schema else None), list)
            and members
        ):
            return self._member(members)
        choices = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(choices, list):
            return self.value(self._choice(choices, depth), name, depth + 1)
        kind = _kind(schema, depth)
        if kind in ("integer", "number"):
            return _bounded(self._number(name), schema, whole=kind == "integer")
        if kind in ("object", "array"):
            return self._object(schema, depth) if kind == "object" else self._array(schema, name, depth)
        if kind in ("boolean", "null"):
            return self._truth(name) if kind == "boolean" else None
        return self._string(schema, name)

    def _truth(self, name: str) -> bool:
        denied = rf"\b{re.escape(name)}\s*[=:]\s*(?:false|no)\b"
        return re.search(denied, self.source.text, re.IGNORECASE) is None

    def _member(self, members: list[object]) -> object:
        said = self.source.text.casefold()
        return next((m for m in members if re.search(rf"\b{re.escape(str(m).casefold())}\b", said)), members[0])

    def _choice(self, choices: list[object], depth: int) -> Mapping[str, object]:
        schemas = [_resolve(choice, self.root) for choice in choices if isinstance(choice, Mapping)]
        flat = [each for each in schemas if each.get("type") not in ("object", "array", "null")]
        null = [each for each in schemas if each.get("type") == "null"]
        rest = [each for each in schemas if each.get("type") != "null"]
        # Deep down, what ends the recursion comes first.
        ordered = [*null, *flat, *rest] if depth > _DEPTH else [*rest, *null]
        return ordered[0] if ordered else {}

    def _object(self, schema: Mapping[str, object], depth: int) -> dict[str, object]:
        properties = schema.get("properties")
        required = schema.get("required")
        needed = required if isinstance(required, list) else []
        if not isinstance(properties, Mapping):
            return {}
        return {
            name: self.value(sub if isinstance(sub, Mapping) else {}, name, depth + 1)
            for name, sub in properties.items()
            if depth <= _DEPTH or name in needed
        }

    def _array(self, schema: Mapping[str, object], name: str, depth: int) -> list[object]:
        items = schema.get("prefixItems")
        if not isinstance(items, list):
            each = _resolve(items_schema, self.root) if isinstance(items_schema := schema.get("items"), Mapping) else {}
            items = [each] * self._length(schema, each, depth)
        made = [self.value(each if isinstance(each, Mapping) else {}, name, depth + 1) for each in items]
        if schema.get("uniqueItems") is True and len({json.dumps(item, sort_keys=True) for item in made}) < len(made):
            return [f"{item} {place}" for place, item in enumerate(made, 1)]
        return made

    def _length(self, schema: Mapping[str, object], each: Mapping[str, object], depth: int) -> int:
        least, most = schema.get("minItems"), schema.get("maxItems")
        length = 0 if depth > _DEPTH else 1
        if each.get("type") in ("integer", "number"):
            length = max(length, len(self.source.numbers))
        if isinstance(most, int):
            length = min(length, most)
        return max(length, least) if isinstance(least, int) else length

    def _number(self, name: str) -> float:
        told = rf"\b{re.escape(name)}\s*(?:=|:|is)\s*(-?\d+(?:\.\d+)?)"
        if name and (named := re.search(told, self.source.text, re.IGNORECASE)):
            return float(named[1])
        return float(self.source.numbers.pop(0)) if self.source.numbers else 1.0

    def _string(self, schema: Mapping[str, object], name: str) -> str:
        text = self._looked_up(schema.get("format"), name)
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            candidates = [text, *self.source.quoted, *self.source.text.split()]
            text = next((candidate for candidate in candidates if re.search(pattern, candidate)), text)
        least, most = schema.get("minLength"), schema.get("maxLength")
        if isinstance(least, int):
            text = text.ljust(least, ".")
        return text[:most] if isinstance(most, int) else text

    def _looked_up(self, kind: object, name: str) -> str:
        source, lowered = self.source, name.casefold()
        spoken = re.escape(name).replace("_", r"[_\s]")
        if name and (named := re.search(rf"\b{spoken}\s*[=:]\s*[\"']?([^\"'\n,;]+)", source.text, re.IGNORECASE)):
            return named[1].strip()
        for wanted, names, found in (
            (kind == "email", _EMAIL_NAMES, _EMAIL.search(source.text)),
            (kind == "uri", _URL_NAMES, _URL.search(source.text)),
            (False, _PROPER_NAMES, _NAME.search(source.text)),
        ):
            if found and (wanted or names.search(lowered)):
                return found.group()
        if isinstance(kind, str) and kind in _FORMATS:
            return _FORMATS[kind]
        return source.quoted.pop(0) if source.quoted else source.filler


def _kind(schema: Mapping[str, object], depth: int) -> object:
    kind = schema.get("type")
    if isinstance(kind, list):
        if depth > _DEPTH and "null" in kind:
            return "null"
        return next((each for each in kind if each != "null"), "null")
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return kind


def _resolve(schema: Mapping[str, object], root: Mapping[str, object]) -> Mapping[str, object]:
    for _ in range(_DEPTH):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            break
        target: object = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = target.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(target, Mapping) else {}
        own = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**target, **own} if isinstance(target, Mapping) else own
    parts = schema.get("allOf")
    if not isinstance(parts, list):
        return schema
    merged: dict[str, object] = {name: value for name, value in schema.items() if name != "allOf"}
    for part in parts:
        for name, value in _resolve(part, root).items() if isinstance(part, Mapping) else ():
            before = merged.setdefault(name, value)
            if isinstance(before, Mapping) and isinstance(value, Mapping):
                merged[name] = {**before, **value}
            elif isinstance(before, list) and isinstance(value, list):
                merged[name] = [*before, *(each for each in value if each not in before)]
    return merged


def _bounded(number: float, schema: Mapping[str, object], *, whole: bool) -> int | float:
    step = 1.0 if whole else 1e-6
    for name, inward in (("minimum", 0.0), ("exclusiveMinimum", step)):
        if isinstance(bound := schema.get(name), int | float):
            number = max(number, bound + inward)
    for name, inward in (("maximum", 0.0), ("exclusiveMaximum", step)):
        if isinstance(bound := schema.get(name), int | float):
            number = min(number, bound - inward)
    if isinstance(multiple := schema.get("multipleOf"), int | float) and multiple:
        number = round(number / multiple) * multiple
    return int(number) if whole or number == int(number) else number
