"""How much memory a batch needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylstm._core import Network

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a model holds after a batch, at most; `str` of it gives the total.

    The caller's arrays and Python itself are not in it, nor is the copy of `packed_weights` that
    lives for the moment when a fit ends.
    """

    parameters: int
    """The weights."""
    gradients: int
    """Of every weight; 0 without training."""
    optimizer: int
    """What the optimizer that the model is compiled with keeps for each weight."""
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
        return MemoryEstimate(**network.plan_memory(batch, steps, mode))
    except MemoryError:
        raise MemoryError(f"{_size(batch, steps)} needs more than {2**63} bytes (8 EiB)") from None


def _size(batch: int, steps: int) -> str:
    return f"a batch of batch_size {batch} and steps {steps}"
