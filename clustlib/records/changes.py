"""What became of a definition between two texts of its module: new statements, and whether the change is a fault.

A change of exactly the kind that :mod:`clustlib.records.faults` puts into code, one comparison turned, one constant
doubled, is what a slip looks like. Where the witnesses give the same bits before and after it, they are the ones that
cannot see it: such a change is not carried.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from clustlib import sources
from clustlib.records.faults import is_idle, statements_of, variants

_NUMBER = re.compile(r"(?<![\w$.])\d[\d_.]*(?:e[-+]?\d+)?")  # not that of a local variable, as in $1
_NEVER_TOLD = (ast.Raise, ast.Pass, ast.Continue, ast.Break, ast.Global, ast.Nonlocal, ast.Try, ast.Import)
_NEVER_TOLD += (ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)  # type: ignore[assignment]


def _piece(node: ast.stmt) -> tuple[str, int, int]:
    """A statement as text with its lines; of a compound one its head alone."""
    body = getattr(node, "body", None)
    inner = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
    text = ast.unparse(node).split("\n")[0] if isinstance(body, list) else ast.unparse(node)
    return text, node.lineno, max(node.lineno, inner or node.lineno)


def _pieces(statements: Iterable[ast.AST]) -> Iterator[tuple[str, int, int]]:
    """Every statement, inner ones too."""
    for statement in statements:
        yield from (_piece(node) for node in ast.walk(statement) if isinstance(node, ast.stmt))


def _texts(statements: Iterable[ast.AST]) -> set[str]:
    return {text for text, *_ in _pieces(statements)}


def changed_lines(old: str | None, new: str, name: str, was: str | None = None) -> set[int]:
    """The lines of a definition in ``new`` whose statements it (or ``was``) does not have in ``old``.

    All of them where ``old`` is None.
    """
    before = _texts(statements_of(ast.parse(old), was or name)) if old is not None else set()
    now = _pieces(statements_of(ast.parse(new), name))
    return {line for text, low, high in now if text not in before for line in range(low, high + 1)}


def _computing(statements: Sequence[ast.stmt], inside: bool = False) -> Iterator[ast.stmt]:
    """The statements in functions that a run on the CPU would be seen to execute."""
    for node in statements:
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        says = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        field = isinstance(node, ast.AnnAssign) and node.value is None
        if inside and not (isinstance(node, _NEVER_TOLD) or says or field or is_idle(node)):
            yield node
        on_gpu = isinstance(node, ast.If) and sources.asks_for_gpu(node)
        for name in ("body", "orelse", "finalbody"):
            if not (on_gpu and name == "body"):
                inner = getattr(node, name, None)
                yield from _computing(inner if isinstance(inner, list) else (), inside or function)
        for handler in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield from _computing(handler.body, inside)


def never_executed(source: str, name: str, changed: set[int], executed: set[int]) -> list[int]:
    """The first lines of changed statements of a definition that were not executed and that do compute something."""
    pieces = (_piece(node) for node in _computing(statements_of(ast.parse(source), name)))
    return sorted({low for _, low, high in pieces if low in changed and not executed & set(range(low, high + 1))})


def _as_computed(statements: Iterable[ast.stmt]) -> list[ast.AST]:
    return [sources.as_computed(statement) for statement in statements]


def _without_pass(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip() != "pass")


def _whole(statements: Iterable[ast.AST]) -> str:
    return _without_pass("\n".join(map(ast.unparse, statements)))


def _fault_from(before: str, after: str, name: str, was: str) -> str | None:
    """The kind of fault of ``before`` that ``after`` has in it; None where it has none."""
    tree = ast.parse(before)
    one, two = (_as_computed(s) for s in (statements_of(tree, was), statements_of(ast.parse(after), name)))
    there, new, whole = _texts(one), _texts(two) - _texts(one), _whole(two)
    if not one or whole == _whole(one):
        return None
    for kind, statements in variants(tree, was, changed_lines(after, before, was, name)):
        faulty = _as_computed(statements)
        other = _texts(faulty) - there - {"pass"}
        if (other and other <= new) or _whole(faulty) == whole:
            return kind
    return None


def _another_number(old: str, new: str, name: str, was: str) -> str | None:
    """ "constant" where a statement of the definition differs from one that it replaces in its numbers alone."""
    before, after = (_texts(_as_computed(statements_of(ast.parse(text), n))) for text, n in ((old, was), (new, name)))
    gone, come = ({_NUMBER.sub("#", text) for text in one - other} for one, other in ((before, after), (after, before)))
    return "constant" if gone & come else None


def fault_made(old: str, new: str, name: str, was: str | None = None) -> str | None:
    """The kind of fault that a change of a definition is, one way round or the other; None where it is none."""
    if _another_number(old, new, name, was or name):
        return "constant"
    return _fault_from(old, new, name, was or name) or _fault_from(new, old, was or name, name)


def is_as_before(old: str, faulty: str, name: str, was: str | None = None) -> bool:
    """Whether a fault put into the new text of a definition makes it the old one again."""
    texts = (statements_of(ast.parse(text), n) for text, n in ((old, was or name), (faulty, name)))
    before, now = (_whole(_as_computed(statements)) for statements in texts)
    return before == now
