"""What configuration files set: one flat list of names, values and places for YAML, TOML, JSON, `.env` and Dockerfiles.

Nothing of a file is run or built: of YAML only the nodes are composed, so that no tag makes an object and no alias grows.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import PurePosixPath
from typing import Final, TypeAlias

import yaml
from ast_grep_py import SgNode, SgRoot
from dotenv.parser import parse_stream

__all__ = ["Setting", "read_settings"]

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST: Final = 50
"""Levels of a file that are read: what lies deeper is data."""
_Json: TypeAlias = "str | int | float | bool | list[_Json] | dict[str, _Json] | None"
_INSTRUCTION: Final = re.compile(r"(?im)^[ \t]*(ENV|ARG)[ \t]+((?:[^\\\n]|\\(?:\n|.))*)")
_TABLE: Final = re.compile(r"^\s*\[{1,2}\s*([^\]\n]+?)\s*\]{1,2}\s*(?:#.*)?$")
_PAIR: Final = re.compile(r"^\s*([\w.\-\"' ]+?)\s*=\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value that a configuration file sets.

    Args:
        keys: the names on the way to it; items of a list are named by their number.
        value: as text, `true` and `false` in lower case; left out of `repr`.
        start: first character of the value, counted in the text; of TOML, of the line that sets it.
        end: one past its last.
    """

    keys: tuple[str, ...]
    value: str = field(repr=False)
    start: int
    end: int

    @property
    def key(self) -> str:
        """The last name that is not a number: in a Compose file's list, that of `NAME=value`."""
        return next((key for key in reversed(self.keys) if not key.isdigit()), "")


def read_settings(path: str, text: str) -> tuple[Setting, ...]:
    """The settings of a file, in their order; none where its format is not known.

    Raises:
        ValueError: when the file is not what its name says.
    """
    name, suffix = PurePosixPath(path).name, PurePosixPath(path).suffix.lower()
    if suffix in {".yaml", ".yml"}:
        return tuple(_yaml(text))
    if suffix == ".toml" or name == "Pipfile":
        return tuple(_toml(text))
    if suffix == ".json":
        return tuple(_json(text))
    if suffix == ".dockerfile" or name.startswith(("Dockerfile", "Containerfile")):
        return tuple(_docker(text))
    return tuple(_env(text))


def _yaml(text: str) -> Iterator[Setting]:
    problem = ""
    documents: list[yaml.Node] = []
    try:
        documents = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = f"is not YAML (line {mark.line + 1})" if mark is not None else "is not YAML"
    if problem:
        raise ValueError(problem)
    rest: list[tuple[tuple[str, ...], yaml.Node]] = [((), node) for node in reversed(documents)]
    seen: set[int] = set()
    while rest:
        keys, node = rest.pop()
        if isinstance(node, yaml.ScalarNode):
            value = node.value.lower() if node.tag.endswith(":bool") else node.value
            start, end = node.start_mark.index, node.end_mark.index
            name, equals, given = value.partition("=")
            if equals and keys and keys[-1].isdigit() and name.isidentifier():  # NAME=value of a list
                keys, value = (*keys, name), given
            yield Setting(keys=keys, value=value, start=start, end=end)
        elif id(node) not in seen and len(keys) < _DEEPEST:  # an alias is read where it is defined
            seen.add(id(node))
            rest += reversed(_below(keys, node))


def _below(keys: tuple[str, ...], node: yaml.Node) -> list[tuple[tuple[str, ...], yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        return [((*keys, str(number)), item) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return [
            ((*keys, str(key.value) if isinstance(key, yaml.ScalarNode) else "?"), item) for key, item in node.value
        ]
    return []


def _json(text: str) -> Iterator[Setting]:
    """Comments and trailing commas, as in tsconfig.json, do not matter."""
    rest: list[tuple[tuple[str, ...], SgNode]] = [((), SgRoot(text, "json").root())]
    while rest:
        keys, node = rest.pop()
        below: list[tuple[tuple[str, ...], SgNode]] = []
        children = [child for child in node.children() if child.is_named() and child.kind() != "comment"]
        match node.kind():
            case "object" | "document":
                below = [(keys, child) for child in children]
            case "array" if len(keys) < _DEEPEST:
                below = [((*keys, str(number)), child) for number, child in enumerate(children)]
            case "pair" if len(children) > 1 and len(keys) < _DEEPEST:
                below = [((*keys, children[0].text().strip('"')), children[1])]
            case "string" | "number" | "true" | "false" | "null":
                place = node.range()
                value = node.text()
                yield Setting(
                    keys=keys, value=value[1:-1] if node.kind() == "string" else value,
                    start=place.start.index, end=place.end.index,
                )  # fmt: skip
        rest += reversed(below)


def _toml(text: str) -> Iterator[Setting]:
    problem = ""
    content: dict[str, _Json] = {}
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        problem = f"is not TOML (line {line[1]})" if line else "is not TOML"
    if problem:
        raise ValueError(problem)
    lines = dict(_toml_lines(text))
    rest: list[tuple[tuple[str, ...], object]] = [((), content)]
    while rest:
        keys, value = rest.pop()
        if isinstance(value, Mapping):
            rest += reversed([((*keys, str(key)), item) for key, item in value.items()])
        elif isinstance(value, list):
            rest += reversed([((*keys, str(number)), item) for number, item in enumerate(value)])
        else:
            names = tuple(key for key in keys if not key.isdigit())
            start, end = next((lines[names[:to]] for to in range(len(names), 0, -1) if names[:to] in lines), (0, 0))
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            yield Setting(keys=keys, value=shown, start=start, end=end)


def _toml_lines(text: str) -> Iterator[tuple[tuple[str, ...], tuple[int, int]]]:
    """Where each name is set, as far as a line says so."""
    table: tuple[str, ...] = ()
    at = 0
    for line in text.split("\n"):
        if match := _TABLE.match(line):
            table = _dotted(match[1])
        elif match := _PAIR.match(line):
            yield (*table, *_dotted(match[1])), (at, at + len(line))
        at += len(line) + 1


def _dotted(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def _docker(text: str) -> Iterator[Setting]:
    for match in _INSTRUCTION.finditer(text):
        given = match[2].replace("\\\n", "  ")
        if "=" not in given.split(maxsplit=1)[0]:  # ENV NAME value
            name, _, value = given.partition(" ")
            given = f"{name}={shlex.quote(value.strip())}"
        try:
            words = shlex.split(given)
        except ValueError:
            continue
        for word in words:
            name, equals, value = word.partition("=")
            start = text.find(name, match.start(2), match.end())
            if equals and start >= 0:
                line = text.find("\n", start)
                yield Setting(
                    keys=(match[1].upper(), name), value=value, start=start, end=line if line > 0 else len(text)
                )


def _env(text: str) -> Iterator[Setting]:
    at = 0
    for binding in parse_stream(StringIO(text)):
        whole = binding.original.string
        start = at + len(whole) - len(whole.lstrip())
        if binding.key is not None:
            yield Setting(keys=(binding.key,), value=binding.value or "", start=start, end=at + len(whole.rstrip()))
        at += len(whole)
