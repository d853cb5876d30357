"""Shapes of targets: what a loss takes, and what to do about others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pylstm import _checks
from pylstm._checks import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def targets(
    y: NDArray[Any],
    output_shape: Shape,
    rows: int,
    sparse: bool,
    *,
    steps: int | None,
    classes: bool,
) -> NDArray[Any]:
    """A view of `y` in the shape the loss needs.

    `sparse`: one label for each output vector, (rows, …) or (rows, …, 1). Otherwise the shape of
    the output; a last axis of size 1 may be missing. For advice: the `steps` of x, None if it has
    none, and whether the loss is one of `classes`.
    """
    if y.ndim == 0:
        raise ValueError("y: expected an array of targets, got a single number")
    expected: Shape = (rows, *output_shape[1:])
    if sparse:
        expected = expected[:-1]
        if y.ndim == len(expected) + 1 and y.shape[-1] == 1:
            y = y[..., 0]
    elif y.shape == expected[:-1] and expected[-1] == 1:
        y = y[..., None]
    if y.shape[0] != rows:
        raise ValueError(f"y: expected {rows} rows, as many as x has; got {y.shape[0]}")
    advice = _advice_on_targets(y, output_shape, sparse, steps, classes)
    _checks.same_shape("y", y.shape, expected, advice)
    return y


def _advice_on_targets(
    y: NDArray[Any], output_shape: Shape, sparse: bool, steps: int | None, classes: bool
) -> str:
    """What to do about a shape that the loss cannot take, where that can be guessed."""
    per_step, features = len(output_shape) == 3, output_shape[-1]
    row = y.shape[1:-1] if y.ndim > 1 and y.shape[-1] == 1 else y.shape[1:]  # of one target
    one = () if sparse or features == 1 else (features,)  # what it is, of one output vector
    labels = y.dtype.kind in "biu" and len(row) == per_step
    if sparse and row[per_step:] == (features,) and len(row) == per_step + 1:
        return "; for one-hot targets use the loss categorical_crossentropy"
    for_each_step = len(row) == len(one) + 1 and row[1:] == one and row[0] == steps
    if not per_step and for_each_step:
        return "; for a target at every step set return_sequences=True in the last LSTM"
    if classes and not sparse and labels and row != one:
        return "; for integer labels use the loss sparse_categorical_crossentropy"
    if per_step and row == one:
        return "; for one target for each row set return_sequences=False in the last LSTM"
    return ""
