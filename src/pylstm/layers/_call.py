"""The network of a layer that is called on arrays by itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from pylstm import _core, _json
from pylstm._checks import Shape
from pylstm._runtime import draw_seed
from pylstm.layers._shapes import engine_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Called(NamedTuple):
    """A layer as it is now: its configuration, the shape and type it is for, its weights."""

    config: dict[str, Any]
    shape: Shape
    dtype: str
    weights: list[NDArray[Any]]


class Caller:
    """A network of one layer; made anew if the layer's configuration or its input changes."""

    def __init__(self) -> None:
        self._network: _core.Network | None = None
        self._key: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self._calls = 0

    def __call__(
        self,
        layer: Called,
        x: NDArray[Any],
        states: list[NDArray[Any]] | None,
        mask: NDArray[Any] | None,
        training: bool,
    ) -> list[NDArray[Any]]:
        """[output, final states …] of `layer` for `x`."""
        with self._lock:
            network = self._current(layer)
            if training:  # each call has dropout masks of its own
                network.iterations = self._calls = self._calls + 1
            return network.call(x, states, mask, training)

    def _current(self, layer: Called) -> _core.Network:
        text = _json.dumps({"name": "call", "layers": [layer.config]})
        key = (text, len(layer.shape))
        if self._network is None or key != self._key:
            self._network = _core.Network(text, engine_shape(layer.shape), layer.dtype)
            self._network.set_seed(draw_seed())
            self._key = key
        if layer.weights:
            self._network.set_weights(layer.weights)
        return self._network
