"""What benchmarks/ refuses: to delete what is not its own, to overwrite, to name a wrong commit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pylstm import _core

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("suite")
def test_setup_deletes_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    source = tmp_path / "jax" / "work.py"
    source.parent.mkdir()
    source.write_text("weeks of work")
    done = run("benchmarks.setup", "jax", "--directory", str(tmp_path))
    assert done.returncode == 1
    assert f"{source.parent}: expected an environment of ours or nothing" in done.stderr
    assert source.read_text() == "weeks of work"


@pytest.mark.usefixtures("suite")
def test_results_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    for there in (tmp_path, tmp_path / "results.json"):
        if there != tmp_path:
            there.write_text("an hour's results")
        done = run("benchmarks", "--peers", "--only", "forward H16 B1 T1", "-o", str(there))
        assert done.returncode == 1
        assert f"{there}: expected a new file" in done.stderr
    assert there.read_text() == "an hour's results"


def test_a_peer_of_other_versions_is_not_installed(
    suite: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLSTM_PEERS", str(tmp_path))
    marker = tmp_path / "jax" / "ready"
    marker.parent.mkdir()
    for text, found in (("\n".join(suite.peers.PACKAGES["jax"]), True), ("jax==0.1", False)):
        marker.write_text(text)
        assert ("jax" in suite.peers.installed()) == found


def test_a_source_that_is_newer_than_the_engine_is_told(
    suite: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite.peers, "ROOT", tmp_path)
    package = tmp_path / "src" / "pylstm" / "__init__.py"
    kernel = tmp_path / "src" / "cpp" / "kernel.cpp"
    installed = Path(_core.__file__).stat().st_mtime
    for path in (package, kernel):
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (installed - 1, installed - 1))
    assert suite.peers.newer_source() is None
    for path in (package, kernel):  # what is imported is not this package
        os.utime(path, (installed + 1, installed + 1))
        assert suite.peers.newer_source() == path
        os.utime(path, (installed - 1, installed - 1))
