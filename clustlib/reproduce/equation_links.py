"""Sphinx: the directive ``in-code`` below an equation of a method page, and the links between page and source.

``{in-code} merge_loss`` on the page ``book/jule/index`` shows ``clustlib.jule.equations.merge_loss`` there: the paper's
number, the function, links to the source of what computes it fast, and one to its own. ``sphinx.ext.viewcode`` shows
the sources and leads back by "[docs]", since the page is where the function is documented. What computes an equation
fast is named in one place, the line "Fast" of the equation's docstring.
"""

import importlib
import inspect
import re
from typing import Any, NamedTuple

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyFunction
from sphinx.ext.viewcode import OUTPUT_DIRNAME

from clustlib import published

_FAST = re.compile(r"^ *Fast: (.+)$", re.M)
_NAME = re.compile(r":(?:func|class):`([\w.]+)`")
_NUMBER = re.compile(r"Eq\. \(([^)]+)\)")


class Source(NamedTuple):
    """Where an object is defined: ``module``, ``name``."""

    module: str
    name: str

    @property
    def full(self) -> str:
        """The import path."""
        return f"{self.module}.{self.name}"


def equations(paper: str) -> dict[str, Any]:
    """The functions of ``clustlib.<paper>.equations`` by name, in the order of the file."""
    module = importlib.import_module(f"clustlib.{paper}.equations")
    own = {name: f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    return dict(sorted(own.items(), key=lambda item: item[1].__code__.co_firstlineno))


def headline(equation: Any) -> str:
    """The first line of an equation's docstring."""
    return (equation.__doc__ or "").partition("\n")[0]


def numbers(equation: Any) -> list[str]:
    """The paper's numbers of an equation, such as "7a"; none for one that the paper does not number."""
    return _NUMBER.findall(headline(equation).partition(":")[0])


def fast(equation: Any) -> list[str]:
    """The import paths of what computes an equation fast, as its docstring has them."""
    line = _FAST.search(equation.__doc__ or "")
    return _NAME.findall(line[1]) if line else []


def source(path: str) -> Source:
    """Where the object of an import path is defined; a name that is gone is an ImportError."""
    module, _, name = path.rpartition(".")
    try:
        definition = getattr(importlib.import_module(module), name)
    except AttributeError:
        raise ImportError(f"there is no {path}") from None
    return Source(definition.__module__, definition.__name__)


class InCode(PyFunction):
    """``in-code``: names of equations of the page's paper, separated by spaces."""

    final_argument_whitespace = True
    has_content = False

    def run(self) -> list[nodes.Node]:
        """Describe the equations as functions of the module of the page's paper."""
        self._paper = self.env.docname.split("/")[1]
        self._equations = {name: equations(self._paper)[name] for name in self.arguments[0].split()}
        self.options["module"] = f"clustlib.{self._paper}.equations"
        self.name = "py:function"  # what Sphinx is to take the entries for
        return super().run()

    def get_signatures(self) -> list[str]:
        """The functions without annotations and defaults, as on paper."""
        return [f"{name}({', '.join(inspect.signature(f).parameters)})" for name, f in self._equations.items()]

    def handle_signature(self, sig: str, signode: addnodes.desc_signature) -> tuple[str, str]:
        """Before the function the paper's number, behind it links to what computes it fast."""
        entry = super().handle_signature(sig, signode)
        equation = self._equations[sig.partition("(")[0]]
        shown = ", ".join(f"Eq. ({number})" for number in numbers(equation))
        signode.insert(0, nodes.inline("", f"{shown} " if shown else "", classes=["equation-number"]))
        links = [self._link(path) for path in fast(equation)]
        between = [part for link in links for part in (nodes.Text(", "), link)][1:]
        signode += nodes.inline("", "", nodes.Text(" fast: "), *between, classes=["equation-fast"])
        return entry

    def add_target_and_index(self, name_cls: tuple[str, str], sig: str, signode: addnodes.desc_signature) -> None:
        """Also under what a reader types into the search, which compares in lower case: "eq. (7)", "jule eq. (7)"."""
        super().add_target_and_index(name_cls, sig, signode)
        for number in numbers(self._equations[sig.partition("(")[0]]):
            for entry in (f"eq. ({number})", f"{self._paper} eq. ({number})"):
                self.indexnode["entries"].append(("single", entry, signode["ids"][0], "main", None))

    def _link(self, path: str) -> nodes.reference:
        """A link to the source page of ``path``."""
        target = source(path)
        page = f"{OUTPUT_DIRNAME}/{target.module.replace('.', '/')}"
        uri = f"{self.env.app.builder.get_relative_uri(self.env.docname, page)}#{target.name}"
        return nodes.reference("", "", nodes.literal("", target.name), refuri=uri, internal=True, reftitle=path)


def equations_of(full_name: str) -> list[str]:
    """The import paths of the equations that name ``full_name`` as what computes them fast."""
    return [
        f"{equation.__module__}.{name}"
        for paper in published.PAPERS
        for name, equation in equations(paper).items()
        if full_name in fast(equation)
    ]


def add_equations(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Lead from an entry of the reference to the equations that it computes, and so to the paper's page."""
    listed = equations_of(name)
    if listed:
        roles = ", ".join(f":func:`{number_of(path)} <{path}>`" for path in listed)
        lines += ["", f"Computes {roles}.", ""]


def number_of(path: str) -> str:
    """What an equation is called in a link: the paper and its number, or its name."""
    _, paper, _, name = path.split(".")
    found = numbers(equations(paper)[name])
    return f"{paper} Eq. ({found[0]})" if found else f"{paper} {name}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.add_directive("in-code", InCode)
    app.connect("autodoc-process-docstring", add_equations, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
