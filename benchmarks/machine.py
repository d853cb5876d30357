"""What this machine is, and what it can do at most."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pylstm
from pylstm import _core

LEVELS = {"32 KiB": 32 << 10, "512 KiB": 512 << 10, "8 MiB": 8 << 20, "256 MiB": 256 << 20}


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def steal() -> int:
    """Ticks that the hypervisor took from this machine so far; 0 where it is not told."""
    stat = Path("/proc/stat")
    return int(stat.read_text().split()[8]) if stat.exists() else 0


def record() -> dict[str, object]:
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "pylstm": pylstm.__version__,
        **{f"build_{k}": v for k, v in _core.build_info().items()},
    }


def peak(isa: str, threads: int, seconds: float = 0.3) -> float:
    """FMA peak in FLOP/s, float32."""
    active = _core.active_isa()
    _core.use_isa(isa)
    try:
        return _core.measure_peak(threads, seconds)
    finally:
        _core.use_isa(active)
