"""The peers: the packages that make each one's virtual environment, and where those are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

NUMPY = "numpy==2.4.6"
PACKAGES = {
    "torch": (NUMPY, "torch==2.13.0"),
    "onnxruntime": (NUMPY, "onnxruntime==1.32.0", "onnx==1.23.2"),
    "openvino": (NUMPY, "openvino==2026.4.1", "onnx==1.23.2"),
    "keras": (NUMPY, "tensorflow-cpu==2.21.0", "keras==3.15.1"),
    "jax": (NUMPY, "jax==0.10.2", "jaxlib==0.10.2"),
}
OURS = ("pylstm", "unmasked", "numpy")  # run in this environment: they import pylstm


def directory() -> Path:
    """Where the environments are: $PYLSTM_PEERS, else build/peers, which git ignores."""
    return Path(os.environ.get("PYLSTM_PEERS") or ROOT / "build" / "peers")


def interpreter(environment: Path) -> Path:
    """Of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def python(name: str) -> Path:
    """The interpreter that runs a peer; FileNotFoundError if it has not been set up."""
    if name in OURS:
        return Path(sys.executable)
    path = interpreter(directory() / name)
    if not path.exists():
        raise FileNotFoundError(f"{path}: run `python -m benchmarks.setup {name}` first")
    return path


def installed() -> list[str]:
    """Peers that can run here, NumPy last: it is the specification, not a rival."""
    return [name for name in PACKAGES if (directory() / name / "ready").exists()] + ["numpy"]
