"""The network of a layer that is called on arrays by itself."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from pylstm import _core, _json
from pylstm._checks import Shape
from pylstm._memory import check_room
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
    """Networks of one layer; made anew if the layer's configuration or its input changes.

    A call has a network for itself: a signal handler that runs during the call, another thread, and
    a child forked meanwhile find it taken and make another one, where a lock would block them.
    """

    def __init__(self) -> None:
        self._idle: list[tuple[tuple[Any, ...], _core.Network]] = []
        self._calls = itertools.count(1)
        self._seed: int | None = None
        self._seen = (0, 0)  # rows and steps that there is room for

    def __call__(
        self,
        layer: Called,
        x: NDArray[Any],
        states: list[NDArray[Any]] | None,
        mask: NDArray[Any] | None,
        training: bool,
    ) -> list[NDArray[Any]]:
        """[output, final states …] of `layer` for `x`."""
        key, network = self._taken(layer)
        self._check_room(network, layer, x)
        if layer.weights:
            network.set_weights(layer.weights)
        if training:  # each call has dropout masks of its own
            if self._seed is None:
                self._seed = draw_seed()
            network.set_seed(self._seed)
            network.iterations = next(self._calls)
        found = network.call(x, states, mask, training)
        self._idle.append((key, network))
        return found

    def _taken(self, layer: Called) -> tuple[tuple[Any, ...], _core.Network]:
        """A network that no other call has, and what it was made for."""
        text = _json.dumps({"name": "call", "layers": [layer.config]})
        key = (text, layer.shape, layer.dtype)
        with contextlib.suppress(IndexError):
            while True:
                found = self._idle.pop()
                if found[0] == key:
                    return found
        self._seen = (0, 0)
        return key, _core.Network(text, engine_shape(layer.shape), layer.dtype)

    def _check_room(self, network: _core.Network, layer: Called, x: NDArray[Any]) -> None:
        """Raise MemoryError if a call on `x` needs more memory than there is: a look at the system
        for each larger one."""
        rows, steps = len(x), x.shape[1] if engine_shape(layer.shape)[0] == -1 else 1
        if min(rows, steps) < 1 or (rows <= self._seen[0] and steps <= self._seen[1]):
            return
        check_room(network, rows, steps, "predict")
        self._seen = (rows, steps)
