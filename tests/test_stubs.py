"""The stub `_core.pyi` and the extension module say the same."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

import pytest

import pylstm
from pylstm import _core

STUB = files("pylstm").joinpath("_core.pyi").read_text(encoding="utf-8")


def public(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def definitions(body: list[ast.stmt]) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    found = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return {node.name: node for node in found if not node.name.startswith("_")}


def parameters(node: ast.FunctionDef) -> list[str]:
    return [a.arg for a in [*node.args.posonlyargs, *node.args.args] if a.arg != "self"]


def test_stub_names_what_the_module_has() -> None:
    # names that pybind11 gives every module are private
    assert set(definitions(ast.parse(STUB).body)) == public(dir(_core))


@pytest.mark.parametrize("name", ["Data", "Fitting", "Network"])
def test_stub_names_the_members_of_classes(name: str) -> None:
    node = definitions(ast.parse(STUB).body)[name]
    assert isinstance(node, ast.ClassDef)
    assert set(definitions(node.body)) == public(dir(getattr(_core, name)))


def test_stub_has_the_module_s_parameters() -> None:
    """pybind11 writes the parameters into the docstring: `run(self: …, data: …, mode: …)`."""
    stub = definitions(ast.parse(STUB).body)
    functions = {name: node for name, node in stub.items() if isinstance(node, ast.FunctionDef)}
    for owner in ("Data", "Fitting", "Network"):
        node = stub[owner]
        assert isinstance(node, ast.ClassDef)
        functions |= {
            f"{owner}.{name}": member
            for name, member in definitions(node.body).items()
            if isinstance(member, ast.FunctionDef) and not member.decorator_list
        }
    for name, node in functions.items():
        found: object = _core
        for part in name.split("."):
            found = getattr(found, part)
        signature = (found.__doc__ or "").splitlines()[0]
        described = ast.parse(f"def {signature}: ...").body[0]
        assert isinstance(described, ast.FunctionDef)
        assert parameters(node) == parameters(described), name


def test_stubtest_accepts_the_stub(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is in the extra `test`")
    # mypy must find the stub where the package is, also if that is not site-packages
    place = Path(pylstm.__file__).resolve().parents[1]
    config = tmp_path / "mypy.ini"
    site = Path(sysconfig.get_path("purelib")).resolve()
    config.write_text("[mypy]\n" + (f"mypy_path = {place}\n" if place != site else ""))
    allowed = tmp_path / "allowed"
    # pybind11's metaclass, and its constructor of a class that has none
    allowed.write_text("pylstm\\._core\\.(Data|Fitting(\\.__init__)?|Network)\n")
    options = ["--mypy-config-file", str(config), "--allowlist", str(allowed)]
    run = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", *options, "pylstm._core"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
