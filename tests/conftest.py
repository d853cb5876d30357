"""Fixtures of the laws: instruction sets, threads, random numbers, and builds of the C++ rooms."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `helpers`: tests are not a package

from commands import TEXT, TINY

from pylstm import _core
from pylstm.cli import main

ROOT = Path(__file__).parents[1]
CLANGS = ["clang++", *(f"clang++-{version}" for version in range(30, 13, -1))]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Whatever a test sets, the next one finds the instruction set and the threads as they were."""
    isa, threads = _core.active_isa(), _core.get_num_threads()
    yield
    if _core.active_isa() != isa:
        _core.use_isa(isa)
    if _core.get_num_threads() != threads:
        _core.set_num_threads(threads)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A job in a shell's background starts with SIGINT ignored, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set of this processor, active."""
    _core.use_isa(request.param)
    return str(request.param)


@pytest.fixture(params=[1, 2, 3, 5])
def threads(request: pytest.FixtureRequest) -> int:
    """Numbers of threads, also more than there are cores and not a divisor of anything."""
    _core.set_num_threads(request.param)
    return int(request.param)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Numbers that differ between tests and never between runs."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


def compilers() -> list[Any]:
    """The default compiler, and Clang, skipped where there is none; or whoever built the folder
    that the variable PYLSTM_BUILD names.
    """
    if "PYLSTM_BUILD" in os.environ:
        return ["given"]
    default = [os.environ.get("CXX") or next(filter(shutil.which, ["c++", "g++"]), "c++")]
    clang = [name for name in CLANGS if shutil.which(name)][:1]
    if not clang and "clang" not in Path(default[0]).name:
        absent = pytest.mark.skip(reason="Clang is not here")
        return [*default, pytest.param("clang++", marks=absent)]
    return list(dict.fromkeys(default + clang))


Build = Callable[[str, list[str]], Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """build(compiler, targets) gives a build folder in which these targets are made. If the
    variable PYLSTM_BUILD names a folder, it must have them all and nothing is built. If
    PYLSTM_BUILDS names one, builds stay in it, by compiler, and their warnings are errors.
    """
    folders: dict[str, Path] = {}
    kept = os.environ.get("PYLSTM_BUILDS")

    def make(compiler: str, targets: list[str]) -> Path:
        if "PYLSTM_BUILD" in os.environ:
            return Path(os.environ["PYLSTM_BUILD"])
        for tool in ("cmake", compiler):
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is missing, and PYLSTM_BUILD names no build folder")
        if compiler not in folders:
            name = Path(compiler).name
            folders[compiler] = Path(kept) / name if kept else tmp_path_factory.mktemp("build")
            switches = ["PYTHON=OFF", "TESTS=ON", f"WERROR={'ON' if kept else 'OFF'}"]
            command = ["cmake", "-S", str(ROOT), "-B", str(folders[compiler])]
            command += ["-UCMAKE_MAKE_PROGRAM"]  # where pip built first, its own is gone
            command += [f"-DPYLSTM_{switch}" for switch in switches]
            run([*command, f"-DCMAKE_CXX_COMPILER={compiler}"])
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count()))
        run(["cmake", "--build", str(folders[compiler]), "-j", jobs, "--target", *targets])
        return folders[compiler]

    return make


def run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A text for the command line."""
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that the command line trained."""
    folder = tmp_path_factory.mktemp("trained")
    source, model = folder / "text.txt", folder / "model.safetensors"
    source.write_bytes(TEXT.encode())
    assert main(["train", str(source), *TINY, "-o", str(model)]) == 0
    return model


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of benchmarks/, which is not a part of the package."""
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("benchmarks/ is not beside the tests")
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import adapters, builds, grid, peers, readme, remote, report, soak, timing, wire

    return SimpleNamespace(
        adapters=adapters,
        builds=builds,
        grid=grid,
        peers=peers,
        readme=readme,
        remote=remote,
        report=report,
        soak=soak,
        timing=timing,
        wire=wire,
    )
