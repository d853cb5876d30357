"""The modules of the package stand in layers: none imports itself over others.

An import inside a function runs as well, and counts; one for type checkers alone does not.
"""

from __future__ import annotations

import ast
import graphlib
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "pylstm"
MODULES = {
    ".".join(["pylstm", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): path
    for path in [*PACKAGE.rglob("*.py"), PACKAGE / "_core.pyi"]
}


def running(node: ast.AST) -> Iterator[ast.AST]:
    """The statements below `node` that a run can reach."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from running(ast.Module(child.orelse, []))
            continue
        yield child
        yield from running(child)


def imported(source: str, modules: set[str]) -> set[str]:
    """The modules among `modules` that `source` imports."""
    names = set()
    for node in running(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:  # a module of a package, or a name in a module
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in modules else str(node.module))
    return names & modules


def cycle(sources: dict[str, str]) -> list[str]:
    """Modules that import each other in a circle; none if there is no circle."""
    graph = {name: imported(source, set(sources)) for name, source in sources.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_over_others() -> None:
    assert {"pylstm", "pylstm.layers._base", "pylstm.models._training"} <= set(MODULES)
    assert cycle({name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}) == []


@pytest.mark.parametrize(
    "back", ["import p.a", "from p import a", "from p.a import x", "def f():\n    import p.a"]
)
def test_a_circle_is_seen(back: str) -> None:
    forward = {"p": "", "p.a": "from p import b", "p.b": ""}
    assert cycle(forward) == []
    assert set(cycle({**forward, "p.b": back})) == {"p.a", "p.b"}
    types = f"if TYPE_CHECKING:\n    {back.splitlines()[-1].strip()}"
    assert cycle({**forward, "p.b": types}) == []
    otherwise = "if TYPE_CHECKING:\n    pass\nelse:\n" + textwrap.indent(back, "    ")
    assert set(cycle({**forward, "p.b": otherwise})) == {"p.a", "p.b"}
