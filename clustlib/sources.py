"""Which of clustlib's definitions a piece of code runs through, read from the source text alone.

Three users: a record stores the *mark* of the definitions that its run went through, so that a change behind it
raises an alarm (:mod:`clustlib.records.freshness`); compiled code is kept under the mark of what was compiled
(:mod:`clustlib.compiled`); the workflow lists the files that a notebook depends on.

The trace follows names: a function's body names other functions, classes, constants and imported modules of
clustlib; each is followed to its definition, and so on. A run on the CPU does not go through what follows
``if on_gpu(...):`` (see :mod:`clustlib._device`). What is reached only through strings
(``"clustlib.cluster.kmeans:KMeans"``) is followed on request, for registries that name their entries that way.

A mark says what is computed, not how it is told: docstrings, comments, layout, annotations, the names of a function's
local variables, the texts of errors and warnings, the module in which a definition stands and where it is imported do
not count.
"""

import ast
import hashlib
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = "clustlib"
_GPU_TESTS = ("on_gpu", "on_gpu_with_triton")
_DOTTED = re.compile(r"^clustlib(\.\w+)+:\w+$")
_PLACE = re.compile(r"\bclustlib(\.\w+)+:(?=\w)")
# What computes no number of a run. A data set is pinned by the checksum of its decoded images in the record, so its
# loaders do not count; what is done with these images afterwards does.
_NOT_COMPUTING = tuple(
    f"{PACKAGE}.{name}"
    for name in ("compiled", "datasets", "errors", "_paths", "published", "records", "reproduce", "results", "sources")
)
_COMPUTING = tuple(f"{PACKAGE}.datasets.{name}" for name in ("faces", "folders", "imageset"))
# Lists of rows and of settings: what a run uses of them is among its roots, by name or as text
_LISTS = re.compile(rf"^{PACKAGE}\.\w+\.(rows|choices)$")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_SCOPES += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)  # type: ignore[assignment]
_SEES_NAMES = {"locals", "vars", "eval", "exec", "dir"}
_NEIGHBOURHOOD = 2  # how far around a definition its label looks: it names what it uses, and what that uses


class Definition(NamedTuple):
    """A top-level name of a clustlib module; ``name`` is ``"*"`` for the module as a whole."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


class _Module(NamedTuple):
    path: Path
    nodes: dict[str, list[ast.stmt]]  # top-level name -> the statements that define it
    imports: dict[str, Definition]  # local name -> what it stands for


def _targets(statement: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def asks_for_gpu(node: ast.If) -> bool:
    """Whether a branch is taken on a GPU alone."""
    first = node.test
    if isinstance(first, ast.BoolOp) and isinstance(first.op, ast.And):  # on_gpu(...) and something else
        first = first.values[0]
    return isinstance(first, ast.Call) and isinstance(first.func, ast.Name) and first.func.id in _GPU_TESTS


class _OnCpu(ast.NodeTransformer):
    """Puts the ``else`` of every branch for a GPU in its place."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if asks_for_gpu(node) else node


class _AsComputed(ast.NodeTransformer):
    """Leaves what decides a result: no docstring, annotation, local name, own import, text of an error or a warning."""

    def _body(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        first = node.body[0] if node.body else None  # type: ignore[attr-defined]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:]  # type: ignore[attr-defined]
        said = [statement for statement in node.body if not isinstance(statement, ast.Pass)]  # type: ignore[attr-defined]
        node.body = said or [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return _numbered_locals(self._body(node))

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]
    visit_ClassDef = _body

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        """An import of clustlib's, in a function: what the names stand for is followed, from wherever they come."""
        own = node.level > 0 or (node.module or "").split(".")[0] == PACKAGE
        return ast.Pass() if own else node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is None:  # a field of a dataclass or a named tuple: its name and its place count
            return ast.Expr(node.target)
        return ast.Assign([node.target], node.value, lineno=node.lineno)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) in ("warnings.warn", "warn"):
            node.args = node.args[1:]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            node.value = _without_places(node.value)
        return node


