"""Reading model files that are damaged, or claim to be huge: refused, within bounded memory."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from model_files import accepted, header_of, pack

import pylstm
from pylstm import _core

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="measures with the module resource")

# ---- damage


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sample") / "m.safetensors"
    values = np.random.default_rng(0).standard_normal((40, 12))
    _core.write_model_file(
        path,
        {"config": json.dumps({"layers": [{"class_name": "LSTM", "config": {"units": 3}}]})},
        [("lstm/kernel", values.astype(np.float32)), ("iterations", np.array(7))],
    )
    return path.read_bytes()


def test_a_file_of_another_program_is_told_apart(tmp_path: Path) -> None:
    """Its data begin where they happen to; that is not what is wrong with it."""
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    assert (8 + len(header)) % 64
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(pylstm.ModelFileError, match="safetensors file of another program"):
        pylstm.load_model(tmp_path / "m")


def test_every_truncation_is_detected(tmp_path: Path, sample: bytes) -> None:
    for verify in (True, False):
        assert not any(
            accepted(tmp_path / "m", sample[:length], verify) for length in range(len(sample))
        )


def test_every_bit_of_the_header_is_guarded(tmp_path: Path, sample: bytes) -> None:
    front = 8 + struct.unpack("<Q", sample[:8])[0]
    for bit in range(8 * front):
        damaged = bytearray(sample)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not accepted(tmp_path / "m", bytes(damaged)), bit
        accepted(tmp_path / "m", bytes(damaged), verify=False)  # read or refused, nothing else


def test_damaged_data_is_detected(tmp_path: Path, sample: bytes) -> None:
    front = 8 + struct.unpack("<Q", sample[:8])[0]
    rng = np.random.default_rng(1)
    for _ in range(5000):
        damaged = bytearray(sample)
        for at in rng.integers(front, len(sample), size=rng.integers(1, 4)):
            damaged[at] = (damaged[at] + rng.integers(1, 256)) % 256
        # Up to three changes may have undone each other.
        assert bytes(damaged) == sample or not accepted(tmp_path / "m", bytes(damaged))


# ---- memory

BOMBS = {
    "tensor_of_2_40_elements": pack(header_of(("w", "F32", [2**10, 2**30], 2**42))),
    "many_huge_tensors": pack(header_of(*((f"t{i}", "F64", [2**30], 2**33) for i in range(9)))),
    "header_of_2_62_bytes": struct.pack("<Q", 2**62) + b"{" * 1000,
    "header_of_1_MiB": struct.pack("<Q", 2**20) + b"{" * 1000,
}


def growth_while_reading(path: Path) -> int:
    """Bytes by which a new interpreter's peak of memory grows while it reads the file."""
    script = """
        import resource, sys
        from pylstm import _core
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for verify in (True, False):
            try:
                model = _core.read_model_file(sys.argv[1], verify)
            except _core.ModelFileError:
                pass
            model = None
        unit = 1 if sys.platform == "darwin" else 1024
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@POSIX
@pytest.mark.parametrize("name", BOMBS)
def test_bomb_allocates_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.safetensors"
    assert len(BOMBS[name]) < 2000
    assert not accepted(path, BOMBS[name])
    assert growth_while_reading(path) < 20e6


@POSIX
def test_reading_stays_within_twice_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m"
    _core.write_model_file(path, {}, [(f"t{i}", np.ones(2**20)) for i in range(8)])
    assert growth_while_reading(path) <= 2 * path.stat().st_size + 16 * 2**20
