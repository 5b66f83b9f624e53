"""Which of clustlib's definitions a piece of code runs through, read from the source text alone.

Two users: a record stores a hash of the definitions its run went through, so that the dashboard can
mark records made by sources that have changed since; the workflow lists the files that a notebook
depends on, so that a change re-runs just what it touches.

The trace follows names: a function's body names other functions, classes, constants and imported
modules of clustlib; each is followed to its definition, and so on. Docstrings, comments and layout
do not count, and a run on the CPU does not go through what follows ``if on_gpu(...):`` (see
:mod:`clustlib._device`). What is reached only through strings (``"clustlib.cluster.kmeans:KMeans"``) is followed
on request, for registries that name their entries that way.
"""

import ast
import copy
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = "clustlib"
_GPU_TESTS = ("on_gpu", "on_gpu_with_triton")
_ROOT = Path(__file__).resolve().parent
_DOTTED = re.compile(r"^clustlib(\.\w+)+:\w+$")


class Definition(NamedTuple):
    """A top-level name of a clustlib module; ``name`` is ``"*"`` for the module as a whole."""

    module: str
    name: str


class _Module(NamedTuple):
    path: Path
    nodes: dict[str, list[ast.stmt]]  # top-level name -> the statements that define it
    imports: dict[str, Definition]  # local name -> what it stands for


