"""One Python module, read so that checks can ask what a name is and where a value comes from.

Names are dotted and as imported: after `from mistralai import Mistral as M; client = M()`, the function of
`client.chat.complete(...)` is named `mistralai.Mistral().chat.complete`; brackets stand for "what calling it gives".
"""

import ast
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final

from guard_integrations.audit.reaching import Definitions, Scope, below, path, reaching

__all__ = ["PythonModule"]

_DEEPEST: Final = 40
"""Steps from a name to what it stands for, at most."""
_SCOPES: Final = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def _nothing(call: ast.Call) -> bool:  # noqa: ARG001 - the signature of `stop`
    return False


class PythonModule:
    """A parsed module. What is asked for is worked out once.

    Args:
        tree: the module.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self._flows: dict[Scope, tuple[dict[ast.AST, Definitions], dict[str, Definitions]]] = {}
        self._classes: dict[ast.ClassDef, dict[str, Definitions]] = {}
        self._names: dict[ast.AST, str] = {}

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes, breadth first."""
        return (self.tree, *self.parents)

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node above each, breadth first."""
        found: dict[ast.AST, ast.AST] = {}
        above: list[ast.AST] = [self.tree]
        for node in above:  # grows
            for child in below(node):
                found[child] = node
                above.append(child)
        return found

    @cached_property
    def calls(self) -> tuple[ast.Call, ...]:
        """All calls."""
        return tuple(node for node in self.nodes if isinstance(node, ast.Call))

    @cached_property
    def imports(self) -> dict[ast.alias, str]:
        """The dotted name of all that is imported; what is imported relatively begins with a dot."""
        found: dict[ast.alias, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found.update((alias, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                found.update((alias, f"{module}.{alias.name}") for alias in node.names)
        return found

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes above one, from the nearest up to the module."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def scope(self, node: ast.AST) -> Scope:
        """The function, class or module that a node's names belong to."""
        child = node
        for above in self.above(node):
            # Defaults and decorators belong to the outside.
            if isinstance(above, _SCOPES) and (isinstance(above, ast.Module) or _within(above, child)):
                return above
            child = above
        return self.tree

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The `def` that a node stands in, if any."""
        for above in self.above(node):
            if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
                return above
        return None

    def values(self, node: ast.expr) -> Definitions:
        """What a name, or an attribute such as `self.llm`, may stand for at this place; nothing where that is unknown.

        The nodes are values that are assigned (of a loop, what is looped over; of a container, what is put in, too),
        `ast.arg` for a parameter, `ast.alias` for what is imported, and definitions of functions and classes.
        """
        name = path(node)
        if not name:
            return ()
        scope: Scope = self.scope(node)
        uses, _ = self._flow(scope)
        if node in uses:
            return uses[node]
        if "." in name:
            return self._attribute(name, scope)
        found: Definitions = ()
        while True:
            if not isinstance(scope, ast.ClassDef):
                found += self._flow(scope)[1].get(name, ())
            if isinstance(scope, ast.Module):
                return tuple(dict.fromkeys(found))
            scope = self.scope(scope)

    def name(self, node: ast.AST | None) -> str:
        """The dotted name of what an expression is, as imported; nothing where it has none."""
        if node is None:
            return ""
        if node not in self._names:
            self._names[node] = ""  # of what is defined by itself
            self._names[node] = self._name(node)
        return self._names[node]

    def argument(self, call: ast.Call, keyword: str, position: int | None = None) -> ast.expr | None:
        """What a call passes under a keyword, or at a position."""
        for each in call.keywords:
            if each.arg == keyword:
                return each.value
        if position is not None and position < len(call.args) and not isinstance(call.args[position], ast.Starred):
            return call.args[position]
        return None

    def constant(self, node: ast.AST | None) -> object:
        """The literal that an expression stands for, if it can only be this one; else None."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name | ast.Attribute):
            values = self.values(node)
            if len(values) == 1 and values[0] is not node and isinstance(values[0], ast.Constant):
                return values[0].value
        return None

    def resolve(self, node: ast.AST) -> ast.AST:
        """What a name stands for, if it can only be this one; else the node itself."""
        for _ in range(_DEEPEST):
            values = self.values(node) if isinstance(node, ast.Name | ast.Attribute) else ()
            if len(values) != 1 or values[0] is node:
                break
            node = values[0]
        return node

    def stages(self, node: ast.expr) -> tuple[ast.expr, ...]:
        """The parts of a pipe `a | b | c`, names followed; of anything else, the thing itself."""
        resolved = self.resolve(node)
        if isinstance(resolved, ast.BinOp) and isinstance(resolved.op, ast.BitOr):
            return (*self.stages(resolved.left), *self.stages(resolved.right))
        return (node,)

    def origins(self, node: ast.AST, *, stop: Callable[[ast.Call], bool] = _nothing) -> tuple[ast.AST, ...]:
        """What a value is made of, followed through the variables of its function, of the class and of the module.

        Gives literals, parameters (`ast.arg`), attributes and names of other modules, and calls. Of a call, what goes
        in is followed, too, unless `stop` says that what comes out no longer carries it, as after a guard.
        """
        found: dict[ast.AST, None] = {}
        seen: set[ast.AST] = set()
        rest = [node]
        while rest:
            current = rest.pop()
            if current in seen:
                continue
            seen.add(current)
            more, leaf = self._parts(current, stop)
            if leaf:
                found[current] = None
            rest += reversed(more)
        return tuple(found)

    def _parts(self, node: ast.AST, stop: Callable[[ast.Call], bool]) -> tuple[list[ast.AST], bool]:  # noqa: C901, PLR0911 - one case per kind of expression
        """What a node is made of, and whether it is an origin itself."""
        match node:
            case ast.Name() | ast.Attribute():
                values = self.values(node)
                if values:
                    return list(values), False
                root = _root(node)
                elsewhere = isinstance(root, ast.Name) and (self._imported(root) or not self.values(root))
                return ([node.value], False) if isinstance(node, ast.Attribute) and not elsewhere else ([], True)
            case ast.Call():
                if stop(node):
                    return [], True
                receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
                return [*receiver, *node.args, *(keyword.value for keyword in node.keywords)], True
            case ast.Subscript(value=value) | ast.Starred(value=value) | ast.Await(value=value):
                return [value], False
            case ast.IfExp(body=body, orelse=orelse):
                return [body, orelse], False
            case ast.Compare() | ast.Lambda():
                return [], False
            case ast.ListComp(elt=element) | ast.SetComp(elt=element) | ast.GeneratorExp(elt=element):
                return [element], False
            case ast.DictComp(key=key, value=value):
                return [key, value], False
            case ast.expr() if not isinstance(node, ast.Constant):
                return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)], False
            case _:
                return [], True

    def _imported(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and any(value in self.imports for value in self.values(node))

    def _name(self, node: ast.AST) -> str:  # noqa: C901, PLR0911 - one case per kind of node
        match node:
            case ast.alias():
                name = self.imports.get(node, "")
                # `import a.b` binds `a`.
                plain = isinstance(self.parents.get(node), ast.Import) and node.asname is None
                return name.partition(".")[0] if plain else name
            case ast.Name(id=name):
                values = self.values(node)
                return self._first(values) if values else name
            case ast.Attribute(value=value, attr=attr):
                if values := self.values(node):
                    return self._first(values)
                outer = self.name(value)
                return f"{outer}.{attr}" if outer else ""
            case ast.Call(func=func):
                called = self.name(func)
                return f"{called}()" if called else ""
            case ast.Await(value=value):
                return self.name(value)
            case ast.IfExp(body=body, orelse=orelse):
                return self.name(body) or self.name(orelse)
            case ast.BoolOp(values=values):
                return self._first(tuple(values))
            case ast.NamedExpr(value=value):
                return self.name(value)
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                kind = self.name(_bare(annotation))
                return f"{kind}()" if kind else ""
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                return name
            case _:
                return ""

    def _first(self, nodes: Definitions) -> str:
        return next((name for node in nodes if (name := self.name(node))), "")

    def _attribute(self, name: str, scope: Scope) -> Definitions:
        """What `self.x` is set to anywhere in the class, or `a.x` anywhere around."""
        found: Definitions = ()
        attribute = name.removeprefix("self.")
        while not isinstance(scope, ast.Module):
            if isinstance(scope, ast.ClassDef):
                if attribute != name and "." not in attribute:
                    found += self._flow(scope)[1].get(attribute, ())
                return (*found, *self._set_in(scope).get(name, ()))
            scope = self.scope(scope)
        return self._flow(self.tree)[1].get(name, ())

    @cached_property
    def _methods(self) -> dict[ast.ClassDef, list[ast.FunctionDef | ast.AsyncFunctionDef]]:
        """The functions of each class, those within functions and inner classes, too."""
        found: dict[ast.ClassDef, list[ast.FunctionDef | ast.AsyncFunctionDef]] = {}
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for above in self.above(node):
                    if isinstance(above, ast.ClassDef):
                        found.setdefault(above, []).append(node)
        return found

    def _set_in(self, scope: ast.ClassDef) -> dict[str, Definitions]:
        """What the functions of a class set, by dotted name."""
        if scope not in self._classes:
            found: dict[str, Definitions] = {}
            for method in self._methods.get(scope, ()):
                for name, values in self._flow(method)[1].items():
                    if "." in name:
                        found[name] = tuple(dict.fromkeys((*found.get(name, ()), *values)))
            self._classes[scope] = found
        return self._classes[scope]

    def _flow(self, scope: Scope) -> tuple[dict[ast.AST, Definitions], dict[str, Definitions]]:
        if scope not in self._flows:
            self._flows[scope] = reaching(scope)
        return self._flows[scope]


def _within(scope: ast.AST, child: ast.AST) -> bool:
    """Whether a child of a function or class is inside it, and not a decorator, default or base."""
    if isinstance(scope, ast.Lambda):
        return child is scope.body
    return isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and isinstance(child, ast.stmt)


def _root(node: ast.AST) -> ast.AST:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node


def _bare(annotation: ast.expr) -> ast.expr:
    """`X` of `X | None`, `Optional[X]` and `Annotated[X, ...]`."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr()):
            return _bare(left)
        case ast.Subscript(value=ast.Name(id="Optional" | "Annotated"), slice=ast.Tuple(elts=[first, *_]) | first):
            return _bare(first)
        case _:
            return annotation
