"""A layer called on arrays by itself, through a network that has this one layer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _core, _json
from pylstm._checks import Shape
from pylstm._runtime import draw_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pylstm.layers._base import Layer


class Caller:
    """The one-layer network of a layer; made anew if the shape of its input changes."""

    def __init__(self) -> None:
        self._network: _core.Network | None = None
        self._key: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self._calls = 0

    def __call__(
        self,
        layer: Layer,
        x: NDArray[Any],
        states: list[Any] | None,
        mask: Any,
        training: bool,
    ) -> list[NDArray[Any]]:
        """[output, final states …] of `layer` for `x`; builds the layer if need be."""
        if x.ndim < 2 or 0 in x.shape:
            raise ValueError(f"x: expected at least one row and one step, got shape {x.shape}")
        layer.check_array(x.shape)
        shape = open_shape(x.shape, token_ids=type(layer).__name__ == "Embedding")
        layer.compute_output_shape(shape)
        if layer.built:
            _checks.same_shape("x", x.shape, (*shape[:-1], layer.input_shape[-1]))
        else:
            layer.build(shape)
        if mask is not None:
            mask = _checks.array("mask", mask).astype(bool, copy=False)
            _checks.same_shape("mask", mask.shape, x.shape[:2])
        if states is not None:
            states = [np.asarray(s, dtype=layer.dtype or "float32") for s in states]
        with self._lock:
            network = self._current(layer, shape)
            if training:  # each call has dropout masks of its own
                network.iterations = self._calls = self._calls + 1
            return network.call(x, states, mask, bool(training))

    def _current(self, layer: Layer, shape: Shape) -> _core.Network:
        """The network, with the layer's configuration and weights as they are now."""
        entry = {"class_name": type(layer).__name__, "config": layer.call_config()}
        text = _json.dumps({"name": "call", "layers": [entry]})
        key = (text, len(shape))
        if self._network is None or key != self._key:
            self._network = _core.Network(text, engine_shape(shape), layer.dtype or "float32")
            self._network.set_seed(draw_seed())
            self._key = key
        weights = layer.get_weights()
        if weights:
            self._network.set_weights(weights)
        return self._network


def open_shape(shape: tuple[int, ...], token_ids: bool) -> Shape:
    """The shape of an array with rows and steps left open: what a layer is built for."""
    if token_ids:
        return (None, *(None for _ in shape[1:]))
    return (None, *(None for _ in shape[1:-1]), shape[-1])


def engine_shape(shape: Shape) -> tuple[int, ...]:
    """`shape` as the engine takes it: of one row, with any number of steps (-1)."""
    first, *rest = (-1 if d is None else d for d in shape[1:])
    return (first,) if not rest and first != -1 else (-1, *rest)