def _module_path(module: str) -> Path | None:
    """The file of a clustlib module, or None where there is none."""
    parts = module.split(".")[1:]
    for candidate in (_ROOT.joinpath(*parts, "__init__.py"), _ROOT.joinpath(*parts).with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def _targets(statement: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _imports(tree: ast.AST, module: str, is_package: bool) -> dict[str, Definition]:
    """Every import of clustlib found anywhere in ``tree``, by the local name it binds."""
    found: dict[str, Definition] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    found[alias.asname or PACKAGE] = Definition(alias.name if alias.asname else PACKAGE, "*")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # a relative import
                parents = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
            if base.split(".")[0] != PACKAGE:
                continue
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                target = Definition(submodule, "*") if _module_path(submodule) else Definition(base, alias.name)
                found[alias.asname or alias.name] = target
    return found


@cache
def _read(module: str) -> _Module | None:
    path = _module_path(module)
    if path is None:
        return None
    tree = ast.parse(path.read_text())
    nodes: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            for name in set(_targets(statement)):
                nodes.setdefault(name, []).append(statement)
    imports = _imports(tree, module, path.name == "__init__.py")
    if (stub := path.with_suffix(".pyi")).is_file():  # a package whose names come in one by one lists them there
        imports |= _imports(ast.parse(stub.read_text(encoding="utf-8")), module, is_package=True)
    return _Module(path, nodes, imports)


class _OnCpu(ast.NodeTransformer):
    """Puts the ``else`` of every branch for a GPU in its place."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        first = node.test
        if isinstance(first, ast.BoolOp) and isinstance(first.op, ast.And):  # on_gpu(...) and something else
            first = first.values[0]
        asks = first.func.id if isinstance(first, ast.Call) and isinstance(first.func, ast.Name) else ""
        return node.orelse if asks in _GPU_TESTS else node


@cache
def _statements(definition: Definition, gpu: bool) -> tuple[ast.stmt, ...]:
    """The statements that define a name, as a run on a GPU goes through them or as one on the CPU does."""
    module = _read(definition.module)
    assert module is not None
    found = module.nodes[definition.name]
    return tuple(found if gpu else (_OnCpu().visit(copy.deepcopy(statement)) for statement in found))


def _without_docstrings(node: ast.AST) -> str:
    """The statement as text, free of docstrings, comments and layout."""
    copy = ast.parse(ast.unparse(node))
    for inner in ast.walk(copy):
        body = getattr(inner, "body", None)
        if isinstance(inner, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and isinstance(body, list):
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                inner.body = body[1:] or [ast.Pass()]
    return ast.unparse(copy).replace('"', "'")  # Python versions differ in the quotes they print


def _used(
    tree: ast.AST, imports: dict[str, Definition], local: Callable[[str], bool], module: str, strings: bool
) -> set[Definition]:
    """The definitions that ``tree`` names: locals, imported names, attributes of imported modules."""
    used: set[Definition] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if local(node.id):
                used.add(Definition(module, node.id))
            elif node.id in imports and imports[node.id].name != "*":
                used.add(imports[node.id])
        elif isinstance(node, ast.Attribute):
            used |= _attribute(node, imports)
        elif strings and isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.match(node.value):
            used.add(Definition(*node.value.split(":")))
    return used


def _attribute(node: ast.Attribute, imports: dict[str, Definition]) -> set[Definition]:
    """``kernels.knn`` or ``clustlib.kernels.knn``: the definition that a dotted name stands for."""
    chain: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        chain.insert(0, inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name) or inner.id not in imports or imports[inner.id].name != "*":
        return set()
    module = imports[inner.id].module
    while chain and _module_path(f"{module}.{chain[0]}"):
        module = f"{module}.{chain.pop(0)}"
    return {Definition(module, chain[0])} if chain else set()


@cache
def _named(definition: Definition, strings: bool, gpu: bool) -> frozenset[Definition]:
    """What the statements of a definition name. Most records run through the same definitions: each is read once."""
    module = _read(definition.module)
    assert module is not None
    local, statements = module.nodes.__contains__, _statements(definition, gpu)
    used = (_used(statement, module.imports, local, definition.module, strings) for statement in statements)
    return frozenset().union(*used)


@cache
def _text(definition: Definition, gpu: bool) -> str:
    """The statements of a definition as text, free of docstrings, comments and layout."""
    return "".join(_without_docstrings(statement) for statement in _statements(definition, gpu))


def closure(
    roots: Iterable[Definition], skip: Iterable[str] = (), strings: bool = False, gpu: bool = True
) -> set[Definition]:
    """Every definition reachable from ``roots``; modules whose name starts with one of ``skip`` are left out.

    ``gpu=False`` leaves out what only a GPU goes through.
    """
    skip = tuple(skip)
    pending, seen = list(roots), set()
    while pending:
        definition = pending.pop()
        if definition in seen or (skip and definition.module.startswith(skip)):
            continue
        module = _read(definition.module)
        if module is None:
            continue
        seen.add(definition)
        statements = module.nodes.get(definition.name)
        if statements is None:
            if definition.name in module.imports:  # a re-export
                pending.append(module.imports[definition.name])
            elif definition.name != "*":  # a hole in the trace would call changed sources unchanged
                raise LookupError(f"cannot find where {definition.module}:{definition.name} is defined")
            continue
        pending.extend(_named(definition, strings, gpu))
    return {d for d in seen if (m := _read(d.module)) and d.name in m.nodes}


def fingerprint(roots: Iterable[str], skip: Iterable[str] = (), gpu: bool = False) -> str:
    """A short hash of every definition that ``roots`` run through, on a GPU or on the CPU.

    A root is ``"clustlib.module:name"``; any other text is hashed as it is.
    """
    roots = list(roots)
    found = closure([Definition(*root.split(":")) for root in roots if _DOTTED.match(root)], skip, gpu=gpu)
    digest = hashlib.sha256()
    for text in sorted(root for root in roots if not _DOTTED.match(root)):
        digest.update(text.encode())
    for definition in sorted(found):
        digest.update(f"{definition.module}:{definition.name}{_text(definition, gpu)}".encode())
    return digest.hexdigest()[:16]


def files_of_code(code: str) -> list[Path]:
    """The clustlib files that a notebook's code (or any script's) depends on, sorted."""
    tree = ast.parse(code)
    imports = _imports(tree, "__notebook__", is_package=False)
    roots = _used(tree, imports, lambda name: False, "__notebook__", strings=True)
    return sorted({module.path for d in closure(roots, strings=True) if (module := _read(d.module))})
