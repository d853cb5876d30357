"""The variables of a layer: what they are to be, and what they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _available, _checks, initializers

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LITTLE = 64 << 20  # bytes for which the system is not asked
_DRAWN = 8  # bytes of an element while its variable is drawn


class Spec:
    """One variable of a layer: its name within the layer, its shape and its initial values."""

    __slots__ = ("initializer", "name", "shape")

    def __init__(
        self, name: str, shape: tuple[int, ...], initializer: initializers.Initializer
    ) -> None:
        self.name, self.shape, self.initializer = name, shape, initializer


def first_stream(place: int) -> int:
    """The first of 256 streams of random numbers for the weights of a layer, all below 2**24."""
    return (place & 255) << 16 | place >> 8 << 8


class Undrawn:
    """Weights that a layer has yet to draw: elements in all, and of its largest variable."""

    __slots__ = ("largest", "layer", "total")

    def __init__(self, layer: str, total: int, largest: int) -> None:
        self.layer, self.total, self.largest = layer, total, largest


class Variable:
    """One variable as it is now: a copy of its values, and where it belongs. It cannot be set."""

    __slots__ = ("path", "trainable", "value")
    path: str
    value: NDArray[Any]
    trainable: bool

    def __init__(self, path: str, value: NDArray[Any], trainable: bool) -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "trainable", trainable)

    def __reduce__(self) -> tuple[Any, ...]:
        return Variable, (self.path, self.value, self.trainable)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{self.path}: a variable is a copy, its {name} cannot be set; set trainable of its "
            f"layer, or weights by set_weights"
        )

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"

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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.value, dtype, copy=copy)


def check_weights(layers: Iterable[Undrawn], itemsize: int) -> None:
    """Raise MemoryError if the machine lacks the least that it takes to draw these weights and to
    give them to a network, elements of `itemsize` bytes.

    A system that does not tell how much it has is trusted.
    """
    new = sorted(layers, key=lambda weights: weights.total)
    total = itemsize * sum(weights.total for weights in new)
    largest = max((weights.largest for weights in new), default=0)
    # the network's, those drawn, and those that it takes over; before, float64 as they are drawn
    needed = max(3 * total, 2 * total + _DRAWN * largest)
    if needed <= _LITTLE:
        return
    room = _available.available_memory()
    if room is not None and needed > room:
        raise MemoryError(
            f"to make the weights needs about {_available.readable(needed)} of memory, "
            f"{_available.readable(room)} is available; those of layer {new[-1].layer!r} are "
            f"{_available.readable(itemsize * new[-1].total)}"
        )


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


def in_dtype(weights: list[NDArray[Any]], paths: list[str], dtype: str) -> list[NDArray[Any]]:
    """Copies of `weights` in C order and of `dtype`, that of the layer or model that keeps them."""
    found = []
    for path, value in zip(paths, weights, strict=True):
        with np.errstate(over="ignore", under="ignore"):
            copy = np.array(value, dtype, order="C")
        if value.dtype != copy.dtype:
            held = np.isinf(value) == np.isinf(copy)
            if not held.all():
                at = _checks.first_bad(held)
                raise ValueError(
                    f"weights ({path}): expected numbers that {dtype} can hold, got {value[at]} "
                    f"at {at}"
                )
        found.append(copy)
    return found
