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


def is_ready(name: str) -> bool:
    """Whether a peer's environment is complete, and of the versions that are pinned now."""
    marker = directory() / name / "ready"
    return marker.exists() and marker.read_text().split() == list(PACKAGES[name])


def installed() -> list[str]:
    """Peers that can run here, NumPy last: it is the specification, not a rival."""
    return [name for name in PACKAGES if is_ready(name)] + ["numpy"]


def newer_source() -> Path | None:
    """A source here that changed after the pylstm that is measured was installed, if there is one.

    The results would bear the name of a revision that nobody measured.
    """
    import pylstm
    from pylstm import _core

    installed = Path(_core.__file__)
    folders = ["src/cpp", "cmake"]
    if not (ROOT / "src" / "pylstm" / "__init__.py").samefile(Path(pylstm.__file__)):
        folders.append("src/pylstm")  # else what is imported is what is here
    sources = (path for folder in folders for path in (ROOT / folder).rglob("*.*"))
    changed = (p for p in sources if p.suffix in (".cpp", ".hpp", ".cmake", ".py"))
    return next((p for p in changed if p.stat().st_mtime > installed.stat().st_mtime), None)
