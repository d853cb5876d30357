"""How much memory a batch needs, and whether the machine has it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from pylstm import _available
from pylstm._available import readable

if TYPE_CHECKING:
    from pylstm._core import Network


class MemoryEstimate(NamedTuple):
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


def plan(network: Network, batch: int, steps: int, mode: str) -> MemoryEstimate:
    """What `network` needs for a batch; `mode` is "fit", "evaluate", "predict" or "call".

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
    missing = sum(max(0, getattr(estimate, kind) - held[kind]) for kind in held)
    room = _available.available_memory()
    if room is None or missing + more <= room:
        return
    if mode == "call":
        raise MemoryError(
            f"{batch} rows of {steps} steps need about {readable(missing + more)} more memory, "
            f"{readable(room)} is available; give fewer rows at a time"
        )
    if missing <= room:
        raise MemoryError(
            f"the result needs {readable(more)} of memory, and {_size(batch, steps)} about "
            f"{readable(missing)} more, {readable(room)} is available; predict fewer rows at a time"
        )
    raise MemoryError(
        f"{_size(batch, steps)} needs about {readable(missing)} more memory, "
        f"{readable(room)} is available; estimate_memory tells what needs it"
    )


def _size(batch: int, steps: int) -> str:
    return f"a batch of batch_size {batch} and steps {steps}"
