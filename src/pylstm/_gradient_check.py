"""Whether a loss of one's own returns its gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks
from pylstm.losses import FunctionLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pylstm.losses import LossFunction

_ALL = 1000  # at most so many numbers are looked at one by one; of more …
_PLACES = 100  # … so many with the largest gradient, and as many others
_STEP = 6e-6  # the cube root of the rounding error of float64


def check_gradient(
    function: LossFunction,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    tolerance: float = 1e-4,
) -> None:
    """Raise ValueError unless the gradient that a loss of yours returns is that of its value.

    The value is taken a little above and below, in float64: of each number of y_pred, of more than
    1000 of the 100 with the largest gradient and 100 others; and of all together, each moved up or
    down. At a kink, as of |x| at 0, any slope between those of both sides is right.

    Args:
        function: Returns loss and gradient, as `Sequential.compile` takes it.
        y_true: Targets, as a fit would give them.
        y_pred: (rows, …) predictions; values that the loss is made for.
        sample_weight: (rows,) or (rows, steps), for a function that has this parameter.
        tolerance: The relative difference that is let pass.

    Raises:
        ValueError: they differ, or are not finite; weights that the function does not take.
        TypeError: `function` returns no pair of a number and an array.

    >>> def squared(y_true, y_pred):
    ...     error = y_pred - y_true
    ...     return (error**2).mean(), 2 * error / error.size
    >>> check_gradient(squared, np.zeros((3, 1)), np.ones((3, 1)))
    """
    loss = FunctionLoss(function)
    y_true = _checks.array("y_true", y_true)
    y_pred = _checks.array("y_pred", y_pred).astype(np.float64)
    tolerance = _checks.number("tolerance", tolerance, 0.0)
    if y_pred.ndim == 0 or y_pred.size == 0:
        raise ValueError(f"y_pred: expected at least one row, got shape {y_pred.shape}")
    if sample_weight is not None:
        sample_weight = _checks.array("sample_weight", sample_weight)
        if not loss.takes_weights:
            raise ValueError(f"sample_weight: the loss {loss.name} has no such parameter")

    def at(values: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        weight = None if sample_weight is None else sample_weight.copy()
        with np.errstate(all="ignore"):
            return loss(y_true.copy(), values.copy(), weight)

    value, gradient = at(y_pred)
    if not (math.isfinite(value) and np.isfinite(gradient).all()):
        raise ValueError(f"loss: {loss.name} gives a loss or a gradient that is not finite")

    def compare(move: NDArray[Any], where: str) -> None:
        """Of y_pred ± `move`; where that is too far, as for small probabilities, of less."""
        noise, problem = 1e-15 * abs(value), "is not finite next to y_pred"
        sizes = np.abs(y_pred)
        for i, size in enumerate((np.maximum(1.0, sizes), sizes, 1e-3 * sizes)):
            moved = _STEP * size * move
            slopes = value - at(y_pred - moved)[0], at(y_pred + moved)[0] - value
            expected = float((gradient * moved).sum())
            allowed = tolerance * max(float(np.abs(gradient * moved).sum()), *map(abs, slopes))
            if not math.isfinite(sum(slopes)) or (i > 0 and noise >= allowed):
                continue  # this step tells nothing
            allowed += noise
            if min(slopes) - allowed <= expected <= max(slopes) + allowed:
                return
            length = float(np.abs(moved).sum())
            problem = (
                f"returns the gradient {expected / length:g}, but its value changes by "
                f"{sum(slopes) / (2.0 * length):g} for each 1 of y_pred,"
            )
        raise ValueError(f"loss: {loss.name} {problem} {where}")

    for i in _places(np.abs(gradient).ravel()):
        move = np.zeros_like(y_pred)
        move.flat[i] = 1.0
        compare(move, f"at {tuple(int(n) for n in np.unravel_index(i, y_pred.shape))}")
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(2, *y_pred.shape))
    for move in signs:
        compare(move, "of all numbers together")


def _places(sizes: NDArray[Any]) -> NDArray[np.intp]:
    """Which numbers to look at: those of the largest sizes, and others drawn, as even steps may
    pass by whole columns."""
    if sizes.size <= _ALL:
        return np.arange(sizes.size)
    others = np.random.default_rng(0).choice(sizes.size, _PLACES, replace=False)
    return np.union1d(np.argpartition(sizes, -_PLACES)[-_PLACES:], others)
