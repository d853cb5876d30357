"""The one grid of problems that every adapter solves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Problem:
    """One measurement. kind: "forward", "forward_backward", "train_step" or "step"."""

    name: str
    kind: str
    batch: int
    steps: int
    inputs: int  # features, or the width of the embedding for "train_step"
    units: int
    vocabulary: int = 0

    @property
    def flops(self) -> float:
        """Arithmetic of the products alone; activations, Adam and softmax are not counted."""
        rows, cell = self.batch * self.steps, 8 * self.units * (self.inputs + self.units)
        if self.kind in ("forward", "step"):
            return rows * cell
        # dW, dU and dh; dX only where something lies below.
        layer = rows * (
            3 * cell - (0 if self.kind == "train_step" else 8 * self.units * self.inputs)
        )
        return layer + (6 * rows * self.units * self.vocabulary if self.kind == "train_step" else 0)

    def weights(self) -> list[Array]:
        """Keras' layout: [embeddings,] kernel, recurrent_kernel, bias[, dense kernel, bias]."""
        rng = np.random.default_rng(1)
        i, h, v = self.inputs, self.units, self.vocabulary
        shapes = [(i, 4 * h), (h, 4 * h), (4 * h,)]
        if self.kind == "train_step":
            shapes = [(v, i), *shapes, (h, v), (v,)]
        return [(rng.uniform(-1, 1, s) / np.sqrt(h)).astype(np.float32) for s in shapes]

    def data(self) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """x and y: token ids for "train_step", else numbers."""
        rng = np.random.default_rng(2)
        shape = (self.batch, self.steps)
        if self.kind == "train_step":
            ids = rng.integers(0, self.vocabulary, (2, *shape)).astype(np.int32)
            return ids[0], ids[1]
        x = rng.standard_normal((*shape, self.inputs)).astype(np.float32)
        return x, rng.standard_normal((*shape, self.units)).astype(np.float32)


def _layer(kind: str, batch: int, steps: int, units: int) -> Problem:
    return Problem(f"{kind} B{batch} T{steps} H{units}", kind, batch, steps, units, units)


def _model(v: int, e: int, h: int, b: int, t: int) -> Problem:
    return Problem(f"train_step V{v} E{e} H{h} B{b} T{t}", "train_step", b, t, e, h, v)


GRID = [
    _layer("forward", 32, 100, 256),
    _layer("forward", 32, 100, 128),
    _layer("forward", 32, 100, 512),
    _layer("forward", 1, 100, 128),
    _layer("forward", 1, 100, 512),
    _layer("forward_backward", 32, 100, 256),
    _layer("forward_backward", 32, 100, 128),
    _model(10000, 128, 128, 32, 50),
    _model(65, 64, 128, 50, 50),
    _layer("step", 1, 1, 16),
    _layer("step", 1, 1, 128),
]
