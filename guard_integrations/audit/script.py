"""One TypeScript or JavaScript module, read so that checks can ask what a name is and where a value comes from.

Names are dotted as in `python`: after `import { Mistral as M } from "@mistralai/mistralai"; const client = new M()`, the
function of `client.chat.complete(...)` is named `@mistralai/mistralai.Mistral().chat.complete`. What comes as a default
is named `default`. A variable stands for everything that it is set to in the function it belongs to, in any order.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final

from ast_grep_py import SgNode, SgRoot

from guard_integrations.audit.script_nodes import (
    PATTERNS,
    NodeKey,
    bound,
    imported,
    key_of,
    named,
    patterns,
    text_of,
    unquoted,
)

__all__ = ["ScriptModule"]

_DEEPEST: Final = 25
"""Steps from a name to what it stands for, at most."""
_FUNCTIONS: Final = frozenset(
    {
        "program", "function_declaration", "function_expression", "arrow_function", "method_definition",
        "generator_function", "generator_function_declaration",
    }
)  # fmt: skip
_WRAPPERS: Final = frozenset(
    {"await_expression", "parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression"}
)
_MEMBERS: Final = frozenset({"member_expression", "subscript_expression"})
_CALLS: Final = frozenset({"call_expression", "new_expression"})
_IDENTIFIERS: Final = frozenset({"identifier", "shorthand_property_identifier"})
_GROWS: Final = frozenset({"push", "unshift", "set", "append"})


def _nothing(call: SgNode) -> bool:  # noqa: ARG001 - the signature of `stop`
    return False


class ScriptModule:
    """A parsed module. What is asked for is worked out once.

    Args:
        text: the module.
        language: "tsx" or "typescript": the first knows JSX, the second type assertions in angle brackets.
    """

    def __init__(self, text: str, language: str = "tsx") -> None:
        self.root: SgNode = SgRoot(text, language).root()
        self._names: dict[NodeKey, str] = {}

    @cached_property
    def broken(self) -> int | None:
        """The first line that does not parse, if any; the rest is read all the same."""
        error = self.root.find(kind="ERROR")
        return error.range().start.line + 1 if error is not None else None

    def all(self, *kinds: str) -> list[SgNode]:
        """All nodes of some kinds, named as tree-sitter's grammar of TypeScript does."""
        return [node for kind in kinds for node in self.root.find_all(kind=kind)]

    @cached_property
    def calls(self) -> list[SgNode]:
        """All calls, `new` among them; see `function` and `arguments`."""
        return self.all("call_expression", "new_expression")

    @cached_property
    def imports(self) -> dict[str, str]:
        """The dotted name of each local name that is imported or required."""
        found: dict[str, str] = {}
        for statement in self.all("import_statement"):
            source = unquoted(statement.field("source"))
            for clause in statement.children():
                if clause.kind() == "import_clause":
                    found.update(imported(clause, source))
        for declarator in self.all("variable_declarator"):
            value = declarator.field("value")
            if value is None or value.kind() != "call_expression" or text_of(value.field("function")) != "require":
                continue
            source = unquoted(next(iter(self.arguments(value)), None))
            for name, member in bound(declarator.field("name")):
                found[name] = f"{source}.{member}" if member else source
        return found

    def function(self, call: SgNode) -> SgNode | None:
        """What a call calls."""
        return call.field("constructor" if call.kind() == "new_expression" else "function")

    def arguments(self, call: SgNode) -> list[SgNode]:
        """What a call passes."""
        arguments = call.field("arguments")
        if arguments is None:
            return []
        return [arguments] if arguments.kind() == "template_string" else named(arguments)

    def property(self, node: SgNode | None, key: str) -> SgNode | None:
        """What an object literal, names followed, holds under a key."""
        node = self.resolve(node) if node is not None else None
        for pair in named(node) if node is not None and node.kind() == "object" else []:
            if pair.kind() == "pair" and unquoted(pair.field("key")) == key:
                return pair.field("value")
            if pair.kind() == "shorthand_property_identifier" and pair.text() == key:
                return pair
        return None

    def option(self, call: SgNode, key: str) -> SgNode | None:
        """What any object among a call's arguments holds under a key."""
        return next((found for each in self.arguments(call) if (found := self.property(each, key)) is not None), None)

    def values(self, node: SgNode) -> list[SgNode]:
        """What a variable is set to; a parameter's pattern stands for itself."""
        if node.kind() not in _IDENTIFIERS:
            return []
        for above in node.ancestors():
            if above.kind() in _FUNCTIONS and (found := self._bindings.get((key_of(above), node.text()))):
                return found
        return []

    def resolve(self, node: SgNode) -> SgNode:
        """What a name stands for, if it can only be this one; else the node itself."""
        for _ in range(_DEEPEST):
            while node.kind() in _WRAPPERS and (inner := named(node)):
                node = inner[0]
            values = self.values(node)
            if len(values) != 1 or self.is_parameter(values[0]):
                break
            node = values[0]
        return node

    def constant(self, node: SgNode | None) -> str | None:
        """The literal that an expression stands for: `true`, `12`, or a string without its quotes; else None."""
        node = self.resolve(node) if node is not None else None
        if node is None or node.kind() not in {"string", "number", "true", "false", "null", "template_string"}:
            return None
        return None if node.find(kind="template_substitution") else unquoted(node)

    def name(self, node: SgNode | None) -> str:
        """The dotted name of what an expression is, as imported; nothing where it has none."""
        if node is None:
            return ""
        key = key_of(node)
        if key not in self._names:
            self._names[key] = ""  # of what is defined by itself
            self._names[key] = self._name(node)
        return self._names[key]

    def origins(self, node: SgNode, *, stop: Callable[[SgNode], bool] = _nothing) -> list[SgNode]:
        """What a value is made of: strings, calls, parameters, and names and members of what comes from elsewhere.

        Of a call, what goes in is followed, too, unless `stop` says that what comes out no longer carries it.
        """
        found: list[SgNode] = []
        seen: set[NodeKey] = set()
        rest = [node]
        while rest:
            current = rest.pop()
            if key_of(current) in seen:
                continue
            seen.add(key_of(current))
            more, leaf = self._parts(current, stop)
            found += [current] if leaf else []
            rest += reversed(more)
        return found

    def _parts(self, node: SgNode, stop: Callable[[SgNode], bool]) -> tuple[list[SgNode], bool]:  # noqa: PLR0911 - one case per kind of expression
        """What a node is made of, and whether it is an origin itself."""
        kind = node.kind()
        if kind in _IDENTIFIERS:
            values = [] if self.is_parameter(node) else self.values(node)
            return values, not values
        if kind in _MEMBERS:
            root = node
            while root.kind() in _MEMBERS and (below := root.field("object")) is not None:
                root = below
            elsewhere = root.kind() in _IDENTIFIERS and not self.values(root)
            below = node.field("object")
            return ([], True) if elsewhere or below is None else ([below], False)
        if kind in _CALLS:
            if stop(node):
                return [], True
            function = self.function(node)
            receiver = function.field("object") if function is not None and function.kind() in _MEMBERS else None
            return [*([receiver] if receiver is not None else []), *self.arguments(node)], True
        if kind in _FUNCTIONS or kind in PATTERNS or not (children := named(node)):
            return [], kind != "comment"
        if kind == "pair":
            return children[1:], False
        if kind == "ternary_expression":
            return children[1:], False
        return children, kind == "string"

    def _name(self, node: SgNode) -> str:  # noqa: PLR0911 - one case per kind of expression
        kind = node.kind()
        if kind in _WRAPPERS:
            return self.name(next(iter(named(node)), None))
        if kind in _CALLS:
            below = self.name(self.function(node))
            return f"{below}()" if below else ""
        if kind == "member_expression":
            below, member = self.name(node.field("object")), text_of(node.field("property"))
            if below == "this" and (field := self._fields.get(member)) is not None:
                return self.name(field)
            return f"{below}.{member}" if below else ""
        if kind in _IDENTIFIERS:
            if node.text() in self.imports:
                return self.imports[node.text()]
            if self.is_parameter(node):
                return self._typed(node)
            values = self.values(node)
            names = (self._typed(value) if self.is_parameter(value) else self.name(value) for value in values)
            return next(filter(None, names), "") if values else node.text()
        return "this" if kind == "this" else ""

    def _typed(self, parameter: SgNode) -> str:
        """The name of what a parameter is declared to be."""
        above = parameter.parent()
        annotation = above.field("type") if above is not None else None
        kind = annotation.find(kind="type_identifier") if annotation is not None else None
        return f"{self.imports.get(kind.text(), kind.text())}()" if kind is not None else ""

    def is_parameter(self, node: SgNode) -> bool:
        """Whether a node is where a parameter is declared."""
        return node.kind() in PATTERNS and key_of(node) in self._parameters

    @cached_property
    def _parameters(self) -> dict[NodeKey, SgNode]:
        """The names that functions' parameters bind."""
        found = {key_of(node): node for parameters in self.all("formal_parameters") for node in patterns(parameters)}
        single = (arrow.field("parameter") for arrow in self.all("arrow_function"))
        return found | {key_of(node): node for node in single if node is not None}

    @cached_property
    def _fields(self) -> dict[str, SgNode]:
        """What `this.x` is set to, by x."""
        found: dict[str, SgNode] = {}
        for field in self.all("public_field_definition"):
            name, value = field.field("name"), field.field("value")
            if name is not None and value is not None:
                found[name.text()] = value
        for assignment in self.all("assignment_expression"):
            left, value = assignment.field("left"), assignment.field("right")
            if left is not None and value is not None and text_of(left.field("object")) == "this":
                found[text_of(left.field("property"))] = value
        return found

    @cached_property
    def _bindings(self) -> dict[tuple[NodeKey, str], list[SgNode]]:
        """What each variable is set to, by the function it belongs to."""
        found: dict[tuple[NodeKey, str], list[SgNode]] = {}

        def bind(scope: SgNode | None, name: str, value: SgNode) -> None:
            if scope is not None and name not in self.imports:
                found.setdefault((key_of(scope), name), []).append(value)

        for declared, value in self._declared():
            for name, _ in bound(declared):
                bind(_scope(declared), name, value)
        for parameter in self._parameters.values():
            bind(_scope(parameter), parameter.text(), parameter)
        for changed, value in self._changed():
            bind(_owner(changed, found), changed.text(), value)
        return found

    def _declared(self) -> Iterator[tuple[SgNode, SgNode]]:
        """Patterns and what they are bound to."""
        for node, left, right in (
            *((node, "name", "value") for node in self.all("variable_declarator")),
            *((node, "left", "right") for node in self.all("for_in_statement")),
        ):
            target, value = node.field(left), node.field(right)
            if target is not None and value is not None:
                yield target, value

    def _changed(self) -> Iterator[tuple[SgNode, SgNode]]:
        """Variables and what they, or something in them, are set to, or what is put into them."""
        for assignment in self.all("assignment_expression", "augmented_assignment_expression"):
            left, value = assignment.field("left"), assignment.field("right")
            while left is not None and left.kind() in _MEMBERS:
                left = left.field("object")
            if left is not None and value is not None and left.kind() == "identifier":
                yield left, value
        for call in self.all("call_expression"):
            function = call.field("function")
            receiver = function.field("object") if function is not None else None
            grows = function is not None and text_of(function.field("property")) in _GROWS
            if grows and receiver is not None and receiver.kind() == "identifier":
                yield from ((receiver, value) for value in self.arguments(call))


def _scope(node: SgNode) -> SgNode | None:
    return next((above for above in node.ancestors() if above.kind() in _FUNCTIONS), None)


def _owner(node: SgNode, bindings: dict[tuple[NodeKey, str], list[SgNode]]) -> SgNode | None:
    """The function that a variable is declared in; else the outermost."""
    above = [each for each in node.ancestors() if each.kind() in _FUNCTIONS]
    return next((each for each in above if (key_of(each), node.text()) in bindings), above[-1] if above else None)
