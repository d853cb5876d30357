"""The laws in tests/cpp, built with this machine's compilers, on all its instruction sets."""

from __future__ import annotations

import subprocess

import pytest
from conftest import Build, compilers


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("laws", ["base_laws", "file_laws", "kernel_laws", "network_laws"])
def test_laws(laws: str, compiler: str, build: Build) -> None:
    program = build(compiler, [laws]) / "tests" / "cpp" / laws
    result = subprocess.run([program], capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr
