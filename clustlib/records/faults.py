"""Deliberate faults in a definition, by its syntax tree: what a witness must be able to notice.

A fault is one small change, of the kind that slips in: a comparison turned or its bound shifted, a constant doubled
or one more, operands swapped, a sign, a branch taken the wrong way, an argument or a statement left out. Docstrings,
annotations, decorators, the text of errors, clocks and progress bars are left alone: no result depends on them.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_FLIPPED: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OTHER_OPERATOR: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_OTHER_NAME = {
    **{"min": "max", "minimum": "maximum", "argmin": "argmax", "amin": "amax", "floor": "ceil", "any": "all"},
    **{"zeros": "ones", "zeros_like": "ones_like", "add_": "sub_", "mul_": "div_", "log": "log1p"},
}
_OTHER_NAME |= {there: here for here, there in _OTHER_NAME.items()}
_IDLE = ("tqdm", "perf_counter", "started", "clock", "warnings", "warn", "set_postfix", "empty_cache")
_IDLE_KEYWORDS = ("desc", "unit", "leave", "delay", "stacklevel", "out", "dtype", "cache", "nogil", "device")


@dataclass(frozen=True)
class Fault:
    """One change of a definition: where, what, and the whole module's text with it."""

    line: int
    what: str
    source: str
    kind: str = ""

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


@dataclass
class _Site:
    """A place for a fault: ``change`` makes it in the tree and returns what undoes it."""

    line: int
    what: str
    kind: str
    change: Callable[[], Callable[[], None]]


def _set(owner: Any, name: str, value: Any) -> Callable[[], Callable[[], None]]:
    """The change that gives an attribute another value."""

    def change() -> Callable[[], None]:
        before = getattr(owner, name)
        setattr(owner, name, value)
        return lambda: setattr(owner, name, before)

    return change


def _item(items: list, at: int, value: Any) -> Callable[[], Callable[[], None]]:
    """The change that puts something else in a list."""

    def change() -> Callable[[], None]:
        before = list(items)
        items[at : at + 1] = [] if value is None else [value]
        return lambda: items.__setitem__(slice(None), before)

    return change


def _words(node: ast.AST) -> set[str]:
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return names | {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}


def is_idle(node: ast.stmt) -> bool:
    """Whether a simple statement only keeps time or shows progress."""
    if not isinstance(node, (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign)):
        return False
    words = _words(node)
    moves_bar = isinstance(node.value, ast.Call) and "bar" in _words(node.value.func)
    return bool(moves_bar or words & set(_IDLE) or any("seconds" in word for word in words))


