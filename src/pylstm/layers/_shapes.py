"""Shapes: as a user declares them, as layers are built for them, as the engine takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pylstm import _checks
from pylstm._checks import Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def built_shape(input_shape: Any) -> Shape:
    """The argument of `build`: the shape of an input, rows first."""
    if not isinstance(input_shape, list | tuple) or len(input_shape) < 2:
        kind = ValueError if isinstance(input_shape, list | tuple) else TypeError
        raise kind(f"input_shape: expected a shape, rows first (or None), got {input_shape!r}")
    shape = declared_shape(tuple(input_shape[1:]), None)
    assert shape is not None
    if input_shape[0] is not None:
        _checks.positive_int("input_shape", input_shape[0])
    return shape


def declared_shape(
    shape: Any, batch_shape: Any, prefix: str = "input_", dim: Any = None
) -> Shape | None:
    """The input shape that a user declared, rows first; None if there is no declaration.

    prefix: of the names of the arguments. dim: the only size of a row, as `input_dim`.
    """
    given = {f"{prefix}dim": dim, f"{prefix}shape": shape, f"batch_{prefix}shape": batch_shape}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(f"{names[0]}: give this or {names[1]}, not both")
    if dim is not None:
        return (None, _checks.positive_int(f"{prefix}dim", dim))
    argument = f"batch_{prefix}shape" if shape is None else f"{prefix}shape"
    value = batch_shape if shape is None else shape
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise TypeError(f"{argument}: expected a tuple of sizes, got {value!r}")
    if len(value) < (1 if shape is not None else 2):
        raise ValueError(f"{argument}: expected the sizes of a row, got {value!r}")
    sizes = tuple(None if d is None else _checks.positive_int(argument, d) for d in value)
    return (None, *sizes) if shape is not None else (None, *sizes[1:])


def open_shape(shape: tuple[int, ...], token_ids: bool) -> Shape:
    """The shape of an array with rows and steps left open: what a layer is built for."""
    if token_ids:
        return (None, *(None for _ in shape[1:]))
    return (None, *(None for _ in shape[1:-1]), shape[-1])


def steps_mask(mask: Any, x_shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """`mask` as an array for an x of this shape: (rows, steps)."""
    found = _checks.array("mask", mask).astype(bool, copy=False)
    _checks.same_shape("mask", found.shape, x_shape[:2])
    return found


def engine_shape(shape: Shape, token_ids: bool = False) -> tuple[int, ...]:
    """`shape` as the engine takes it: of one row, with any number of steps (-1)."""
    first, *rest = (-1 if d is None else d for d in shape[1:])
    return (first,) if not rest and not token_ids and first != -1 else (-1, *rest)
