"""What this machine is, and what it can do at most."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from pylstm import _core

LEVELS = {"32 KiB": 32 << 10, "512 KiB": 512 << 10, "8 MiB": 8 << 20, "256 MiB": 256 << 20}
SECOND_LEVEL, THIRD_LEVEL = 1 << 20, 24 << 20  # bytes, where the system does not tell
CPU_INFO, CACHES = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu/cpu0/cache")
LANES = {"avx512_bf16": 16, "avx512": 16, "avx2": 8, "neon": 4, "baseline": 4}  # of float32


@dataclass(frozen=True)
class Limits:
    """Measured roofline of one instruction set, all threads at work together."""

    isa: str
    threads: int
    peak: float  # FLOP/s, float32 multiply-adds
    bandwidth: tuple[float, ...]  # bytes/s read from a buffer of each of LEVELS
    second_level: int = SECOND_LEVEL  # bytes of a core's cache
    third_level: int = THIRD_LEVEL  # bytes of the one that cores share
    issue_rate: float = 0.0  # instructions/s, of those that wait for nothing; 0: not measured

    @property
    def lanes(self) -> int:
        """Float32 lanes of a vector."""
        return LANES[self.isa]

    @property
    def clock(self) -> float:
        """Cycles a second of one core, if it starts two vector multiply-adds in each."""
        return self.peak / (self.threads * 4 * self.lanes)


def measure(isa: str, threads: int, seconds: float = 0.3) -> Limits:
    """Measure the limits; takes about six times `seconds`."""
    active = _core.active_isa()
    _core.use_isa(isa)
    try:
        peak = _core.measure_peak(threads, seconds)
        reads = [_core.measure_bandwidth(threads, size, seconds) for size in LEVELS.values()]
        issue_rate = _core.measure_issue_rate(threads, seconds)
    finally:
        _core.use_isa(active)
    second_level = _core.second_level_cache() or SECOND_LEVEL
    third_level = _third_level() or THIRD_LEVEL
    return Limits(isa, threads, peak, tuple(reads), second_level, third_level, issue_rate)


def peak_now(threads: int, seconds: float = 0.004) -> float:
    """FLOP/s that multiply-adds reach at this moment, which on a shared machine is another one."""
    return _core.measure_peak(threads, seconds, mean=True)


def issue_rate_now(threads: int, seconds: float = 0.001) -> float:
    """Instructions/s that start at this moment: about half while a core's other hyperthread works.

    That slows code with other instructions than multiply-adds, while their own peak hardly falls.
    """
    return _core.measure_issue_rate(threads, seconds, mean=True)


def steal() -> int:
    """Ticks that the hypervisor took from this machine so far; 0 where it is not told."""
    stat = Path("/proc/stat")
    return int(stat.read_text().split()[8]) if stat.exists() else 0


def record() -> dict[str, str]:
    """What a result must name to be worth keeping."""
    return {
        "cpu": _cpu("model name") or platform.processor(),
        **{field: _cpu(field) for field in ("cpu family", "model", "stepping") if _cpu(field)},
        "second-level cache": str(_core.second_level_cache() or "unknown"),
        "third-level cache": str(_third_level() or "unknown"),
        "cores": f"{os.cpu_count()}, usable {_core.available_cores()}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{f"pylstm {key}": value for key, value in _core.build_info().items()},
    }


def _third_level() -> int:
    """Bytes that the first core's neighbours share; 0 where the system does not tell.

    sysconf tells what all of them together have, on a virtual machine also those of others.
    """
    for folder in sorted(CACHES.glob("index*")):
        if (folder / "level").read_text().strip() == "3":
            size = (folder / "size").read_text().strip()
            return int(size[:-1]) << {"K": 10, "M": 20}[size[-1]]
    return 0


def _cpu(field: str) -> str:
    """What the system says of its first processor; empty where it does not."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""
