"""How much memory there is."""

from __future__ import annotations

import os

from pylstm import _core

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def readable(size: int) -> str:
    """`size` bytes as "1.5 GiB"."""
    unit, value = 0, float(size)
    while value >= 1024.0 and unit + 1 < len(_UNITS):
        unit, value = unit + 1, value / 1024.0
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{size} bytes"


def available_memory() -> int | None:
    """Bytes that this process may still get: what the system has free, swap too, within the limits
    of its cgroups; None if the system does not tell."""
    free = free_memory(_read("/proc/meminfo"))
    limits = [
        left_in_group(_read(f"{folder}/{limit}"), _read(f"{folder}/{used}"))
        for folder in map(os.fsdecode, _core.cgroup_folders("memory"))
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        )
    ]
    known = [value for value in (free, *limits) if value is not None]
    return min(known, default=None)


def free_memory(meminfo: str) -> int | None:
    """MemAvailable and SwapFree of the text of /proc/meminfo."""
    sizes = {}
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        sizes[name] = value.split()
    if "MemAvailable" not in sizes:
        return None
    return sum(1024 * int(sizes[name][0]) for name in ("MemAvailable", "SwapFree") if name in sizes)


def left_in_group(limit: str, used: str) -> int | None:
    """What a cgroup's limit leaves, given the texts of its two files; None without a limit.

    Pages of files count as used but are given up for others, so at least half of the limit counts.
    """
    limit, used = limit.strip(), used.strip()
    if not limit.isdigit() or int(limit) >= 1 << 62:  # "max", and version 1's word for it
        return None
    taken = int(used) if used.isdigit() else 0
    return max(int(limit) - taken, int(limit) // 2)


def _read(path: str) -> str:
    try:
        # of UTF-8 the codec is there; to import another one takes a lock, which a fork may meet
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""
