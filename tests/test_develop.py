"""develop.py on a machine that lacks something: one sentence, no traceback, nothing made."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "develop.py"


@pytest.fixture
def develop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module, in which nothing is installed yet; it must not install anything."""
    spec = importlib.util.spec_from_file_location("develop", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    monkeypatch.setattr(module, "VENV", venv)
    monkeypatch.setattr(module, "PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(module, "INSTALLED", venv / "pylstm-installed")
    monkeypatch.setattr(module, "pip_install", lambda *_: pytest.fail("pip was called"))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "test"])
    monkeypatch.delenv("CXX", raising=False)
    return module


def complaint(develop: Any, capsys: pytest.CaptureFixture[str]) -> str:
    """What the script says before it gives up."""
    assert develop.main() == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("develop.py: ")
    assert output.err.endswith(".\n")
    assert output.err.count("\n") == 1
    assert not develop.VENV.exists()
    return output.err


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


posix = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are shell scripts")


def test_no_compiler(
    develop: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    said = complaint(develop, capsys)
    assert "compiler is needed" in said
    assert "apt-get install g++" in said


def test_named_compiler_is_not_there(
    develop: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    assert "there is no no-such-compiler" in complaint(develop, capsys)


@posix
def test_compiler_does_not_work(
    develop: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    broken = program(tmp_path, "c++", "echo 'error: licence expired' >&2; exit 1")
    monkeypatch.setenv("CXX", str(broken))
    assert "licence expired" in complaint(develop, capsys)


@posix
def test_no_python_headers(
    develop: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    lacking = program(tmp_path, "c++", "if grep -q Python.h; then echo 'error' >&2; exit 1; fi")
    monkeypatch.setenv("CXX", str(lacking))
    assert "headers of Python" in complaint(develop, capsys)


@posix
def test_no_venv(
    develop: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("CXX", str(program(tmp_path, "c++", "exit 0")))
    monkeypatch.setattr(develop.importlib.util, "find_spec", lambda _: None)
    assert "venv module is needed" in complaint(develop, capsys)


def test_old_python(
    develop: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    assert "Python 3.10 or newer is needed" in complaint(develop, capsys)


def test_unknown_check(
    develop: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "lint", "spelling"])
    assert "not 'spelling'" in complaint(develop, capsys)


def test_digest_changes_with_the_options_of_the_build(
    develop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = develop.digest()
    assert develop.digest() == before
    monkeypatch.setenv("CMAKE_ARGS", "-DPYLSTM_THREADS=none")
    assert develop.digest() != before
