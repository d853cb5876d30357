"""The package as a whole: versions, what an import does, what is shipped."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import pylstm
from pylstm import _core

ROOT = Path(__file__).resolve().parents[1]

LOOK = """
import _thread, json, os, signal, sys
import numpy

def tasks():
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1

def state():
    handlers = [str(signal.getsignal(s)) for s in sorted(signal.valid_signals())]
    tiny = float(numpy.finfo(numpy.float32).smallest_subnormal)
    return [tasks(), _thread._count(), handlers, dict(os.environ), tiny]

before, known = state(), set(sys.modules)
import pylstm
found = {"same": state() == before, "known": sorted(known), "modules": sorted(sys.modules)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def look() -> dict[str, object]:
    """What a fresh interpreter sees of `import pylstm`."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOK], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    found: dict[str, object] = json.loads(run.stdout)
    return found


def in_file(name: str, pattern: str) -> str:
    found = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{name}: no version"
    return found[1]


def test_version_is_one() -> None:
    assert pylstm.__version__ == _core.build_info()["version"]
    assert pylstm.__version__ == in_file("pyproject.toml", r'^version = "(.+)"$')
    assert pylstm.__version__ == in_file("CMakeLists.txt", r"^project\(pylstm VERSION (\S+)")
    assert pylstm.__version__ == in_file("CHANGELOG.md", r"^## (\S+)")


def test_installed_version_is_the_same() -> None:
    try:
        installed = importlib.metadata.version("pylstm")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pylstm is imported from a folder, not installed")
    assert installed == pylstm.__version__


EXTRAS = ["tqdm", "h5py", "sklearn", "matplotlib", "mypy", "pytest"]
SLOW = ["threading", "dataclasses", "string"]  # milliseconds each
UNUSED = [f"pylstm.{name}" for name in ("callbacks", "cli", "utils", "_bench", "reference")]


@pytest.mark.parametrize("name", [*EXTRAS, *SLOW, *UNUSED])
def test_import_does_not_pull_in(name: str, look: dict[str, object]) -> None:
    modules, known = look["modules"], look["known"]
    assert isinstance(modules, list)
    assert isinstance(known, list)
    assert "pylstm" in modules
    if name in known:
        pytest.skip(f"Python or NumPy has imported {name}")
    assert name not in modules


def test_import_changes_nothing_in_the_process(look: dict[str, object]) -> None:
    """No thread, no signal handler, no variable, no floating-point state."""
    assert look["same"]


def test_tests_that_are_run_by_name_exist() -> None:
    """What runs a part of the tests names its files; a source distribution lacks some of these."""
    runners = ["pyproject.toml", ".github/workflows/wheels.yml", ".ci/run", "CONTRIBUTING.md"]
    texts = [(ROOT / name).read_text("utf-8") for name in runners if (ROOT / name).is_file()]
    named = {path for text in texts for path in re.findall(r"\btests/[\w/]+\.py\b", text)}
    assert named
    assert sorted(path for path in named if not (ROOT / path).is_file()) == []


def test_types_are_shipped() -> None:
    package = files("pylstm")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("_core.pyi").is_file()


def test_every_exported_name_exists() -> None:
    assert [name for name in pylstm.__all__ if not hasattr(pylstm, name)] == []
    assert sorted(pylstm.__all__) == sorted(set(pylstm.__all__))


def test_modules_that_wait_for_their_use_are_found() -> None:
    program = (
        "import pylstm; print({'callbacks', 'utils'} < {*dir(pylstm)}, "
        "pylstm.callbacks.EarlyStopping(), pylstm.utils.pad_sequences([]))"
    )
    shown = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert shown.startswith("True <pylstm.callbacks.")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("LSTM", "it is pylstm.layers.LSTM$"),
        ("Adam", "it is pylstm.optimizers.Adam$"),
        ("Sequentia", "did you mean 'Sequential'"),
        ("numpy", "has no attribute 'numpy'$"),
    ],
)
def test_a_name_that_is_elsewhere_is_pointed_to(name: str, match: str) -> None:
    with pytest.raises(AttributeError, match=match):
        getattr(pylstm, name)