def as_computed(statement: ast.stmt) -> ast.AST:
    """A copy of a statement with nothing but what decides a result left."""
    return ast.fix_missing_locations(_AsComputed().visit(_copy(statement)))


def _own_scope(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body that are no inner function, class or comprehension's."""
    pending = list(function.body)  # type: ignore[attr-defined]
    while pending:
        node = pending.pop()
        if not isinstance(node, _SCOPES):
            yield node
            pending.extend(ast.iter_child_nodes(node))


def _held_as_texts(function: ast.AST) -> Iterator[str]:
    """Names that a function's tree holds as texts: they stay, for no number would follow them everywhere."""
    for node in ast.walk(function):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            yield from node.names
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).split(".")[0]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ExceptHandler)) and node.name:
            yield node.name


def _numbered_locals(function: ast.AST) -> ast.AST:
    """A function with numbers for the names of its local variables, in the order in which they are first met.

    A name gets its number everywhere in the body, so that what was bound together stays so; numbers that an inner
    function has been given are left to it. A function that can see its own names keeps them.
    """
    body = [node for statement in function.body for node in ast.walk(statement)]  # type: ignore[attr-defined]
    names = {node.id for node in body if isinstance(node, ast.Name)}
    if names & _SEES_NAMES or any(isinstance(node, (ast.ClassDef, ast.Match)) for node in body):
        return function
    stored = {n.id for n in _own_scope(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    free, taken = stored - set(_held_as_texts(function)), sum(name.startswith("$") for name in names)
    numbers: dict[str, str] = {}
    for node in body:
        if isinstance(node, ast.Name) and node.id in free:
            node.id = numbers.setdefault(node.id, f"${taken + len(numbers)}")
    return function


def _without_places(text: str) -> str:
    """``"clustlib.cluster.kmeans:KMeans"`` as ``":KMeans"``: where a definition stands does not count."""
    return _PLACE.sub(":", text)


@cache
def computes(module: str) -> bool:
    """Whether a module's definitions count in a mark."""
    if module in _COMPUTING:
        return True
    return not _LISTS.match(module) and not any(f"{module}.".startswith(f"{name}.") for name in _NOT_COMPUTING)


def _copy(tree: ast.stmt) -> ast.stmt:
    """A copy to be transformed; ``copy.deepcopy`` takes five times as long."""
    return pickle.loads(pickle.dumps(tree, pickle.HIGHEST_PROTOCOL))


def _hash(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def _dotted_name(node: ast.Attribute) -> tuple[str, list[str]] | None:
    """``a.b.c`` as ("a", ["b", "c"]); None where it does not begin with a name."""
    chain: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        chain.insert(0, inner.attr)
        inner = inner.value
    return (inner.id, chain) if isinstance(inner, ast.Name) else None


class Code:
    """The definitions of one copy of the package, by name; every file is read once.

    Parameters
    ----------
    folder : the package's folder. Default: that of the running code.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder or Path(__file__).resolve().parent
        self._modules: dict[str, _Module | None] = {}
        self._nodes: dict[tuple[Definition, bool], tuple[ast.stmt, ...]] = {}
        self._references: dict[tuple[Definition, bool, bool], dict[str, Definition]] = {}
        self._texts: dict[tuple[Definition, bool], str] = {}
        self._labels: dict[tuple[Definition, bool, int], str] = {}

    # where things stand

    def path(self, module: str) -> Path | None:
        """The file of a clustlib module, or None where there is none."""
        parts = module.split(".")[1:]
        candidates = (self.folder.joinpath(*parts, "__init__.py"), self.folder.joinpath(*parts).with_suffix(".py"))
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def module(self, name: str) -> _Module | None:
        """A module's definitions and imports; None where there is no such module."""
        if name not in self._modules:
            path = self.path(name)
            self._modules[name] = None if path is None else self._parsed(name, path)
        return self._modules[name]

    def _parsed(self, name: str, path: Path) -> _Module:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes: dict[str, list[ast.stmt]] = {}
        for statement in tree.body:
            if not isinstance(statement, (ast.Import, ast.ImportFrom)):
                for target in set(_targets(statement)):
                    nodes.setdefault(target, []).append(statement)
        is_package, stub = path.name == "__init__.py", path.with_suffix(".pyi")
        imports = self.imports(tree, name, is_package)
        if stub.is_file():  # names that come in when they are first asked for (lazy_loader)
            imports |= self.imports(ast.parse(stub.read_text(encoding="utf-8")), name, is_package)
        return _Module(path, nodes, imports)

    def imports(self, tree: ast.AST, module: str, is_package: bool) -> dict[str, Definition]:
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
                if base.split(".")[0] == PACKAGE:
                    found |= {alias.asname or alias.name: self._imported(base, alias.name) for alias in node.names}
        return found

    def _imported(self, base: str, name: str) -> Definition:
        submodule = f"{base}.{name}"
        return Definition(submodule, "*") if self.path(submodule) else Definition(base, name)

    def resolve(self, definition: Definition) -> Definition | None:
        """Where a name is defined, past re-exports; None for a module as a whole or what is not clustlib's.

        Raises ``LookupError`` where a clustlib module does not have the name: a hole in the trace would call changed
        sources unchanged.
        """
        while definition.name != "*":
            module = self.module(definition.module)
            if module is None:
                return None
            if definition.name in module.nodes:
                return definition
            if definition.name.startswith("__"):  # a module's own, as __file__
                return None
            if definition.name not in module.imports:
                raise LookupError(f"cannot find where {definition} is defined")
            definition = module.imports[definition.name]
        return None

    # what is named

    def statements(self, definition: Definition, gpu: bool) -> tuple[ast.stmt, ...]:
        """The statements that define a name, as a run on a GPU goes through them or as one on the CPU does."""
        if (definition, gpu) not in self._nodes:
            module = self.module(definition.module)
            assert module is not None
            found = [_copy(statement) for statement in module.nodes[definition.name]]
            self._nodes[definition, gpu] = tuple(found if gpu else (_OnCpu().visit(node) for node in found))
        return self._nodes[definition, gpu]

    def references(self, definition: Definition, gpu: bool, strings: bool = False) -> dict[str, Definition]:
        """The definitions that a definition names, by the name that it uses for them."""
        key = (definition, gpu, strings)
        if key not in self._references:
            module = self.module(definition.module)
            assert module is not None
            named: dict[str, Definition] = {}
            for statement in self.statements(definition, gpu):
                own = self.imports(statement, definition.module, module.path.name == "__init__.py")
                local = module.nodes.__contains__
                named |= self.named(statement, module.imports | own, local, definition.module, strings)
            resolved = {name: self.resolve(target) for name, target in named.items()}
            self._references[key] = {name: target for name, target in resolved.items() if target}
        return self._references[key]

    def named(
        self,
        tree: ast.AST,
        imports: dict[str, Definition],
        local: Callable[[str], bool],
        module: str,
        strings: bool,
    ) -> dict[str, Definition]:
        """The definitions that ``tree`` names: locals, imported names, attributes of imported modules."""
        used: dict[str, Definition] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                if local(node.id):
                    used[node.id] = Definition(module, node.id)
                elif node.id in imports and imports[node.id].name != "*":
                    used[node.id] = imports[node.id]
            elif isinstance(node, ast.Attribute):
                used |= self._attribute(node, imports)
            elif strings and isinstance(node, ast.Constant) and _DOTTED.match(text := str(node.value)):
                used[text] = Definition(*text.split(":"))
        return used

    def _attribute(self, node: ast.Attribute, imports: dict[str, Definition]) -> dict[str, Definition]:
        """``kernels.knn`` or ``clustlib.kernels.knn``: the definition that a dotted name stands for."""
        dotted = _dotted_name(node)
        if dotted is None or dotted[0] not in imports or imports[dotted[0]].name != "*":
            return {}
        module, chain = imports[dotted[0]].module, dotted[1]
        while chain and self.path(f"{module}.{chain[0]}"):
            module = f"{module}.{chain.pop(0)}"
        return {f"{module}.{chain[0]}": Definition(module, chain[0])} if chain else {}

    def closure(
        self,
        roots: Iterable[Definition],
        within: Callable[[str], bool] = lambda module: True,
        strings: bool = False,
        gpu: bool = True,
    ) -> set[Definition]:
        """Every definition reachable from ``roots`` inside the modules that ``within`` admits.

        ``gpu=False`` leaves out what only a GPU goes through. Of a function that is not admitted what it returns is
        followed, for its methods are called: a data set's loader does not count, but the loaded set does.
        """
        pending = [found for root in roots if (found := self.resolve(root))]
        seen: set[Definition] = set()
        while pending:
            definition = pending.pop()
            if definition in seen:
                continue
            seen.add(definition)
            admitted = within(definition.module)
            pending += self.references(definition, gpu, strings).values() if admitted else self.returned(definition)
        return {definition for definition in seen if within(definition.module)}

    def returned(self, definition: Definition) -> list[Definition]:
        """The definition that a function says it returns, where that is one of clustlib's."""
        module = self.module(definition.module)
        found = module.nodes[definition.name][-1] if module else None
        if module is None or not isinstance(found, ast.FunctionDef) or found.returns is None:
            return []
        named = self.named(found.returns, module.imports, module.nodes.__contains__, definition.module, strings=False)
        return [target for name in named.values() if (target := self.resolve(name))]

    # marks

    def text(self, definition: Definition, gpu: bool) -> str:
        """What a definition computes, as text."""
        if (definition, gpu) not in self._texts:
            # once through the parser: Python versions keep other details of a tree that was transformed
            plain = [ast.unparse(as_computed(statement)) for statement in self.statements(definition, gpu)]
            self._texts[definition, gpu] = "\n".join(plain).replace('"', "'")
        return self._texts[definition, gpu]

    def label(self, definition: Definition, gpu: bool, around: int = _NEIGHBOURHOOD) -> str:
        """A hash of a definition and of what the names in it stand for, ``around`` steps far."""
        key = (definition, gpu, around)
        if key not in self._labels:
            if around == 0:
                self._labels[key] = _hash(self.text(definition, gpu))
            else:
                names = sorted(
                    (name.rsplit(".", 1)[-1].rsplit(":", 1)[-1], self.label(target, gpu, around - 1))
                    for name, target in self.references(definition, gpu).items()
                    if computes(target.module)
                )
                self._labels[key] = _hash(self.label(definition, gpu, around - 1), names)
        return self._labels[key]

    def roots(self, roots: Iterable[str]) -> tuple[list[Definition], list[str]]:
        """Roots as definitions (``"clustlib.module:name"``) and as plain texts (anything else)."""
        given = list(roots)
        return [Definition(*r.split(":")) for r in given if _DOTTED.match(r)], [
            r for r in given if not _DOTTED.match(r)
        ]

    def behind(self, roots: Iterable[str], gpu: bool = False) -> set[Definition]:
        """The definitions that count in the mark of ``roots``."""
        return self.closure(self.roots(roots)[0], computes, gpu=gpu)

    def mark(self, roots: Iterable[str], gpu: bool = False) -> str:
        """A short hash of every definition that ``roots`` run through, on a GPU or on the CPU.

        A root is ``"clustlib.module:name"``; any other text is hashed as it is.
        """
        roots = list(roots)
        labels, texts = sorted(self.label(d, gpu) for d in self.behind(roots, gpu)), self.roots(roots)[1]
        return _hash(*sorted(map(_without_places, texts)), "through", *labels)

    def files_of_code(self, code: str) -> list[Path]:
        """The clustlib files that a notebook's code (or any script's) depends on, and the data beside them, sorted."""
        tree = ast.parse(code)
        imports = self.imports(tree, "__notebook__", is_package=False)
        roots = self.named(tree, imports, lambda name: False, "__notebook__", strings=True).values()
        modules = (self.module(d.module) for d in self.closure(roots, strings=True))
        paths = {module.path for module in modules if module}
        return sorted(paths | {data for path in paths for data in path.parent.glob("*.yml")})


@cache
def running() -> Code:
    """The definitions of the running package, read when they are first asked for."""
    return Code()