class _Sites:
    """Every place for a fault in some statements, in the order of the text."""

    def __init__(self, statements: Iterable[ast.stmt]) -> None:
        self.found: list[_Site] = []
        for statement in statements:
            # what a function says in words is mostly an error; a constant's words are names
            self.strings = isinstance(statement, (ast.Assign, ast.AnnAssign))
            self.visit(statement)

    def add(self, node: ast.AST, kind: str, after: str, change: Callable[[], Callable[[], None]]) -> None:
        self.found.append(_Site(getattr(node, "lineno", 0), after, kind, change))

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt) and is_idle(node):
            return
        maker = getattr(self, f"_{type(node).__name__.lower()}", None)
        if maker:
            maker(node)
        for child in self._children(node):
            self.visit(child)
        for name in ("body", "orelse"):
            if isinstance(inner := getattr(node, name, None), list) and not isinstance(node, ast.ClassDef):
                self._left_out(inner)

    @staticmethod
    def _children(node: ast.AST) -> Iterator[ast.AST]:
        """The parts of a node on which a result can depend."""
        skipped: set[int] = set()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            skipped |= {id(part) for part in node.decorator_list}
            skipped.add(id(getattr(node, "returns", None)))
        if isinstance(node, ast.If) and isinstance(node.test, ast.Call) and _words(node.test.func) & {"on_gpu"}:
            skipped |= {id(part) for part in node.body}
        for name in ("annotation", "exc", "msg", "format_spec"):
            skipped.add(id(getattr(node, name, None)))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        yield from (child for child in ast.iter_child_nodes(node) if id(child) not in skipped)

    def _left_out(self, body: list[ast.stmt]) -> None:
        for at, statement in enumerate(body):
            calls = isinstance(statement, ast.Expr) and isinstance(statement.value, (ast.Call, ast.Yield))
            leaves = isinstance(statement, (ast.AugAssign, ast.Continue, ast.Break, ast.Raise)) or calls
            sets = isinstance(statement, ast.Assign) and all(
                isinstance(target, (ast.Subscript, ast.Attribute)) for target in statement.targets
            )
            if (leaves or sets) and not is_idle(statement):
                put = ast.copy_location(ast.Pass(), statement)
                self.add(statement, "left out", f"left out: {ast.unparse(statement)[:60]}", _item(body, at, put))

    def _compare(self, node: ast.Compare) -> None:
        for at, operator in enumerate(node.ops):
            for other in _FLIPPED.get(type(operator), ()):
                kind = "bound" if type(operator).__name__[:2] == other.__name__[:2] else "turned"
                changed = ast.Compare(node.left, [*node.ops[:at], other(), *node.ops[at + 1 :]], node.comparators)
                self.add(node, kind, f"{ast.unparse(node)} -> {ast.unparse(changed)}", _item(node.ops, at, other()))

    def _binop(self, node: ast.BinOp) -> None:
        if other := _OTHER_OPERATOR.get(type(node.op)):
            changed = ast.BinOp(node.left, other(), node.right)
            self.add(node, "operator", f"{ast.unparse(node)} -> {ast.unparse(changed)}", _set(node, "op", other()))
        if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult, ast.FloorDiv, ast.Mod, ast.Pow)):
            changed = ast.BinOp(node.right, node.op, node.left)

            def swap() -> Callable[[], None]:
                node.left, node.right = right, left

                def undo() -> None:
                    node.left, node.right = left, right

                return undo

            left, right = node.left, node.right
            self.add(node, "swapped", f"{ast.unparse(node)} -> {ast.unparse(changed)}", swap)

    def _augassign(self, node: ast.AugAssign) -> None:
        if other := _OTHER_OPERATOR.get(type(node.op)):
            changed = ast.AugAssign(node.target, other(), node.value)
            self.add(node, "operator", f"{ast.unparse(node)} -> {ast.unparse(changed)}", _set(node, "op", other()))

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            other: Any = not value
        elif isinstance(value, int):
            other = value + 1
        elif isinstance(value, float):
            other = value * 2 or 1.0
        elif isinstance(value, str) and self.strings:
            other = f"{value}?"
        else:
            return
        self.add(node, "constant", f"{value!r} -> {other!r}", _set(node, "value", other))

    def _unaryop(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.USub, ast.Not)):
            to = ast.UAdd() if isinstance(node.op, ast.USub) else None
            if to is not None:
                self.add(node, "sign", f"{ast.unparse(node)} without its sign", _set(node, "op", to))
            else:
                doubled = ast.copy_location(ast.UnaryOp(ast.Not(), node.operand), node)
                self.add(node, "not", f"{ast.unparse(node)} without not", _set(node, "operand", doubled))

    def _boolop(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        changed = ast.BoolOp(other, node.values)
        self.add(node, "and/or", f"{ast.unparse(node)} -> {ast.unparse(changed)}", _set(node, "op", other))

    def _call(self, node: ast.Call) -> None:
        owner, name = node.func, "attr" if isinstance(node.func, ast.Attribute) else "id"
        called = getattr(owner, name, None)
        if called in _OTHER_NAME:
            self.add(node, "name", f"{called} -> {_OTHER_NAME[called]}", _set(owner, name, _OTHER_NAME[called]))
        for at, keyword in enumerate(node.keywords):
            if keyword.arg and keyword.arg not in _IDLE_KEYWORDS:
                what = f"{ast.unparse(node)[:60]} without {keyword.arg}"
                self.add(node, "argument", what, _item(node.keywords, at, None))
        plain = not any(isinstance(argument, ast.Starred) for argument in node.args)
        if len(node.args) >= 2 and plain and called not in (*_OTHER_NAME, "isinstance", "getattr", "setattr", "zip"):

            def swap() -> Callable[[], None]:
                node.args[:2] = node.args[1::-1]
                return lambda: node.args.__setitem__(slice(0, 2), first)

            first = node.args[:2]
            self.add(node, "swapped", f"{ast.unparse(node)[:60]} with its first arguments swapped", swap)

    def _if(self, node: ast.If | ast.While | ast.IfExp) -> None:
        if not isinstance(node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)):
            turned = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
            self.add(node, "turned", f"if {ast.unparse(node.test)} -> if not", _set(node, "test", turned))

    _ifexp = _if

    def _slice(self, node: ast.Slice) -> None:
        for name in ("lower", "upper"):
            bound = getattr(node, name)
            if bound is not None and not isinstance(bound, ast.Constant):
                more = ast.copy_location(ast.BinOp(bound, ast.Add(), ast.Constant(1)), bound)
                self.add(node, "bound", f"{ast.unparse(bound)} + 1 in [{ast.unparse(node)}]", _set(node, name, more))


