"""What tree-sitter's TypeScript grammar says of a node: its text, its parts, the names that a pattern binds."""

from collections.abc import Iterator
from typing import Final

from ast_grep_py import SgNode

__all__ = ["PATTERNS", "NodeKey", "bound", "imported", "key_of", "named", "patterns", "text_of", "unquoted"]

PATTERNS: Final = frozenset({"identifier", "shorthand_property_identifier_pattern"})
NodeKey = tuple[int, int, str]


def key_of(node: SgNode) -> NodeKey:
    """What tells a node from all others of its module."""
    place = node.range()
    return place.start.index, place.end.index, node.kind()


def named(node: SgNode) -> list[SgNode]:
    """The parts of a node that the grammar names, without comments."""
    return [child for child in node.children() if child.is_named() and child.kind() != "comment"]


def text_of(node: SgNode | None) -> str:
    """The text of a node, if there is one."""
    return node.text() if node is not None else ""


def unquoted(node: SgNode | None) -> str:
    """The text of a node without quotes around it."""
    return text_of(node).strip("\"'`")


def imported(clause: SgNode, source: str) -> Iterator[tuple[str, str]]:
    """The names that an import clause brings in, each with its dotted name."""
    for node in named(clause):
        if node.kind() == "identifier":
            yield node.text(), f"{source}.default"
        elif node.kind() == "namespace_import":
            yield text_of(next(iter(named(node)), None)), source
        for specifier in named(node) if node.kind() == "named_imports" else []:
            name = text_of(specifier.field("name"))
            yield text_of(specifier.field("alias")) or name, f"{source}.{name}"


def bound(target: SgNode | None) -> Iterator[tuple[str, str]]:
    """The names that a pattern binds, each with the member it takes; nothing where it takes the whole."""
    if target is None:
        return
    if target.kind() == "identifier":
        yield target.text(), ""
        return
    for part in named(target):
        if part.kind() == "shorthand_property_identifier_pattern":
            yield part.text(), part.text()
        elif part.kind() == "pair_pattern":
            for name, _ in bound(part.field("value")):
                yield name, text_of(part.field("key"))
        else:
            yield from bound(part)


def patterns(node: SgNode) -> Iterator[SgNode]:
    """Where the names that a function's parameters bind are declared."""
    if node.kind() in PATTERNS:
        yield node
    for part in named(node):
        if part.kind() in {"required_parameter", "optional_parameter"}:
            part = part.field("pattern") or part  # noqa: PLW2901 - without its type and its default
        elif part.kind() == "pair_pattern":
            part = part.field("value") or part  # noqa: PLW2901 - without its key
        elif part.kind() in {"assignment_pattern", "object_assignment_pattern"}:
            part = part.field("left") or part  # noqa: PLW2901 - without its default
        yield from patterns(part)
