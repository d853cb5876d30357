"""Embedding: token ids to vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, initializers
from pylstm._checks import Shape
from pylstm.layers._plain import PlainLayer
from pylstm.layers._shapes import steps_mask
from pylstm.layers._variables import Spec

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Embedding(PlainLayer):
    """One row of a table for each token id. The first layer of a model.

    Input (rows, steps) of ids 0 … input_dim - 1; output (rows, steps, output_dim).
    Weights: embeddings (input_dim, output_dim).

    Args:
        input_dim: Number of different ids.
        output_dim: Size of a vector.
        embeddings_initializer: Initial table; "uniform" is U(-0.05, 0.05).
        embeddings_regularizer: Not supported; must be None. So for embeddings_constraint.
        mask_zero: Whether id 0 is padding that the layers after this one leave out.
        weights: Initial table as an array, or a list with that array.
        input_length: Accepted for older scripts; any number of steps can be given.
        **kwargs: `name`, `trainable`, `dtype` as in `Layer`.

    Raises:
        ValueError: a size below 1, a regularizer or constraint, a table of another shape.

    >>> Embedding(100, 8).compute_output_shape((None, 12))
    (None, 12, 8)
    """

    token_ids = True
    _arguments = ("input_dim", "output_dim", "embeddings_initializer", "mask_zero")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: None = None,
        embeddings_constraint: None = None,
        mask_zero: bool = False,
        weights: Any = None,
        input_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _checks.unsupported("embeddings_regularizer", embeddings_regularizer, (None,))
        _checks.unsupported("embeddings_constraint", embeddings_constraint, (None,))
        self.input_dim = _checks.positive_int("input_dim", input_dim)
        self.output_dim = _checks.positive_int("output_dim", output_dim)
        self.embeddings_initializer = initializers.get(
            embeddings_initializer, "embeddings_initializer"
        )
        self.mask_zero = _checks.boolean("mask_zero", mask_zero)
        if self.declared_shape is None:
            self.declared_shape = (None, None)
        if weights is not None:
            self._take_shape(self.declared_shape)
            table = weights if isinstance(weights, list) and len(weights) == 1 else [weights]
            self.set_weights(table)

    def specs(self, input_shape: Shape) -> list[Spec]:
        shape = (self.input_dim, self.output_dim)
        return [Spec("embeddings", shape, self.embeddings_initializer)]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 2:
            raise ValueError(
                f"layer {self.name!r}: expected token ids of shape (rows, steps), "
                f"got {_checks.shape_text(input_shape)}"
            )
        return (*input_shape, self.output_dim)

    @property
    def makes_mask(self) -> bool:
        """`mask_zero`."""
        return self.mask_zero

    def compute_mask(self, x: Any, mask: Any = None) -> NDArray[np.bool_] | None:
        """(rows, steps): with `mask_zero`, False where `x` is padding, or `mask` False already."""
        if not self.mask_zero:
            return super().compute_mask(x, mask)
        real: NDArray[np.bool_] = _checks.array("x", x) != 0
        return real if mask is None else real & steps_mask(mask, np.shape(x))