def targets(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return set()
    loops = [part.target for part in ast.walk(statement) if isinstance(part, ast.comprehension)]
    within = {id(name) for loop in loops for name in ast.walk(loop)}  # these end with their comprehension
    names = [n for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return {name.id for name in names if id(name) not in within}


def statements_of(tree: ast.Module, name: str) -> list[ast.stmt]:
    """The top-level statements that define a name."""
    return [statement for statement in tree.body if name in targets(statement)]


def spans(source: str, name: str) -> list[tuple[int, int]]:
    """First and last lines of what defines a name in a module's text."""
    return [(s.lineno, s.end_lineno or s.lineno) for s in statements_of(ast.parse(source), name)]


def _spread(sites: list[_Site], most: int) -> list[_Site]:
    """At most ``most`` of the sites, evenly over the text, of as many kinds as can be."""
    if len(sites) <= most:
        return sites
    chosen: list[_Site] = []
    kinds: dict[str, int] = {}
    for part in range(most):
        within = sites[part * len(sites) // most : (part + 1) * len(sites) // most]
        best = min(within, key=lambda site: kinds.get(site.kind, 0))
        kinds[best.kind] = kinds.get(best.kind, 0) + 1
        chosen.append(best)
    return chosen


def _sites(tree: ast.Module, name: str, executed: set[int] | None) -> list[_Site]:
    """Every place for a fault in a definition; on the lines executed alone, where these are given."""
    defining = statements_of(tree, name)
    sites = _Sites(defining).found
    if executed is None:
        return sites
    inside = {line for s in defining if isinstance(s, (ast.FunctionDef, ast.ClassDef)) for line in _body_lines(s)}
    return [site for site in sites if site.line in executed or site.line not in inside]


def places(source: str, name: str, executed: set[int] | None = None) -> set[tuple[int, str]]:
    """Line and description of every fault that a definition could have; none is made."""
    return {(site.line, site.what) for site in _sites(ast.parse(source), name, executed)}


def faults(
    source: str,
    name: str,
    *,
    first: set[int] | frozenset[int] = frozenset(),
    executed: set[int] | None = None,
    most: int = 6,
) -> list[Fault]:
    """Up to ``most`` faults of the definition ``name`` in a module's text, always the same ones.

    Parameters
    ----------
    first : lines that are served before the others: those that have changed.
    executed : where given, faults on these lines alone; others cannot be noticed.
    """
    tree = ast.parse(source)
    sites = _sites(tree, name, executed)
    early = [site for site in sites if site.line in first]
    chosen = _spread(early, most)
    chosen += _spread([site for site in sites if site.line not in first], most - len(chosen))
    return [_made(tree, site) for site in chosen]


def _body_lines(statement: ast.FunctionDef | ast.ClassDef) -> Iterator[int]:
    """The lines of the bodies of a function or of a class's methods."""
    functions = [statement] if isinstance(statement, ast.FunctionDef) else statement.body
    for function in functions:
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from range(function.body[0].lineno, (function.end_lineno or 0) + 1)


def _made(tree: ast.Module, site: _Site) -> Fault:
    undo = site.change()
    try:
        return Fault(site.line, site.what, ast.unparse(ast.fix_missing_locations(tree)), site.kind)
    finally:
        undo()


def variants(tree: ast.Module, name: str, lines: set[int]) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Every fault on some lines of a definition: its kind, and the statements with it, which stand until the next."""
    defining = statements_of(tree, name)
    for site in (site for site in _Sites(defining).found if site.line in lines):
        undo = site.change()
        try:
            yield site.kind, [ast.fix_missing_locations(statement) for statement in defining]
        finally:
            undo()
