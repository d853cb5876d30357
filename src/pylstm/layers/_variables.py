"""The variables of a layer: what they are to be, and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pylstm import _checks, initializers

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Spec(NamedTuple):
    """One variable of a layer: its name within the layer, its shape and its initial values."""

    name: str
    shape: tuple[int, ...]
    initializer: initializers.Initializer


class Variable(NamedTuple):
    """One variable as it is now: a copy of its values, and where it belongs."""

    path: str
    value: NDArray[Any]
    trainable: bool

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values."""
        return self.value.shape

    @property
    def dtype(self) -> str:
        """Type of the values."""
        return str(self.value.dtype)

    def numpy(self) -> NDArray[Any]:
        """The values."""
        return self.value


def match_weights(
    weights: Any, paths: list[str], shapes: list[tuple[int, ...]]
) -> list[NDArray[Any]]:
    """`weights` as arrays, one for each path and of its shape."""
    if not isinstance(weights, list | tuple):
        raise TypeError(f"weights: expected a list of arrays, got {type(weights).__name__}")
    if len(weights) != len(paths):
        raise ValueError(
            f"weights: expected {len(paths)} arrays ({', '.join(paths)}), got {len(weights)}"
        )
    checked = []
    for path, shape, weight in zip(paths, shapes, weights, strict=True):
        value = _checks.array(f"weights ({path})", weight)
        if value.shape != shape:
            raise ValueError(f"weights ({path}): expected shape {shape}, got {value.shape}")
        checked.append(value)
    return checked
