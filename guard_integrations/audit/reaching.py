"""Where the value of a name may come from: reaching definitions in one scope of Python.

Statements are run through in their order with an environment, name to the nodes that may have defined it. Branches are
joined, loops are run twice, a branch that leaves the scope drops out. What is appended to, or set in, a container counts
among the container's definitions. Nested functions see the definitions that their outer scopes have anywhere.
"""

import ast
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

__all__ = ["Definitions", "Scope", "below", "reaching"]

Scope: TypeAlias = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
Definitions: TypeAlias = tuple[ast.AST, ...]
_Environment: TypeAlias = dict[str, Definitions]

_GROWS: Final = frozenset({"add", "append", "appendleft", "extend", "insert", "setdefault", "update"})
_LOOPS: Final = 2
"""Loops within loops, from which on the body is run once."""
_MOST: Final = 300
"""Definitions of one name that are told apart; a longer list is data."""
_WORDS: Final = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def reaching(scope: Scope) -> tuple[dict[ast.AST, Definitions], dict[str, Definitions]]:
    """What each use of a name in a scope may stand for, and all that each name of the scope is ever bound to.

    Names (and attributes such as `self.llm`) that the scope does not bind have no entry.
    """
    flow = _Flow()
    env: _Environment = {}
    if isinstance(scope, _FUNCTIONS):
        for arg in arguments(scope.args):
            flow.bind(env, arg.arg, arg)
    if isinstance(scope, ast.Lambda):
        flow.expression(scope.body, env)
    else:
        flow.block(scope.body, env)
    return flow.uses, {name: tuple(nodes)[-_MOST:] for name, nodes in flow.bound.items()}


