"""Estimated: a model that knows what memory a batch needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pylstm import _checks, _core
from pylstm._memory import MemoryEstimate, check_room, plan
from pylstm.models._structure import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = 128 << 20  # bytes of a result whose memory may serve the next one


class Estimated(Structure):
    """A model whose memory can be told before it is needed."""

    def __init__(
        self,
        layers: Any = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = "float32",
    ) -> None:
        self._room: dict[str, tuple[int, ...]] = {}
        """By mode, the batch that was looked at last: rows, steps, bytes of results."""
        super().__init__(layers, trainable, name, dtype)

    def estimate_memory(
        self, batch_size: int, steps: int | None = None, training: bool = True
    ) -> MemoryEstimate:
        """How many bytes the model holds at most after one batch, without running it.

        The numbers are those of the engine's own plan. They stand for the loss and the optimizer
        that the model is compiled with, if it is; for every layer being trained. A padded batch
        may need less. The weights are made, if they are not there yet.

        Args:
            batch_size: Rows of the batch.
            steps: Steps of the batch; may be left out if the model's input has a fixed number.
            training: An optimizer step; else `predict`, without the array of its results.

        Returns:
            The bytes by purpose: `parameters`, `gradients`, `optimizer`, `packed_weights`,
            `workspace`, and their sum, `total`.

        Raises:
            ValueError: a number below 1; other `steps` than the model takes; the model is not
                built.
            TypeError: a number that is not an integer.
            MemoryError: more than 8 EiB, or there is no room for the weights.
            RuntimeError: another thread is training the model.

        >>> from pylstm import Sequential, layers
        >>> model = Sequential([layers.Input((None, 3)), layers.LSTM(8)])
        >>> model.estimate_memory(32, 100).total < 2 << 20
        True
        """
        self._enter()
        batch_size = _checks.positive_int("batch_size", batch_size, math.inf)
        training = _checks.boolean("training", training)
        steps = self._planned_steps(steps)
        return plan(self._network(), batch_size, steps, "fit" if training else "predict")

    def _network_made(self, network: _core.Network) -> None:
        self._room.clear()

    def _steps_axis(self) -> bool:
        """Whether the second axis of the input is its steps."""
        return len(self._known_shape()) == 3 or self._layers[0].token_ids

    def _planned_steps(self, steps: object) -> int:
        """`steps` of an estimate, checked against the shape of the input."""
        shape = self._known_shape()
        fixed = shape[1] if self._steps_axis() else 1
        if steps is None:
            if fixed is None:
                raise ValueError("steps: expected a number, the model takes any; got None")
            return fixed
        count = _checks.positive_int("steps", steps, math.inf)
        if fixed not in (None, count):
            raise ValueError(f"steps: the model takes {fixed}, got {count}")
        return count

    def _check_room(
        self, x: NDArray[Any], batch_size: int, mode: str, window: int = 0, results: int = 0
    ) -> None:
        """Raise MemoryError if batches of `x` need more memory than there is: a look at the system
        for each batch that is larger than the last one looked at. `results`: bytes beside it.
        """
        steps = x.shape[1] if self._steps_axis() else 1
        size = (min(batch_size, len(x)), min(steps, window) if window else steps, results)
        seen = self._room.get(mode, (0, 0, 0))
        smaller = all(a <= b for a, b in zip(size, seen, strict=True))
        if min(size[:2]) < 1 or (smaller and results <= _KEPT):
            return
        check_room(self._network(), size[0], size[1], mode, results)
        self._room[mode] = size
