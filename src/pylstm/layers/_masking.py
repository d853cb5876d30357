"""Masking: leaves padding out of sequences of features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks
from pylstm._checks import Shape
from pylstm.layers._plain import PlainLayer
from pylstm.layers._shapes import steps_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COMPARED_AT_ONCE = 1 << 20  # numbers, but a row at least


class Masking(PlainLayer):
    """Leaves out the steps whose features all are `mask_value`. The first layer of a model.

    The layers after it, the loss and the metrics pass over such steps, wherever in a row they are;
    with a loss of pylstm targets may be anything there. Input (rows, steps, features); output the
    same, with 0 at masked steps.

    Args:
        mask_value: The value of padding, compared in the dtype of the model; denormal numbers
            are 0.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape` as in `Layer`.

    Raises:
        TypeError, ValueError: `mask_value` is not a finite number.

    >>> x = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    >>> Masking().compute_mask(x)
    array([[ True, False]])
    """

    _ranks = (3,)
    _arguments = ("mask_value",)

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = _checks.number("mask_value", mask_value)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 3:
            raise ValueError(
                f"layer {self.name!r}: expected an input of shape (rows, steps, features), "
                f"got {_checks.shape_text(input_shape)}"
            )
        return input_shape

    @property
    def makes_mask(self) -> bool:
        """Always."""
        return True

    def compute_mask(self, x: Any, mask: Any = None) -> NDArray[np.bool_]:
        """(rows, steps): False where `x` is padding, or where `mask` is False already."""
        x = _checks.array("x", x)
        self.check_array(x.shape)
        real = np.empty(x.shape[:2], bool)
        block = max(1, _COMPARED_AT_ONCE * len(x) // max(1, x.size))
        value = self._as_in_engine(np.asarray(self.mask_value))
        for first in range(0, len(x), block):
            some = self._as_in_engine(x[first : first + block])
            (some != value).any(axis=-1, out=real[first : first + block])
        return real if mask is None else real & steps_mask(mask, x.shape)

    def _as_in_engine(self, values: NDArray[Any]) -> NDArray[Any]:
        """`values` in the dtype of the layer, whose denormals are 0."""
        dtype = np.dtype(self.dtype or "float32")
        with np.errstate(over="ignore"):
            found = values.astype(dtype, copy=False)
        return np.where(np.abs(found) < np.finfo(dtype).tiny, dtype.type(0), found)