def below(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes right below one: as `ast.iter_child_nodes`, at half its price, but for those that say no more than a word.

    The nodes for loading, storing and the operators are one object each in the whole process, besides.
    """
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            for child in value:
                if isinstance(child, ast.AST) and not isinstance(child, _WORDS):
                    yield child
        elif isinstance(value, ast.AST) and not isinstance(value, _WORDS):
            yield value


def arguments(args: ast.arguments) -> Iterator[ast.arg]:
    """All parameters."""
    yield from (*args.posonlyargs, *args.args, *args.kwonlyargs)
    yield from (arg for arg in (args.vararg, args.kwarg) if arg is not None)


class _Flow:
    """One run through a scope."""

    __slots__ = ("bound", "loops", "uses")

    def __init__(self) -> None:
        self.uses: dict[ast.AST, Definitions] = {}
        self.bound: dict[str, dict[ast.AST, None]] = {}
        self.loops = 0

    def bind(self, env: _Environment, name: str, *nodes: ast.AST, more: bool = False) -> None:
        """Defines a name anew, or adds to what it is; what is added to a name of an outer scope is told to all."""
        if not more or name in env:
            env[name] = _joined(env[name], nodes) if more else nodes
        self.bound.setdefault(name, {}).update(dict.fromkeys(nodes))

    def block(self, body: Iterable[ast.stmt], env: _Environment) -> _Environment | None:
        """Runs statements; the environment after them, None where none is reached."""
        for statement in body:
            after = self.statement(statement, env)
            if after is None:
                return None
            env = after
        return env

    def statement(self, node: ast.stmt, env: _Environment) -> _Environment | None:  # noqa: C901, PLR0911, PLR0912 - one case per kind of statement
        """Runs one statement."""
        match node:
            case ast.Assign(targets=targets, value=value):
                self.expression(value, env)
                for target in targets:
                    self.target(target, value, env)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.expression(value, env)
                self.target(target, value, env)
            case ast.AnnAssign(target=ast.Name(id=name)):
                self.bind(env, name, node)
            case ast.AugAssign(target=target, value=value):
                self.expression(value, env)
                if name := path(target):
                    self.bind(env, name, value, more=True)
            case ast.If(test=test, body=body, orelse=orelse):
                self.expression(test, env)
                return _merged(self.block(body, dict(env)), self.block(orelse, dict(env)))
            case ast.For() | ast.AsyncFor():
                self.expression(node.iter, env)
                return self.loop(node, env)
            case ast.While(test=test):
                self.expression(test, env)
                return self.loop(node, env)
            case ast.Try() | ast.TryStar():
                return self.guarded(node, env)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    self.expression(item.context_expr, env)
                    if item.optional_vars is not None:
                        self.target(item.optional_vars, item.context_expr, env)
                return self.block(body, env)
            case ast.Match(subject=subject, cases=cases):
                self.expression(subject, env)
                ends = [self.case(case, subject, dict(env)) for case in cases]
                after: _Environment | None = dict(env)
                for end in ends:
                    after = _merged(after, end)
                return after
            case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
                self.parts(node, env)
                return None
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                for decorator in node.decorator_list:
                    self.expression(decorator, env)
                if not isinstance(node, ast.ClassDef):
                    for default in (*node.args.defaults, *node.args.kw_defaults):
                        if default is not None:
                            self.expression(default, env)
                self.bind(env, name, node)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                for alias in names:
                    self.bind(env, alias.asname or alias.name.partition(".")[0], alias)
            case _:
                self.parts(node, env)
        return env

    def parts(self, node: ast.AST, env: _Environment) -> None:
        """Runs the expressions of a statement."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.expression(child, env)

    def loop(self, node: ast.For | ast.AsyncFor | ast.While, env: _Environment) -> _Environment | None:
        """Runs a loop's body as if never, once and again."""
        self.loops += 1
        for _ in range(2 if self.loops <= _LOOPS else 1):
            inside = dict(env)
            if not isinstance(node, ast.While):
                self.target(node.target, node.iter, inside)
            env = _merged(env, self.block(node.body, inside)) or env
        self.loops -= 1
        return self.block(node.orelse, env)

    def guarded(self, node: ast.Try | ast.TryStar, env: _Environment) -> _Environment | None:
        """Runs a `try`: a handler may begin after any part of the body."""
        before = dict(env)
        after = self.block(node.body, dict(env))
        if after is not None:
            before = _merged(before, after) or before
            after = self.block(node.orelse, after)
        for handler in node.handlers:
            inside = dict(before)
            if handler.name:
                self.bind(inside, handler.name, handler)
            after = _merged(after, self.block(handler.body, inside))
        if node.finalbody:
            return self.block(node.finalbody, after if after is not None else before)
        return after

    def case(self, case: ast.match_case, subject: ast.expr, env: _Environment) -> _Environment | None:
        """Runs one case of a `match`."""
        for pattern in ast.walk(case.pattern):
            if isinstance(pattern, ast.MatchAs | ast.MatchStar) and pattern.name:
                self.bind(env, pattern.name, subject)
        if case.guard is not None:
            self.expression(case.guard, env)
        return self.block(case.body, env)

    def target(self, target: ast.expr, value: ast.expr, env: _Environment) -> None:
        """Binds what stands left of `=`: part by part where both sides have as many parts, else all to the whole."""
        match target:
            case ast.Tuple(elts=left) | ast.List(elts=left):
                right = value.elts if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(left) else None
                for number, part in enumerate(left):
                    self.target(part, right[number] if right else value, env)
            case ast.Starred(value=part):
                self.target(part, value, env)
            case ast.Subscript(value=container, slice=key):
                self.expression(key, env)
                self.expression(container, env)
                if name := path(container):
                    self.bind(env, name, value, more=True)
            case _:
                if isinstance(target, ast.Attribute):
                    self.expression(target.value, env)
                if name := path(target):
                    self.bind(env, name, value)

    def expression(self, node: ast.AST, env: _Environment) -> None:  # noqa: C901 - one case per kind of expression
        """Notes what the names in an expression stand for, and binds those that it defines."""
        match node:
            case ast.Name(id=name):
                if name in env:
                    self.uses[node] = env[name]
                return
            case ast.Attribute():
                name = path(node)
                if name and name in env:
                    self.uses[node] = env[name]
                self.expression(node.value, env)
                return
            case ast.NamedExpr(target=target, value=value):
                self.expression(value, env)
                self.bind(env, target.id, value)
                return
            case ast.Lambda():
                return  # a scope of its own
            case ast.Call(func=ast.Attribute(value=container, attr=attr)) if attr in _GROWS:
                self.children(node, env)
                if name := path(container):
                    self.bind(env, name, *node.args, *(keyword.value for keyword in node.keywords), more=True)
                return
        if isinstance(node, _COMPREHENSIONS):
            env = dict(env)
            for part in node.generators:
                self.expression(part.iter, env)
                self.target(part.target, part.iter, env)
        self.children(node, env)

    def children(self, node: ast.AST, env: _Environment) -> None:
        """Runs everything below a node."""
        for child in below(node):
            self.expression(child, env)


def path(node: ast.AST) -> str:
    """`a` or `a.b.c` where a node is that, else nothing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join((node.id, *reversed(parts)))


def _joined(left: Definitions, right: Definitions) -> Definitions:
    return tuple(dict.fromkeys((*left[-_MOST:], *right)))


def _merged(left: _Environment | None, right: _Environment | None) -> _Environment | None:
    """What is known after one of two branches."""
    if left is None or right is None:
        return left if right is None else right
    return {name: _joined(left.get(name, ()), right.get(name, ())) for name in {**left, **right}}
