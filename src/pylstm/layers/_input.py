"""Input: declares the shape of a model's input, so that the model is built at once."""

from __future__ import annotations

from typing import Any

from pylstm._checks import Shape
from pylstm.layers._names import layer_name
from pylstm.layers._shapes import declared_shape


class InputLayer:
    """What `Input` makes, with its arguments; it is not one of a model's `layers`."""

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        name: str | None = None,
        batch_shape: Any = None,
    ) -> None:
        declared = declared_shape(shape, batch_shape, "")
        if declared is None:
            raise TypeError("shape: expected a tuple of sizes, got None")
        if len(declared) > 3:
            raise ValueError(
                f"shape: expected that of one row, (steps, features), (steps,) or (features,), "
                f"without the number of rows; got {declared[1:]}"
            )
        self.batch_shape: Shape = declared
        self.name = "input" if name is None else layer_name(name)

    def __repr__(self) -> str:
        return f"<InputLayer name={self.name!r}, shape={self.batch_shape}>"


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    name: str | None = None,
    batch_shape: Any = None,
) -> InputLayer:
    """Declare the input of a `Sequential`.

    Args:
        shape: Shape of one row: `(steps, features)`, `(steps,)` for token ids, `(features,)` for
            vectors. None stands for any number of steps.
        batch_size: Accepted; any number of rows can be given.
        dtype: Accepted; any real type can be given.
        name: Name of the declaration.
        batch_shape: `shape` with the batch size in front.

    Raises:
        TypeError: no shape, or sizes that are not integers.
        ValueError: a size below 1, or too many sizes.

    >>> Input((None, 3))
    <InputLayer name='input', shape=(None, None, 3)>
    """
    return InputLayer(shape, batch_size, dtype, name, batch_shape)
