"""PlainLayer: what layers without states have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pylstm.layers._base import Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PlainLayer(Layer):
    """Base of the layers that have no states, and treat every step alike."""

    def __call__(self, x: Any, training: bool = False, mask: Any = None) -> NDArray[Any]:
        """The layer applied to an array; `training` turns dropout on.

        A `mask` is taken, so that a chain of layers may hand it on, and changes nothing.

        Raises:
            ValueError: the layer cannot take an array of this shape.
        """
        return self._call(x, None, None, training)[0]
