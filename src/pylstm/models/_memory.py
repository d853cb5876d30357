"""How much memory a batch needs, and whether the machine has it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylstm._core import Network

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a model holds after a batch, at most; `str` of it gives the total.

    The caller's arrays and Python itself are not in it, nor are the weights that a reader still
    has when newer ones are published.
    """

    parameters: int
    """The weights."""
    gradients: int
    """Of every weight; 0 without training."""
    optimizer: int
    """What the optimizer that the model is compiled with keeps for each weight; 0 before that."""
    packed_weights: int
    """The weights in the order of the kernels: for training, and for `predict`."""
    workspace: int
    """One batch, all that the layers keep of it, and the loss."""

    @property
    def total(self) -> int:
        """The sum."""
        return (
            self.parameters + self.gradients + self.optimizer + self.packed_weights + self.workspace
        )

    def __str__(self) -> str:
        return readable(self.total)


def readable(size: int) -> str:
    """`size` bytes as "1.5 GiB"."""
    unit, value = 0, float(size)
    while value >= 1024.0 and unit + 1 < len(_UNITS):
        unit, value = unit + 1, value / 1024.0
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{size} bytes"


def plan(network: Network, batch: int, steps: int, mode: str) -> MemoryEstimate:
    """What `network` needs for a batch; `mode` is "fit", "evaluate" or "predict".

    Raises:
        MemoryError: no machine has as much.
    """
    try:
        if max(batch, steps) > sys.maxsize:
            raise MemoryError
        return MemoryEstimate(**network.plan_memory(batch, steps, mode))
    except MemoryError:
        raise MemoryError(f"{_size(batch, steps)} needs more than {2**63} bytes (8 EiB)") from None


def check_room(network: Network, batch: int, steps: int, mode: str, more: int = 0) -> None:
    """Raise MemoryError if the machine lacks what a batch, and `more` bytes, need beyond that which
    the network holds.

    A system that does not tell how much it has is trusted.
    """
    estimate = plan(network, batch, steps, mode)
    held = network.memory_use()
    missing = more + sum(max(0, getattr(estimate, kind) - held[kind]) for kind in held)
    room = available_memory()
    if room is not None and missing > room:
        raise MemoryError(
            f"{_size(batch, steps)} needs about {readable(missing)} more memory, "
            f"{readable(room)} is available; estimate_memory tells what needs it"
        )


def _size(batch: int, steps: int) -> str:
    return f"a batch of batch_size {batch} and steps {steps}"


def available_memory() -> int | None:
    """Bytes that this process may still get: what the system has free, swap too, within the
    cgroup's limit; None if the system does not tell."""
    free = free_memory(_read("/proc/meminfo"))
    limits = [
        left_in_group(_read(f"/sys/fs/cgroup/{limit}"), _read(f"/sys/fs/cgroup/{used}"))
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
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
